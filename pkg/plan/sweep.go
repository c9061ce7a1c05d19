// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"strings"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Spared describes what stays in the database although no object wants it: the facts of some owners are not known.
type Spared struct {
	// Paused reports whether an owner has not been compiled since the start: its rows stay, and so do references from
	// and to them.
	Paused func(fact.Owner) bool
	// Values keeps elements that do not refer to a row: a paused owner may want them, and the database does not record
	// the owner of an element.
	Values bool
	// Left is called for each row that something stays in. [Recheck] looks at the row again once the owner is
	// compiled; for elements that do not refer to a row the owner is empty.
	Left func(owner fact.Owner, row fact.Ref)
}

// Sweep marks dirty what has our marker in the database and no owner in desired state. It belongs to the full
// comparison after the start barrier and after a reconnect.
func Sweep(d *desired.State, a Actual, s Spared, dirty *desired.Dirty) {
	for _, table := range fact.Tables() {
		a.Each(table.Name, func(uuid string, row any) bool {
			s.row(d, a, table, fact.Ref{Table: table.Name, UUID: uuid}, row, dirty)
			return true
		})
	}
}

// Recheck is [Sweep] for one row.
func Recheck(d *desired.State, a Actual, ref fact.Ref, s Spared, dirty *desired.Dirty) {
	if row := a.Row(ref.Table, ref.UUID); row != nil {
		s.row(d, a, fact.TableOf(ref.Table), ref, row, dirty)
	}
}

func (s Spared) row(d *desired.State, a Actual, table *fact.Table, ref fact.Ref, row any, dirty *desired.Dirty) {
	owner, ours := table.OwnerOf(row)
	if _, wanted := d.Row(ref); ours && !wanted && !s.Paused(owner) {
		dirty.Row(ref)
	}
	s.elements(d, a, table, ref, row, dirty)
}

// Drift marks dirty everything that a changed row may affect.
func Drift(d *desired.State, a Actual, ref fact.Ref, s Spared, dirty *desired.Dirty) {
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
		s.elements(d, a, table, ref, row, dirty)
	}
}

// elements marks elements of shared columns that are ours and have no owner in desired state: plain values in our own
// rows, keys with our prefix, and references to our own rows. Other elements belong to other clients.
func (s Spared) elements(d *desired.State, a Actual, table *fact.Table, ref fact.Ref, row any, dirty *desired.Dirty) {
	rowOwner, oursRow := table.OwnerOf(row)
	if oursRow && s.Paused(rowOwner) {
		s.Left(rowOwner, ref)
		return
	}
	for name, column := range table.Members {
		eachElement(table, name, row, func(key, value string) {
			k := desired.MemberKey{Ref: ref, Column: name, Key: key, Value: value}
			if _, wanted := d.Member(k); wanted {
				return
			}
			owner, ours := ownerOfElement(a, column, key, value, oursRow)
			switch {
			case !ours:
			case column.Refers == "" && s.Values || column.Refers != "" && s.Paused(owner):
				s.Left(owner, ref)
			default:
				dirty.Member(k)
			}
		})
	}
}

// ownerOfElement reports whether an element is ours. Its owner is known only if it refers to a row.
func ownerOfElement(a Actual, column fact.MemberColumn, key, value string, oursRow bool) (owner fact.Owner, ours bool) {
	switch {
	case column.Refers != "":
		target := a.Row(column.Refers, value)
		if target == nil {
			return fact.Owner{}, false
		}
		return fact.TableOf(column.Refers).OwnerOf(target)
	case key != "":
		return fact.Owner{}, column.AllKeys && oursRow || column.Prefix != "" && strings.HasPrefix(key, column.Prefix)
	default:
		return fact.Owner{}, oursRow
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
