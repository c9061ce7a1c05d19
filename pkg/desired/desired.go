// SPDX-License-Identifier: Apache-2.0

// Package desired is the union of all owners' facts, reference-counted.
//
// It does not know the database. It holds which rows and members are wanted, by which owners, and which of them a
// change made dirty. Deletion is absence: a fact ends when its last owner no longer declares it.
package desired

import (
	"cmp"
	"iter"
	"maps"
	"reflect"
	"slices"

	"github.com/wovensdn/woven/pkg/fact"
)

// MemberKey identifies a member: one element of a set, or one key and value of a map.
type MemberKey struct {
	fact.Ref
	Column string
	Key    string
	Value  string
}

// KeyOf returns the identity of a member.
func KeyOf(m fact.Member) MemberKey { return MemberKey(m) }

// Dirty collects what must be compared with the database. It may contain duplicates.
type Dirty struct {
	Rows    []fact.Ref
	Members []MemberKey
}

// NewDirty returns an empty collection.
func NewDirty() *Dirty { return &Dirty{} }

// Len is the number of dirty rows and members.
func (d *Dirty) Len() int { return len(d.Rows) + len(d.Members) }

// Row adds a row.
func (d *Dirty) Row(ref fact.Ref) { d.Rows = append(d.Rows, ref) }

// Member adds a member.
func (d *Dirty) Member(k MemberKey) { d.Members = append(d.Members, k) }

// Conflict means that two owners declare the same row with different content, or different values for one key of a map
// column. The older owner wins; the other reports a problem.
type Conflict struct {
	Loser, Winner fact.Owner
	Row           fact.Ref
	// ID is that of the row; empty for a key of a map.
	ID string
	// Column and Key are set for a key of a map.
	Column, Key string
}

// What describes what the two owners declare.
func (c Conflict) What() string {
	if c.Column == "" {
		return c.Row.Table + " " + c.ID
	}
	return c.Row.Table + " " + c.Column + ":" + c.Key
}

// Claimed is a row as one owner declares it.
type Claimed struct {
	Owner fact.Owner
	Age   int64 // creation time of the owner, seconds since the Unix epoch
	Row   *fact.Row
}

// State is desired OVN. It is not safe for concurrent use.
type State struct {
	owners  map[fact.Owner]*ownerFacts
	rows    map[fact.Ref][]Claimed // the winner first
	members map[MemberKey]*holders
	byRow   map[fact.Ref]map[MemberKey]struct{} // the members of a row
	slots   map[slot][]MemberKey                // the declared values of a key in a map
}

type ownerFacts struct {
	age   int64
	facts fact.Set
}

// New returns an empty state.
func New() *State {
	return &State{
		owners: map[fact.Owner]*ownerFacts{}, rows: map[fact.Ref][]Claimed{},
		members: map[MemberKey]*holders{}, byRow: map[fact.Ref]map[MemberKey]struct{}{}, slots: map[slot][]MemberKey{},
	}
}

// Set replaces the facts of an owner and adds what that changes to dirty. Age is the creation time of the owner in
// seconds since the Unix epoch; the older owner wins a conflict.
func (s *State) Set(owner fact.Owner, age int64, facts fact.Set, dirty *Dirty) {
	old := s.owners[owner]
	if old == nil {
		old = &ownerFacts{}
	}
	s.setRows(owner, age, old, facts.Rows, dirty)
	s.setMembers(owner, old.facts.Members, facts.Members, dirty)
	if len(facts.Rows)+len(facts.Members) == 0 {
		delete(s.owners, owner)
		return
	}
	s.owners[owner] = &ownerFacts{age: age, facts: facts}
	if old.age != age && len(old.facts.Members) > 0 {
		for _, m := range facts.Members {
			s.contest(KeyOf(m), dirty)
		}
	}
}

// contest marks dirty all values for the key of a member if owners declare several: another one may be wanted now.
func (s *State) contest(k MemberKey, dirty *Dirty) {
	for _, value := range s.rivalValues(k) {
		dirty.Member(value)
	}
}

func (s *State) setRows(owner fact.Owner, age int64, old *ownerFacts, rows []fact.Row, dirty *Dirty) {
	for i := range rows {
		was := find(old.facts.Rows, rows[i].Ref)
		if was != nil && old.age == age && same(was, &rows[i]) {
			continue
		}
		s.dropRow(owner, rows[i].Ref)
		s.addRow(Claimed{Owner: owner, Age: age, Row: &rows[i]})
		dirty.Row(rows[i].Ref)
	}
	for i := range old.facts.Rows {
		ref := old.facts.Rows[i].Ref
		if find(rows, ref) == nil {
			s.dropRow(owner, ref)
			dirty.Row(ref)
		}
	}
}

func find(rows []fact.Row, ref fact.Ref) *fact.Row {
	for i := range rows {
		if rows[i].Ref == ref {
			return &rows[i]
		}
	}
	return nil
}

func same(a, b *fact.Row) bool {
	return a.Parent == b.Parent && reflect.DeepEqual(a.Columns, b.Columns)
}

func (s *State) addRow(c Claimed) {
	claims := append(s.rows[c.Row.Ref], c)
	slices.SortFunc(claims, func(a, b Claimed) int {
		return cmp.Or(cmp.Compare(a.Age, b.Age), a.Owner.Compare(b.Owner))
	})
	s.rows[c.Row.Ref] = claims
}

func (s *State) dropRow(owner fact.Owner, ref fact.Ref) {
	claims := slices.DeleteFunc(s.rows[ref], func(c Claimed) bool { return c.Owner == owner })
	if len(claims) == 0 {
		delete(s.rows, ref)
		return
	}
	s.rows[ref] = claims
}

func (s *State) setMembers(owner fact.Owner, old, now []fact.Member, dirty *Dirty) {
	for _, m := range now {
		if slices.Contains(old, m) {
			continue
		}
		if s.addMember(owner, KeyOf(m)) {
			dirty.Member(KeyOf(m))
		}
		s.contest(KeyOf(m), dirty)
	}
	for _, m := range old {
		if slices.Contains(now, m) {
			continue
		}
		s.contest(KeyOf(m), dirty)
		if s.dropMember(owner, KeyOf(m)) {
			dirty.Member(KeyOf(m))
		}
	}
}

func (s *State) addMember(owner fact.Owner, k MemberKey) (first bool) {
	h, ok := s.members[k]
	if ok {
		h.add(owner)
		return false
	}
	s.members[k] = &holders{one: owner}
	s.addToSlot(k)
	if s.byRow[k.Ref] == nil {
		s.byRow[k.Ref] = map[MemberKey]struct{}{}
	}
	s.byRow[k.Ref][k] = struct{}{}
	return true
}

func (s *State) dropMember(owner fact.Owner, k MemberKey) (last bool) {
	h, ok := s.members[k]
	if !ok || !h.drop(owner) {
		return false
	}
	delete(s.members, k)
	s.dropFromSlot(k)
	delete(s.byRow[k.Ref], k)
	if len(s.byRow[k.Ref]) == 0 {
		delete(s.byRow, k.Ref)
	}
	return true
}

// Row returns the declaration of a row that wins. ok is false when no owner declares the row.
func (s *State) Row(ref fact.Ref) (Claimed, bool) {
	claims := s.rows[ref]
	if len(claims) == 0 {
		return Claimed{}, false
	}
	return claims[0], true
}

// Member returns an owner of a member. ok is false when it has none, or when an older owner declares another value for
// the same key.
func (s *State) Member(k MemberKey) (fact.Owner, bool) {
	h, ok := s.members[k]
	if !ok || s.winner(k) != k {
		return fact.Owner{}, false
	}
	return h.first(), true
}

// Wants reports whether an owner declares a row (a key without a column) or a member.
func (s *State) Wants(k MemberKey) bool {
	if k.Column == "" {
		return len(s.rows[k.Ref]) > 0
	}
	_, wanted := s.Member(k)
	return wanted
}

// MembersOf returns the declared members of a row.
func (s *State) MembersOf(ref fact.Ref) map[MemberKey]struct{} { return s.byRow[ref] }

// All marks everything dirty, for the full comparison after a start or a reconnect.
func (s *State) All(dirty *Dirty) {
	for ref := range s.rows {
		dirty.Row(ref)
	}
	for k := range s.members {
		dirty.Member(k)
	}
}

// Facts returns what an owner declares.
func (s *State) Facts(owner fact.Owner) fact.Set {
	if o, ok := s.owners[owner]; ok {
		return o.facts
	}
	return fact.Set{}
}

// Owners yields the owners that have facts, in no particular order.
func (s *State) Owners() iter.Seq[fact.Owner] { return maps.Keys(s.owners) }

// Conflicts returns the rows, and the keys of maps, that this owner declares but loses, because an older owner declares
// them with different content.
func (s *State) Conflicts(owner fact.Owner) []Conflict {
	o, ok := s.owners[owner]
	if !ok {
		return nil
	}
	var out []Conflict
	for i := range o.facts.Rows {
		row := &o.facts.Rows[i]
		if winner := s.rows[row.Ref][0]; winner.Owner != owner && !same(winner.Row, row) {
			out = append(out, Conflict{Loser: owner, Winner: winner.Owner, Row: row.Ref, ID: row.ID})
		}
	}
	for _, m := range o.facts.Members {
		if won := s.winner(KeyOf(m)); won != KeyOf(m) {
			out = append(out, Conflict{Loser: owner, Winner: s.claimOf(won).owner, Row: m.Ref, Column: m.Column, Key: m.Key})
		}
	}
	return out
}

// Rivals returns the other owners that declare one of the rows, or another value for a key of a map. A change of owner
// may change their conflicts.
func (s *State) Rivals(owner fact.Owner, facts fact.Set) []fact.Owner {
	var out []fact.Owner
	for i := range facts.Rows {
		for _, c := range s.rows[facts.Rows[i].Ref] {
			out = append(out, c.Owner)
		}
	}
	for _, m := range facts.Members {
		if k := KeyOf(m); inSlot(k) {
			for _, value := range s.slots[slotOf(k)] {
				out = slices.AppendSeq(out, s.members[value].all())
			}
		}
	}
	return slices.DeleteFunc(out, func(o fact.Owner) bool { return o == owner })
}
