// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
)

// Parents reads which rows refer to which children in a column that is not monitored: child UUID → parent UUIDs.
func Parents(ctx context.Context, db DB, in fact.Parent) (map[string][]string, error) {
	results, err := db.Transact(ctx, ovsdb.Operation{
		Op: ovsdb.OperationSelect, Table: in.Table, Where: []ovsdb.Condition{},
		Columns: []string{"_uuid", in.Column},
	})
	if err == nil {
		err = firstError(results)
	}
	if err != nil {
		return nil, fmt.Errorf("select %s of %s: %w", in.Column, in.Table, err)
	}
	parents := map[string][]string{}
	for _, row := range results[0].Rows {
		parent, ok := row["_uuid"].(ovsdb.UUID)
		if !ok {
			continue
		}
		for _, child := range uuids(row[in.Column]) {
			parents[child] = append(parents[child], parent.GoUUID)
		}
	}
	return parents, nil
}

// uuids reads a set of references. A set of one element may be encoded as the element (RFC 7047 §5.1).
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
