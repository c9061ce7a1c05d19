// SPDX-License-Identifier: Apache-2.0

package modeldb_test

import (
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/modeldb"
)

func TestConstraints(t *testing.T) {
	for name, c := range map[string]struct {
		change ovsdb.Row
		want   string
	}{
		"valid":              {nil, ""},
		"enumeration":        {ovsdb.Row{"direction": "in"}, "constraint violation"},
		"optional":           {ovsdb.Row{"severity": ovsdb.OvsSet{GoSet: []any{"loud"}}}, "constraint violation"},
		"maximum":            {ovsdb.Row{"priority": 32768}, "constraint violation"},
		"length":             {ovsdb.Row{"name": strings.Repeat("n", 64)}, "constraint violation"},
		"null character":     {ovsdb.Row{"match": "tcp\x00"}, "closed the connection"},
		"a string of a type": {ovsdb.Row{"priority": "high"}, "constraint violation"},
	} {
		row := ovsdb.Row{"direction": "to-lport", "action": "drop"}
		for column, value := range c.change {
			row[column] = value
		}
		err := modeldb.New(t).Commit(ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.ACLTable, Row: row})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
