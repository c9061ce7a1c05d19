// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// members compares the dirty members. Those of one column are compared together, so that the column is read once.
func (p *planner) members() {
	keys := slices.SortedFunc(slices.Values(p.dirty.Members), compareMembers)
	keys = slices.Compact(keys)
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j].Ref == keys[i].Ref && keys[j].Column == keys[i].Column {
			j++
		}
		p.column(keys[i:j])
		i = j
	}
}

func compareMembers(a, b desired.MemberKey) int {
	return cmp.Or(compareRefs(a.Ref, b.Ref), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}

// column compares members of one column of one row.
func (p *planner) column(keys []desired.MemberKey) {
	ref := keys[0].Ref
	table := fact.TableOf(ref.Table)
	have := p.actual.Row(ref.Table, ref.UUID)
	if have == nil && !p.inserts[ref] {
		for _, k := range keys {
			if _, wanted := p.desired.Member(k); wanted {
				p.result.Blocked = append(p.result.Blocked, Blocked{On: ref, Member: k})
			}
		}
		return
	}
	present := presence(table, keys[0].Column, have)
	for _, k := range keys {
		p.member(k, table.Members[k.Column], present)
	}
}

func (p *planner) member(k desired.MemberKey, column fact.MemberColumn, present func(desired.MemberKey) bool) {
	owner, wanted := p.desired.Member(k)
	target := fact.Ref{Table: column.Refers, UUID: k.Value}
	switch {
	// The database contains no reference to a missing row (RFC 7047 §3.2), so a set, which may be large, need not be
	// searched for the UUID of a new row.
	case wanted && (p.inserts[target] || !present(k)):
		p.link(owner, k, target)
	case !wanted && p.deletes[k.Ref]:
		// the member disappears with its row
	case !wanted && column.Strong && p.deletes[target]:
		// the deletion includes it, see pointers
	case !wanted && (p.deletes[target] || present(k) && !p.desired.HasValue(k)): // setting another value removes this one
		p.result.Units = append(p.result.Units, Unit{Action: Unlink, Ref: k.Ref, Member: k, Unlinks: []desired.MemberKey{k}})
	}
}

// link adds a member, which refers to target unless its column has plain values.
func (p *planner) link(owner fact.Owner, k desired.MemberKey, target fact.Ref) {
	// The database silently drops a weak reference to a missing row (RFC 7047 §3.2).
	if target.Table != "" && !p.there(target) {
		p.result.Blocked = append(p.result.Blocked, Blocked{On: target, Member: k})
		return
	}
	if violation := fact.TableOf(k.Table).CheckMember(k.Column, k.Key, k.Value); violation != nil {
		p.result.Invalid = append(p.result.Invalid, Invalid{Owner: owner, Row: k.Ref, Member: k, Err: violation})
		return
	}
	p.result.Units = append(p.result.Units, Unit{Owner: owner, Action: Link, Ref: k.Ref, Member: k, Links: []desired.MemberKey{k}})
}

// Missing returns the indexes of Link units whose member is not in the database after the commit: the database silently
// drops a weak reference to a row that was deleted meanwhile (RFC 7047 §3.2).
func Missing(a Actual, units []Unit) map[int]bool {
	var missing map[int]bool
	present := map[columnKey]func(desired.MemberKey) bool{}
	for i, u := range units {
		table := fact.TableOf(u.Ref.Table)
		if u.Action != Link || table.Members[u.Member.Column].Refers == "" {
			continue
		}
		column := columnKey{u.Ref, u.Member.Column}
		if present[column] == nil {
			present[column] = presence(table, column.column, a.Row(u.Ref.Table, u.Ref.UUID))
		}
		if !present[column](u.Member) {
			if missing == nil {
				missing = map[int]bool{}
			}
			missing[i] = true
		}
	}
	return missing
}

// presence returns a function that reports whether a column contains an element. have is nil for a row that this plan
// inserts.
func presence(table *fact.Table, column string, have any) func(desired.MemberKey) bool {
	if have == nil {
		return func(desired.MemberKey) bool { return false }
	}
	v := table.Column(column).Value(have)
	if v.Kind() == reflect.Map {
		return func(k desired.MemberKey) bool {
			got := v.MapIndex(reflect.ValueOf(k.Key))
			return got.IsValid() && got.String() == k.Value
		}
	}
	elements, _ := v.Interface().([]string)
	asked, set := 0, map[string]struct{}(nil)
	return func(k desired.MemberKey) bool {
		if asked++; asked <= fewElements {
			return slices.Contains(elements, k.Value)
		}
		if set == nil {
			set = make(map[string]struct{}, len(elements))
			for _, e := range elements {
				set[e] = struct{}{}
			}
		}
		_, ok := set[k.Value]
		return ok
	}
}

// fewElements are searched one by one: an index of a large set costs as much as about twenty searches, and most pod
// events look up one element.
const fewElements = 8
