package plan

import (
	"slices"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Audit finds rows that hang on other parents than their markers say, which only
// the columns show that are not monitored. parents gives, for the rows of one
// table, the UUIDs of the rows of the table in that refer to them. Only someone who
// edits these columns by hand can bring it about.
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
