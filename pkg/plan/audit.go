// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Audit compares the parents of rows with their markers. It needs columns that are not monitored: parents maps the
// UUIDs of rows of table to the UUIDs of the rows of table in that refer to them. A difference means that another
// client edited these columns.
func Audit(d *desired.State, a Actual, table *fact.Table, in string, parents map[string][]string) []Unit {
	var units []Unit
	for uuid, have := range parents {
		ref := fact.Ref{Table: table.Name, UUID: uuid}
		want, wanted := d.Row(ref)
		if !wanted || a.Row(ref.Table, uuid) == nil || slices.Equal(have, []string{want.Row.Parent.UUID}) {
			continue
		}
		u := Unit{Owner: want.Owner, Action: Update, Ref: ref}
		if !slices.Contains(have, want.Row.Parent.UUID) {
			u.Links = append(u.Links, parentLink(table, want.Row.Parent, uuid))
		}
		for _, other := range have {
			if other != want.Row.Parent.UUID {
				u.Unlinks = append(u.Unlinks, parentLink(table, fact.Ref{Table: in, UUID: other}, uuid))
			}
		}
		units = append(units, u)
	}
	slices.SortFunc(units, func(x, y Unit) int { return compareRefs(x.Ref, y.Ref) })
	return units
}
