package commit

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
)

// Parents reads which rows refer to the children of one table, for a column of
// the parents that is not monitored: child UUID → parent UUIDs.
func Parents(ctx context.Context, db DB, table *fact.Table) (map[string][]string, error) {
	results, err := db.Transact(ctx, ovsdb.Operation{
		Op: ovsdb.OperationSelect, Table: table.Parent, Where: []ovsdb.Condition{},
		Columns: []string{"_uuid", table.ParentColumn},
	})
	if err == nil {
		err = firstError(results)
	}
	if err != nil {
		return nil, fmt.Errorf("select %s of %s: %w", table.ParentColumn, table.Parent, err)
	}
	parents := map[string][]string{}
	for _, row := range results[0].Rows {
		parent, ok := row["_uuid"].(ovsdb.UUID)
		if !ok {
			continue
		}
		for _, child := range uuids(row[table.ParentColumn]) {
			parents[child] = append(parents[child], parent.GoUUID)
		}
	}
	return parents, nil
}

// uuids reads a set of references; one with a single element may come as that element.
func uuids(value any) []string {
	switch v := value.(type) {
	case ovsdb.UUID:
		return []string{v.GoUUID}
	case ovsdb.OvsSet:
		var out []string
		for _, e := range v.GoSet {
			out = append(out, uuids(e)...)
		}
		return out
	default:
		return nil
	}
}
