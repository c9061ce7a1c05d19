// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// Repair describes changes by other clients to the rows of an object, and how they are reverted.
type Repair struct {
	Ref model.Ref // the object that the rows were compiled from
	// What describes the first change: table, row, column, and how it is reverted.
	What string
	// Changes counts the changes that are reverted at once, including the first.
	Changes int
}

// repairs collects the changes that are reverted at once, by object in order of appearance.
type repairs struct {
	order []*Repair
	of    map[model.Ref]*Repair
}

func (r *repairs) add(owner fact.Owner, what string) {
	if found, ok := r.of[owner]; ok {
		found.Changes++
		return
	}
	if r.of == nil {
		r.of = map[model.Ref]*Repair{}
	}
	one := &Repair{Ref: owner, What: what, Changes: 1}
	r.of[owner] = one
	r.order = append(r.order, one)
}

// recordRepair logs and counts one change by another client, and adds it to r.
func (c *Core) recordRepair(r *repairs, u plan.Unit) {
	what := c.describeRepair(u)
	c.cfg.Log.Info("another client changed the northbound database, repairing it", "table", u.Ref.Table, "row", c.rowName(u.Ref), "what", what)
	c.cfg.Observer.Drift(u.Ref.Table)
	owner := u.Owner
	if owner == (fact.Owner{}) { // of an element that no object wants
		want, wanted := c.desired.Row(u.Ref)
		if !wanted {
			return
		}
		owner = want.Owner
	}
	if c.exists(owner) {
		r.add(owner, what)
	}
}

func (c *Core) reportRepairs(r repairs) {
	for _, one := range r.order {
		c.cfg.Writer.Repaired(*one)
	}
}

func (c *Core) describeRepair(u plan.Unit) string {
	row := u.Ref.Table + " " + c.rowName(u.Ref)
	element := u.Member.Value
	if u.Member.Key != "" {
		element = u.Member.Key + "=" + element
	} else if refers := fact.TableOf(u.Ref.Table).Members[u.Member.Column].Refers; refers != "" {
		element = refers + " " + c.rowName(fact.Ref{Table: refers, UUID: element})
	}
	switch u.Action {
	case plan.Insert:
		return row + " was deleted: it is created again"
	case plan.Link:
		return row + ", column " + u.Member.Column + ": " + element + " was removed: it is added again"
	case plan.Unlink:
		return row + ", column " + u.Member.Column + ": " + element + ", which no object needs, was added: it is removed"
	case plan.Delete:
		return row + ", which no object needs, was created: it is deleted"
	default:
		return row + ", " + changedColumns(u) + " changed: restored"
	}
}

// changedColumns lists the columns that an update writes, and the columns of other rows that refer to the row.
func changedColumns(u plan.Unit) string {
	columns := slices.Collect(maps.Keys(u.Row))
	if len(u.DropKeys)+len(u.SetKeys) > 0 {
		columns = append(columns, "external_ids")
	}
	for _, k := range slices.Concat(u.Links, u.Unlinks) {
		columns = append(columns, k.Table+"."+k.Column)
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	return map[bool]string{true: "columns ", false: "column "}[len(columns) > 1] + strings.Join(columns, ", ")
}
