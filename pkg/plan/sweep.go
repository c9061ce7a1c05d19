package plan

import (
	"reflect"
	"strings"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Sweep marks dirty what is in the database with our marker and wanted by
// nobody. It is for the full comparison after the start barrier, and after a
// reconnect. Rows of a frozen owner stay, and references from them and to them. While
// keepMembers is set, plain elements stay, too: an owner that cannot be compiled since
// the start may want them, and nothing in the database says so.
func Sweep(d *desired.State, a Actual, frozen func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
	for _, table := range fact.Tables() {
		a.Each(table.Name, func(uuid string, row any) bool {
			ref := fact.Ref{Table: table.Name, UUID: uuid}
			owner, ours := table.OwnerOf(row)
			if _, wanted := d.Row(ref); ours && !wanted && !frozen(owner) {
				dirty.Row(ref)
			}
			strays(d, a, table, ref, row, frozen, keepMembers, dirty)
			return true
		})
	}
}

// Drift marks dirty all that a changed row may have made untrue.
func Drift(d *desired.State, a Actual, ref fact.Ref, frozen func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
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
		strays(d, a, table, ref, row, frozen, keepMembers, dirty)
	}
}

// strays marks the elements of shared columns that are ours and wanted by nobody:
// plain values in our own rows (they have no other owner), keys with our prefix,
// and references to our own rows. Other elements belong to someone else.
func strays(d *desired.State, a Actual, table *fact.Table, ref fact.Ref, row any, frozen func(fact.Owner) bool, keepMembers bool, dirty *desired.Dirty) {
	owner, oursRow := table.OwnerOf(row)
	if oursRow && frozen(owner) {
		return
	}
	for name, column := range table.Members {
		eachElement(table, name, row, func(key, value string) {
			k := desired.MemberKey{Ref: ref, Column: name, Key: key, Value: value}
			if _, wanted := d.Member(k); wanted {
				return
			}
			if stray(a, column, key, value, frozen, oursRow && !keepMembers) {
				dirty.Member(k)
			}
		})
	}
}

func stray(a Actual, column fact.MemberColumn, key, value string, frozen func(fact.Owner) bool, plain bool) bool {
	switch {
	case column.Refers != "":
		target := a.Row(column.Refers, value)
		if target == nil {
			return false
		}
		owner, ours := fact.TableOf(column.Refers).OwnerOf(target)
		return ours && !frozen(owner)
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
