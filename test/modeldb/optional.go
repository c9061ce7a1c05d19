// SPDX-License-Identifier: Apache-2.0

package modeldb

import (
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// schema is that of the northbound database, without optional references (0 or 1):
// libovsdb's server cannot do them. It empties a dangling one by a mutation, which
// does not change a pointer, and tries so forever (referenceTracker.updateRow in
// v0.8.1, updates/references.go). See [DB.withoutDangling].
func schema() ovsdb.DatabaseSchema {
	s := nb.Schema()
	for _, table := range fact.Tables() {
		for column := range table.Refers {
			s.Tables[table.Name].Columns[column].TypeObj.Key = &ovsdb.BaseType{Type: ovsdb.TypeUUID}
		}
	}
	return s
}

// withoutDangling does for optional references what a server does at the end of a
// transaction: those to rows that are not there are emptied (RFC 7047 §3.2). It
// returns the operations and how many of them it put in front.
func (d *DB) withoutDangling(ops []ovsdb.Operation) ([]ovsdb.Operation, int) {
	var front []ovsdb.Operation
	for _, table := range fact.Tables() {
		for column, target := range table.Refers {
			gone, come := d.changes(ops, target)
			for i, op := range ops {
				if uuid, ok := reference(op, table.Name, column); ok && (gone[uuid] || !come[uuid] && d.Row(target, uuid) == nil) {
					ops[i].Row[column] = ovsdb.OvsSet{GoSet: []any{}}
				}
			}
			if len(gone) == 0 {
				continue
			}
			d.Each(table.Name, func(uuid string, row model.Model) bool {
				if to, ok := table.Column(column).Value(row).Interface().(*string); ok && to != nil && gone[*to] {
					front = append(front, ovsdb.Operation{
						Op: ovsdb.OperationUpdate, Table: table.Name, Row: ovsdb.Row{column: ovsdb.OvsSet{GoSet: []any{}}},
						Where: []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})},
					})
				}
				return true
			})
		}
	}
	return append(front, ops...), len(front)
}

// changes returns which rows of a table a transaction deletes, and which it inserts.
func (d *DB) changes(ops []ovsdb.Operation, table string) (gone, come map[string]bool) {
	gone, come = map[string]bool{}, map[string]bool{}
	for _, op := range ops {
		switch {
		case op.Table != table:
		case op.Op == ovsdb.OperationInsert:
			come[op.UUID] = true
		case op.Op == ovsdb.OperationDelete:
			for _, c := range op.Where {
				if uuid, ok := c.Value.(ovsdb.UUID); ok && c.Column == "_uuid" {
					gone[uuid.GoUUID] = true
				}
			}
		}
	}
	return gone, come
}

// reference is what an insert or update writes into an optional column.
func reference(op ovsdb.Operation, table, column string) (string, bool) {
	if op.Table != table || op.Op != ovsdb.OperationInsert && op.Op != ovsdb.OperationUpdate {
		return "", false
	}
	switch v := op.Row[column].(type) {
	case ovsdb.UUID:
		return v.GoUUID, true
	case ovsdb.OvsSet:
		if len(v.GoSet) == 1 {
			uuid, ok := v.GoSet[0].(ovsdb.UUID)
			return uuid.GoUUID, ok
		}
	}
	return "", false
}
