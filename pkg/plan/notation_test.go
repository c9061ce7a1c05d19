// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// testCase is one comparison in the notation of this file.
type testCase struct {
	name    string
	desired []declared
	actual  database
	more    []declaration // is dirty, too
	only    []declaration // is dirty, and nothing else
	want    []string      // see lines
}

func (tt testCase) plan(t *testing.T) {
	state := stateOf(tt.desired)
	d := desired.NewDirty()
	if tt.only == nil {
		state.All(d)
		for _, ref := range slices.SortedFunc(maps.Keys(tt.actual), compareRefs) {
			d.Row(ref)
		}
	}
	for _, fact := range slices.Concat(tt.more, tt.only) {
		fact.mark(d)
	}
	sameLines(t, lines(plan.Plan(state, tt.actual, d)), tt.want)
}

// declaration adds a fact to the facts of an owner.
type declaration func(*fact.Set)

// mark makes the fact dirty.
func (add declaration) mark(d *desired.Dirty) {
	var s fact.Set
	add(&s)
	for _, r := range s.Rows {
		d.Row(r.Ref)
	}
	for _, m := range s.Members {
		d.Member(desired.KeyOf(m))
	}
}

type declared struct {
	owner string
	facts []declaration
}

// by is what one Subnet declares.
func by(owner string, facts ...declaration) []declared { return []declared{{owner, facts}} }

func row(table, id string, columns any) declaration {
	return func(s *fact.Set) { s.Row(table, id, columns) }
}

func child(parentTable, parent, table, id string, columns any) declaration {
	return func(s *fact.Set) { s.Child(fact.RefTo(parentTable, parent), table, id, columns) }
}

func member(table, id, column, value string) declaration {
	return func(s *fact.Set) { s.Member(fact.RefTo(table, id), column, value) }
}

func pair(table, id, column, key, value string) declaration {
	return func(s *fact.Set) { s.Pair(fact.RefTo(table, id), column, key, value) }
}

func ref(table, id string) *string {
	uuid := fact.UUIDOf(table, id)
	return &uuid
}

func ownerOf(name string) fact.Owner { return fact.Owner{Kind: model.KindSubnet, Name: name} }

func stateOf(all []declared) *desired.State {
	state := desired.New()
	for _, d := range all {
		var s fact.Set
		for _, add := range d.facts {
			add(&s)
		}
		state.Set(ownerOf(d.owner), 0, s, desired.NewDirty())
	}
	return state
}

// stored is a row of the database; its UUID is the one that we derive from table and id.
type stored struct {
	fact.Ref
	columns any
}

// ours is a row with the markers of an owner.
func ours(owner, table, id string, columns any) stored {
	r := foreignRow(table, id, columns)
	r.addKeys(map[string]string{fact.VendorKey: fact.Vendor, fact.OwnerKey: ownerOf(owner).String()})
	return r
}

func foreignRow(table, id string, columns any) stored {
	return stored{fact.RefTo(table, id), columns}
}

// in marks the row as the child of a row of the first table that it may be in.
func (r stored) in(parent string) stored {
	r.addKeys(map[string]string{fact.ParentKey: fact.UUIDOf(fact.TableOf(r.Table).Parents[0].Table, parent)})
	return r
}

func (r stored) addKeys(keys map[string]string) {
	table := fact.TableOf(r.Table)
	if table.NamePrefix != "" {
		return // the name is the marker
	}
	ids := maps.Clone(table.ExternalIDs(r.columns))
	if ids == nil {
		ids = map[string]string{}
	}
	maps.Copy(ids, keys)
	*table.Column("external_ids").Value(r.columns).Addr().Interface().(*map[string]string) = ids
}

// database is plan.Actual in memory.
type database map[fact.Ref]any

func rows(all ...stored) database {
	db := database{}
	for _, r := range all {
		db[r.Ref] = r.columns
	}
	return db
}

func compareRefs(a, b fact.Ref) int {
	return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.UUID, b.UUID))
}

// Row implements plan.Actual.
func (db database) Row(table, uuid string) any { return db[fact.Ref{Table: table, UUID: uuid}] }

// Each implements plan.Actual.
func (db database) Each(table string, fn func(uuid string, row any) bool) {
	for _, ref := range slices.SortedFunc(maps.Keys(db), compareRefs) {
		if ref.Table == table && !fn(ref.UUID, db[ref]) {
			return
		}
	}
}

// Foreign implements plan.Actual.
func (db database) Foreign(table, name string) (string, bool) {
	for ref, columns := range db {
		if ref.Table == table && fact.TableOf(table).RowName(columns) == name && ref != fact.RefTo(table, name) {
			return ref.UUID, true
		}
	}
	return "", false
}

// lines writes a result as text:
//
//	ACTION TABLE/id COLUMNS -key KEYS +key KEYS +ELEMENTS -ELEMENTS
//	blocked ROW-OR-ELEMENT on TABLE/id
//	taken TABLE/id by TABLE/id
//	invalid ROW-OR-ELEMENT of OWNER: CAUSE
//
// COLUMNS are those that are written, KEYS those of external_ids. An element is TABLE/id.column=value or
// TABLE/id.column:key=value; the value of a reference is the id of its row.
func lines(result plan.Result) []string {
	var out []string
	for _, u := range result.Units {
		out = append(out, unitText(u))
	}
	for _, b := range result.Blocked {
		what := refText(b.Row)
		if b.Row == (fact.Ref{}) {
			what = memberText(b.Member)
		}
		out = append(out, "blocked "+what+" on "+refText(b.On))
	}
	for _, n := range result.Taken {
		out = append(out, "taken "+refText(n.Row)+" by "+refText(fact.Ref{Table: n.Row.Table, UUID: n.Foreign}))
	}
	for _, i := range result.Invalid {
		what := refText(i.Row)
		if i.Member != (desired.MemberKey{}) {
			what = memberText(i.Member)
		}
		out = append(out, "invalid "+what+" of "+i.Owner.Name+": "+i.Err.Cause)
	}
	return out
}

// units are lines of a result.
func units(lines ...string) []string { return lines }

var actions = map[plan.Action]string{
	plan.Insert: "insert", plan.Update: "update", plan.Delete: "delete", plan.Link: "link", plan.Unlink: "unlink",
}

func unitText(u plan.Unit) string {
	words := []string{actions[u.Action], refText(u.Ref)}
	list := func(prefix string, values []string) {
		if len(values) > 0 {
			words = append(words, prefix+strings.Join(values, ","))
		}
	}
	list("", slices.Sorted(maps.Keys(u.Row)))
	list("-key ", u.DropKeys)
	list("+key ", slices.Sorted(maps.Keys(u.SetKeys)))
	for _, k := range u.Links {
		words = append(words, "+"+memberText(k))
	}
	for _, k := range u.Unlinks {
		words = append(words, "-"+memberText(k))
	}
	return strings.Join(words, " ")
}

func memberText(k desired.MemberKey) string {
	column := k.Column
	if k.Key != "" {
		column += ":" + k.Key
	}
	return fmt.Sprintf("%s.%s=%s", refText(k.Ref), column, idOf(k.Value))
}

func refText(ref fact.Ref) string { return ref.Table + "/" + idOf(ref.UUID) }

// ids are all names of rows in the test cases.
var ids = []string{"blue", "red", "web", "group", "rule", "set", "dhcp", "node", "woven.vpc", "by-hand"}

// idOf gives the id that a UUID was made of; another value stays as it is.
func idOf(value string) string {
	for _, table := range fact.Tables() {
		for _, id := range ids {
			if fact.UUIDOf(table.Name, id) == value {
				return id
			}
		}
	}
	return value
}

func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
