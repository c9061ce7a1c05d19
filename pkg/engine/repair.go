package engine

import (
	"maps"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// Repair tells that others have changed rows of an object, and what is done about it.
type Repair struct {
	Ref model.Ref // the object that the rows were compiled from
	// What says of the first change the table, the row, the column and what is done.
	What string
	// Changes counts those that are put right at once, the first included.
	Changes int
}

// repairs gathers what is put right at once, by object in order of appearance.
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

// repaired tells log, metrics and the gathered repairs of one change.
func (c *Core) repaired(r *repairs, u plan.Unit) {
	what := c.describeRepair(u)
	c.cfg.Log.Info("the northbound database was changed by others and is repaired", "table", u.Ref.Table, "row", c.describe(u.Ref), "what", what)
	c.cfg.Observer.Drift(u.Ref.Table)
	owner := u.Owner
	if owner == (fact.Owner{}) { // of an element that nobody wants
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

// tellRepairs hands them to the writer.
func (c *Core) tellRepairs(r repairs) {
	for _, one := range r.order {
		c.cfg.Writer.Repaired(*one)
	}
}

func (c *Core) describeRepair(u plan.Unit) string {
	row := u.Ref.Table + " " + c.describe(u.Ref)
	element := u.Member.Value
	if u.Member.Key != "" {
		element = u.Member.Key + "=" + element
	} else if refers := fact.TableOf(u.Ref.Table).Members[u.Member.Column].Refers; refers != "" {
		element = refers + " " + c.describe(fact.Ref{Table: refers, UUID: element})
	}
	switch u.Action {
	case plan.Insert:
		return row + " was deleted: it is made again"
	case plan.Link:
		return row + ", column " + u.Member.Column + ": " + element + " was removed: it is added again"
	case plan.Unlink:
		return row + ", column " + u.Member.Column + ": " + element + ", which nobody wants, was added: it is removed"
	case plan.Delete:
		return row + ", which nobody wants, was made: it is deleted"
	default:
		return row + ", " + changedColumns(u) + ": it is set right"
	}
}

// changedColumns names the columns that an update writes, and where it puts the row.
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
