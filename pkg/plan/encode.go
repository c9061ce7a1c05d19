// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// Op is one operation of a transaction and the units that it is part of.
type Op struct {
	Operation ovsdb.Operation
	Units     []int // indexes into the encoded units
	// OneRow means that the operation must affect one row: count 0 means that the row has been deleted meanwhile.
	OneRow bool
}

// Encode converts units to operations. Members of one column share one mutation: the server then copies a set of 50,000
// elements once, not once per new element.
func Encode(units []Unit) []Op {
	var ops []Op
	var links linkSet
	for i, u := range units {
		switch u.Action {
		case Insert:
			ops = append(ops, Op{Units: []int{i}, Operation: ovsdb.Operation{
				Op: ovsdb.OperationInsert, Table: u.Ref.Table, UUID: u.Ref.UUID, Row: u.Row,
			}})
		case Update:
			ops = append(ops, updateOps(i, u)...)
		case Delete:
			if len(u.Unlinks) == 0 || !fact.TableOf(u.Ref.Table).Child() { // else the database deletes it with its parent's reference
				ops = append(ops, deleteOp(i, u))
			}
		case Link, Unlink:
		}
		for _, k := range u.Links {
			links.of(k).addKey(i, k)
		}
		for _, k := range u.Unlinks {
			links.of(k).removeKey(i, k)
		}
	}
	for _, l := range links.order {
		ops = append(ops, l.op())
	}
	return ops
}

func where(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

func updateOps(i int, u Unit) []Op {
	var ops []Op
	if len(u.Row) > 0 {
		ops = append(ops, Op{Units: []int{i}, OneRow: true, Operation: ovsdb.Operation{
			Op: ovsdb.OperationUpdate, Table: u.Ref.Table, Where: where(u.Ref.UUID), Row: u.Row,
		}})
	}
	var mutations []ovsdb.Mutation
	if len(u.DropKeys) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(externalIDs, ovsdb.MutateOperationDelete, setOf(u.DropKeys)))
	}
	if len(u.SetKeys) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(externalIDs, ovsdb.MutateOperationInsert, mapOf(u.SetKeys)))
	}
	if len(mutations) > 0 {
		ops = append(ops, Op{Units: []int{i}, OneRow: true, Operation: ovsdb.Operation{
			Op: ovsdb.OperationMutate, Table: u.Ref.Table, Where: where(u.Ref.UUID), Mutations: mutations,
		}})
	}
	return ops
}

func deleteOp(i int, u Unit) Op {
	return Op{Units: []int{i}, Operation: ovsdb.Operation{
		Op: ovsdb.OperationDelete, Table: u.Ref.Table, Where: where(u.Ref.UUID),
	}}
}

func setOf(values []string) ovsdb.OvsSet {
	set := ovsdb.OvsSet{GoSet: make([]any, 0, len(values))}
	for _, v := range values {
		set.GoSet = append(set.GoSet, v)
	}
	return set
}

// linkSet collects the changes of each shared column, in order of first use.
type linkSet struct {
	order []*columnLinks
	byKey map[columnKey]*columnLinks
}

// index adds the last column to the map. A single column needs no map.
func (s *linkSet) index() {
	if s.byKey == nil {
		s.byKey = map[columnKey]*columnLinks{s.order[0].columnKey: s.order[0]}
	}
	last := s.order[len(s.order)-1]
	s.byKey[last.columnKey] = last
}

type columnKey struct {
	ref    fact.Ref
	column string
}

type columnLinks struct {
	columnKey
	units     []int
	add, drop []desired.MemberKey
}

func (s *linkSet) of(k desired.MemberKey) *columnLinks {
	key := columnKey{k.Ref, k.Column}
	if n := len(s.order); n > 0 && s.order[n-1].columnKey == key { // the pods of one switch are consecutive
		return s.order[n-1]
	}
	if l, ok := s.byKey[key]; ok {
		return l
	}
	l := &columnLinks{columnKey: key}
	if s.order = append(s.order, l); len(s.order) > 1 {
		s.index()
	}
	return l
}

func (l *columnLinks) serve(i int) {
	if len(l.units) == 0 || l.units[len(l.units)-1] != i {
		l.units = append(l.units, i)
	}
}

func (l *columnLinks) addKey(i int, k desired.MemberKey) { l.serve(i); l.add = append(l.add, k) }

func (l *columnLinks) removeKey(i int, k desired.MemberKey) { l.serve(i); l.drop = append(l.drop, k) }

// op is one mutate operation. Removals come first, so that a key of a map can get a new value: "insert" keeps an
// existing key as it is (RFC 7047 §5.1).
func (l *columnLinks) op() Op {
	var mutations []ovsdb.Mutation
	if drop := slices.Concat(l.drop, keyed(l.add)); len(drop) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(l.column, ovsdb.MutateOperationDelete, l.elements(drop, true)))
	}
	if len(l.add) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation(l.column, ovsdb.MutateOperationInsert, l.elements(l.add, false)))
	}
	return Op{Units: l.units, OneRow: true, Operation: ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: l.ref.Table, Where: where(l.ref.UUID), Mutations: mutations,
	}}
}

func keyed(keys []desired.MemberKey) []desired.MemberKey {
	if len(keys) > 0 && keys[0].Key != "" {
		return keys
	}
	return nil
}

// elements are the value of a mutation: a map for additions to a map column, a set of keys for removals from one, else
// a set of values.
func (l *columnLinks) elements(keys []desired.MemberKey, removal bool) any {
	isUUID := fact.TableOf(l.ref.Table).Column(l.column).UUID
	if keys[0].Key != "" && !removal {
		m := ovsdb.OvsMap{GoMap: make(map[any]any, len(keys))}
		for _, k := range keys {
			m.GoMap[k.Key] = k.Value
		}
		return m
	}
	set := ovsdb.OvsSet{GoSet: make([]any, 0, len(keys))}
	for _, k := range keys {
		switch {
		case k.Key != "":
			set.GoSet = append(set.GoSet, k.Key)
		case isUUID:
			set.GoSet = append(set.GoSet, ovsdb.UUID{GoUUID: k.Value})
		default:
			set.GoSet = append(set.GoSet, k.Value)
		}
	}
	return set
}
