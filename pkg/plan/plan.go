// SPDX-License-Identifier: Apache-2.0

// Package plan compares desired state with the database and returns the changes to make.
//
// It is pure: its input is dirty facts, desired state and a view of the database, its output units of change. Units are
// minimal: they never update a whole column that others share, and there is none for what is already correct.
package plan

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Actual is the cached database. Rows are pointers to structs of
// package nb and must not be modified.
type Actual interface {
	// Row returns a row, or nil.
	Row(table, uuid string) any
	// Each yields the rows of a table until fn returns false.
	Each(table string, fn func(uuid string, row any) bool)
	// Foreign finds a row with this name whose UUID is not the one that we derive from the name.
	Foreign(table, name string) (uuid string, ok bool)
}

// Action is the kind of a unit.
type Action uint8

// The actions, in the order of operations.
const (
	Insert Action = iota
	Update
	Link   // add a member
	Unlink // remove a member
	Delete
)

// Unit is a minimal change that is valid on its own: its operations are in one transaction. A row of a non-root table
// and its parent's reference are one unit, because the database deletes a row without that reference (RFC 7047 §3.2).
type Unit struct {
	Owner  fact.Owner // the owner to which an error is reported
	Action Action
	Ref    fact.Ref  // the row
	Row    ovsdb.Row // columns to insert or update
	// Keys of external_ids to remove, then keys to set.
	DropKeys []string
	SetKeys  map[string]string
	Links    []desired.MemberKey // members to add
	Unlinks  []desired.MemberKey // members to remove
	Member   desired.MemberKey   // the member of a Link or Unlink unit
	early    bool                // a Delete that must be in one transaction with the units after it
}

// Blocked is a row or a member that waits for another row.
type Blocked struct {
	On     fact.Ref
	Row    fact.Ref          // the waiting row, or
	Member desired.MemberKey // the waiting member
}

// NameTaken means that a row of another client has the name that one of our rows needs.
type NameTaken struct {
	Owner   fact.Owner
	Row     fact.Ref
	Name    string
	Foreign string // UUID of the other row
}

// Invalid is a row or a member that the database would refuse, and with it the whole transaction. It is not sent: the
// row in the database stays as it is.
type Invalid struct {
	Owner  fact.Owner
	Row    fact.Ref
	Member desired.MemberKey // the zero value for a row
	Err    *fact.Violation
}

// Result is the result of a comparison.
type Result struct {
	Units   []Unit
	Blocked []Blocked
	Taken   []NameTaken
	Invalid []Invalid
}

type planner struct {
	desired *desired.State
	actual  Actual
	dirty   *desired.Dirty
	inserts map[fact.Ref]bool // rows that this plan inserts
	deletes map[fact.Ref]bool // rows that this plan deletes
	result  Result
}

// Plan compares what is dirty.
func Plan(d *desired.State, a Actual, dirty *desired.Dirty) Result {
	p := &planner{desired: d, actual: a, dirty: dirty, inserts: map[fact.Ref]bool{}, deletes: map[fact.Ref]bool{}}
	rows := slices.SortedFunc(slices.Values(dirty.Rows), compareRefs)
	for _, ref := range slices.Compact(rows) { // parents come before their children
		p.row(ref)
	}
	p.members()
	slices.SortStableFunc(p.result.Units, func(a, b Unit) int {
		return cmp.Compare(phase(a), phase(b))
	})
	return p.result
}

// phase orders units. Deletions come last, so that a batch that is split in two never removes something before its
// replacement is there.
func phase(u Unit) int {
	if (u.Action == Delete || u.Action == Unlink) && !u.early {
		return 1
	}
	return 0
}

var tableOrder = func() map[string]int {
	m := map[string]int{}
	for i, t := range fact.Tables() {
		m[t.Name] = i
	}
	return m
}()

func compareRefs(a, b fact.Ref) int {
	return cmp.Or(cmp.Compare(tableOrder[a.Table], tableOrder[b.Table]), cmp.Compare(a.UUID, b.UUID))
}

func (p *planner) row(ref fact.Ref) {
	want, wanted := p.desired.Row(ref)
	have := p.actual.Row(ref.Table, ref.UUID)
	switch {
	case wanted && have == nil:
		p.insert(want)
	case wanted:
		p.update(want, have)
	case have != nil:
		p.remove(ref, have)
	}
}

func (p *planner) insert(want desired.Claimed) {
	ref, table := want.Row.Ref, fact.TableOf(want.Row.Table)
	if parent := want.Row.Parent; parent != (fact.Ref{}) && !p.there(parent) {
		p.result.Blocked = append(p.result.Blocked, Blocked{On: parent, Row: ref})
		return
	}
	if !p.valid(want, table) {
		return
	}
	if name := table.RowName(want.Row.Columns); name != "" && !p.nameFree(want, name) {
		return
	}
	want.Row.Columns = p.resolved(want, table)
	u := Unit{Owner: want.Owner, Action: Insert, Ref: ref, Row: insertColumns(table, want)}
	if want.Row.Parent != (fact.Ref{}) {
		u.Links = []desired.MemberKey{parentLink(table, want.Row.Parent, ref.UUID)}
	}
	p.inserts[ref] = true
	p.result.Units = append(p.result.Units, u)
}

// valid reports whether the database accepts the columns of a row.
func (p *planner) valid(want desired.Claimed, table *fact.Table) bool {
	violation := table.Check(want.Row.Columns)
	if violation != nil {
		p.result.Invalid = append(p.result.Invalid, Invalid{Owner: want.Owner, Row: want.Row.Ref, Err: violation})
	}
	return violation == nil
}

// resolved returns the columns of a row without references to missing rows, which the database would silently drop
// (RFC 7047 §3.2). The row is compared again when they exist.
func (p *planner) resolved(want desired.Claimed, table *fact.Table) any {
	columns := want.Row.Columns
	for column, target := range table.Refers {
		uuid, ok := table.Column(column).Value(columns).Interface().(*string)
		if !ok || uuid == nil {
			continue
		}
		on := fact.Ref{Table: target, UUID: *uuid}
		if p.there(on) {
			continue
		}
		p.result.Blocked = append(p.result.Blocked, Blocked{On: on, Row: want.Row.Ref})
		rest := reflect.New(reflect.TypeOf(columns).Elem())
		rest.Elem().Set(reflect.ValueOf(columns).Elem())
		columns = rest.Interface()
		table.Column(column).Value(columns).SetZero()
	}
	return columns
}

// there reports whether a row is in the database or inserted by this plan.
func (p *planner) there(ref fact.Ref) bool {
	return p.inserts[ref] || p.actual.Row(ref.Table, ref.UUID) != nil
}

// nameFree reports whether no other row has the name. It deletes a row of ours under another UUID; a row of another
// client stays and is reported as a problem of our object.
func (p *planner) nameFree(want desired.Claimed, name string) bool {
	ref, table := want.Row.Ref, fact.TableOf(want.Row.Table)
	other, found := p.actual.Foreign(ref.Table, name)
	if !found {
		return true
	}
	if row := p.actual.Row(ref.Table, other); row != nil {
		if _, ours := table.OwnerOf(row); ours {
			p.removeEarly(fact.Ref{Table: ref.Table, UUID: other}, row)
			return true
		}
	}
	p.result.Taken = append(p.result.Taken, NameTaken{Owner: want.Owner, Row: ref, Name: name, Foreign: other})
	p.result.Blocked = append(p.result.Blocked, Blocked{On: fact.Ref{Table: ref.Table, UUID: other}, Row: ref})
	return false
}

func parentLink(table *fact.Table, parent fact.Ref, uuid string) desired.MemberKey {
	return desired.MemberKey{Ref: parent, Column: table.ParentColumn(parent.Table), Value: uuid}
}

func (p *planner) update(want desired.Claimed, have any) {
	ref, table := want.Row.Ref, fact.TableOf(want.Row.Table)
	if parent := want.Row.Parent; parent != (fact.Ref{}) && !p.there(parent) && p.parentOf(table, have) != parent {
		// It cannot stay under its parent and cannot move to the wanted one yet.
		p.result.Blocked = append(p.result.Blocked, Blocked{On: parent, Row: ref})
		p.remove(ref, have)
		return
	}
	want.Row.Columns = p.resolved(want, table)
	u := Unit{Owner: want.Owner, Action: Update, Ref: ref}
	u.Row = changedColumns(table, want, have)
	u.DropKeys, u.SetKeys = changedKeys(table, want, have)
	p.move(&u, table, want.Row.Parent, have)
	if len(u.Row)+len(u.DropKeys)+len(u.SetKeys)+len(u.Links)+len(u.Unlinks) > 0 && p.valid(want, table) {
		p.result.Units = append(p.result.Units, u)
	}
}

// move moves a row of a non-root table from one parent to another.
func (p *planner) move(u *Unit, table *fact.Table, parent fact.Ref, have any) {
	was := p.parentOf(table, have)
	if was == parent {
		return
	}
	u.Links = append(u.Links, parentLink(table, parent, u.Ref.UUID))
	if was.UUID != "" && p.actual.Row(was.Table, was.UUID) != nil {
		u.Unlinks = append(u.Unlinks, parentLink(table, was, u.Ref.UUID))
	}
}

// parentOf reads which row refers to this one. If that row is gone, the first possible table is assumed.
func (p *planner) parentOf(table *fact.Table, have any) fact.Ref {
	if !table.Child() {
		return fact.Ref{}
	}
	uuid := table.ExternalIDs(have)[fact.ParentKey]
	for _, parent := range table.Parents {
		if p.actual.Row(parent.Table, uuid) != nil {
			return fact.Ref{Table: parent.Table, UUID: uuid}
		}
	}
	return fact.Ref{Table: table.Parents[0].Table, UUID: uuid}
}

// remove deletes a row of ours that has no owner any more. Rows without our marker stay.
func (p *planner) remove(ref fact.Ref, have any) {
	table := fact.TableOf(ref.Table)
	owner, ours := table.OwnerOf(have)
	if !ours || p.deletes[ref] {
		return
	}
	u := Unit{Owner: owner, Action: Delete, Ref: ref}
	if table.Child() {
		parent := p.parentOf(table, have)
		if p.deletes[parent] {
			return // the database deletes it with its parent
		}
		if p.actual.Row(parent.Table, parent.UUID) != nil {
			u.Unlinks = []desired.MemberKey{parentLink(table, parent, ref.UUID)}
		}
	}
	u.Unlinks = append(u.Unlinks, p.pointers(ref)...)
	p.deletes[ref] = true
	p.result.Units = append(p.result.Units, u)
}

// removeEarly removes a row whose name another row of this plan takes.
func (p *planner) removeEarly(ref fact.Ref, have any) {
	p.remove(ref, have)
	for i := range p.result.Units {
		if u := &p.result.Units[i]; u.Action == Delete && u.Ref == ref {
			u.early = true
		}
	}
}

// pointers are the elements of strong columns that refer to a row, of any client: while one is left, the database
// refuses to delete the row.
func (p *planner) pointers(to fact.Ref) (keys []desired.MemberKey) {
	for _, table := range fact.Tables() {
		for name, column := range table.Members {
			if !column.Strong || column.Refers != to.Table {
				continue
			}
			p.actual.Each(table.Name, func(uuid string, row any) bool {
				eachElement(table, name, row, func(_, value string) {
					if value == to.UUID {
						keys = append(keys, desired.MemberKey{Ref: fact.Ref{Table: table.Name, UUID: uuid}, Column: name, Value: value})
					}
				})
				return true
			})
		}
	}
	return keys
}
