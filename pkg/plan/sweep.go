// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"strings"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Sweep marks dirty what has our marker in the database and no owner in desired state. It belongs to the full
// comparison after the start barrier and after a reconnect. Rows of a paused owner stay, and so do references from and
// to them. While keepMembers is set, plain elements stay, too: an owner that was never compiled since the start may
// want them, and the database does not record the owner of an element.
func Sweep(d *desired.State, a Actual, paused func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
	for _, table := range fact.Tables() {
		a.Each(table.Name, func(uuid string, row any) bool {
			ref := fact.Ref{Table: table.Name, UUID: uuid}
			owner, ours := table.OwnerOf(row)
			if _, wanted := d.Row(ref); ours && !wanted && !paused(owner) {
				dirty.Row(ref)
			}
			orphans(d, a, table, ref, row, paused, keepMembers, dirty)
			return true
		})
	}
}

// Drift marks dirty everything that a changed row may affect.
func Drift(d *desired.State, a Actual, ref fact.Ref, paused func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
	table := fact.TableOf(ref.Table)
	if table == nil {
		return
	}
	if _, wanted := d.Row(ref); wanted {
		dirty.Row(ref)
	}
	for k := range d.MembersOf(ref) {
		dirty.Member(k)
	}
	if row := a.Row(ref.Table, ref.UUID); row != nil {
		orphans(d, a, table, ref, row, paused, keepMembers, dirty)
	}
}

// orphans marks elements of shared columns that are ours and have no owner in desired state: plain values in our own
// rows, keys with our prefix, and references to our own rows. Other elements belong to other clients.
func orphans(d *desired.State, a Actual, table *fact.Table, ref fact.Ref, row any, paused func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
	owner, oursRow := table.OwnerOf(row)
	if oursRow && paused(owner) {
		return
	}
	for name, column := range table.Members {
		eachElement(table, name, row, func(key, value string) {
			k := desired.MemberKey{Ref: ref, Column: name, Key: key, Value: value}
			if _, wanted := d.Member(k); wanted {
				return
			}
			if orphan(a, column, key, value, paused, oursRow && !keepMembers) {
				dirty.Member(k)
			}
		})
	}
}

func orphan(a Actual, column fact.MemberColumn, key, value string, paused func(fact.Owner) bool, plain bool) bool {
	switch {
	case column.Refers != "":
		target := a.Row(column.Refers, value)
		if target == nil {
			return false
		}
		owner, ours := fact.TableOf(column.Refers).OwnerOf(target)
		return ours && !paused(owner)
	case key != "":
		return column.AllKeys && plain || column.Prefix != "" && strings.HasPrefix(key, column.Prefix)
	default:
		return plain
	}
}

func eachElement(table *fact.Table, name string, row any, fn func(key, value string)) {
	v := table.Column(name).Value(row)
	if v.Kind() == reflect.Map {
		m, _ := v.Interface().(map[string]string)
		for k, e := range m {
			fn(k, e)
		}
		return
	}
	elements, _ := v.Interface().([]string)
	for _, e := range elements {
		fn("", e)
	}
}
