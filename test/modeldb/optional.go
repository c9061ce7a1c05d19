package modeldb

import (
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
)

// withoutDangling does for optional columns (0 or 1 reference) what a server does at
// the end of a transaction: weak references to rows that are not there are emptied
// (RFC 7047 §3.2). libovsdb's server cannot: its referenceTracker.updateRow empties
// them by a mutation, which does not change a pointer, and tries so for ever
// (v0.8.1, updates/references.go). It mends ops and returns what has to be done
// before them, and how to undo that if they fail.
func (d *DB) withoutDangling(ops []ovsdb.Operation) (empty, restore []ovsdb.Operation) {
	for _, table := range fact.Tables() {
		for column, target := range table.Refers {
			gone, come := d.changes(ops, target)
			for i, op := range ops {
				if uuid, ok := reference(op, table.Name, column); ok && (gone[uuid] || !come[uuid] && d.Row(target, uuid) == nil) {
					ops[i].Row[column] = ovsdb.OvsSet{GoSet: []any{}}
				}
			}
			if len(gone) > 0 {
				d.Each(table.Name, func(uuid string, row model.Model) bool {
					if to, ok := table.Column(column).Value(row).Interface().(*string); ok && to != nil && gone[*to] {
						empty = append(empty, refer(table.Name, uuid, column))
						restore = append(restore, refer(table.Name, uuid, column, ovsdb.UUID{GoUUID: *to}))
					}
					return true
				})
			}
		}
	}
	return empty, restore
}

// changes tells which rows of a table a transaction deletes, and which it inserts.
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

// refer sets an optional column of a row, or empties it.
func refer(table, uuid, column string, to ...any) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationUpdate, Table: table, Row: ovsdb.Row{column: ovsdb.OvsSet{GoSet: append([]any{}, to...)}},
		Where: []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})},
	}
}
