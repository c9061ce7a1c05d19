// SPDX-License-Identifier: Apache-2.0

package check

import (
	"maps"
	"reflect"
	"testing"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
	"github.com/wovensdn/woven/pkg/world"
)

// writeCompiled fills the northbound database with the results of the compile functions for all objects except pods.
func writeCompiled(t *testing.T, s *State) {
	t.Helper()
	c := comparisonOf(t, s)
	w := c.world
	var all fact.Set
	for kind, compileOne := range compile.Functions(DefaultNames) {
		for _, ref := range c.world.Refs(kind) {
			var result compile.Result
			w.Read(ref, func(v *world.View) { result = compileOne(ref, v) })
			for _, row := range result.Rows {
				addRow(t, s.NB, ref, row)
			}
			all.Rows, all.Members = append(all.Rows, result.Rows...), append(all.Members, result.Members...)
		}
	}
	for _, row := range all.Rows {
		if row.Parent.UUID != "" {
			appendTo(s.NB, row.Parent, fact.TableOf(row.Table).ParentColumn(row.Parent.Table), row.UUID)
		}
	}
	for _, m := range all.Members {
		appendTo(s.NB, m.Ref, m.Column, m.Value)
	}
	bind(s, portOf(s, "node-n1"))
	for _, row := range rowsOf[nb.LogicalRouterPort](s.NB, nb.LogicalRouterPortTable) {
		s.SB.Add(sb.PortBindingTable, &sb.PortBinding{UUID: "binding-" + row.Name, LogicalPort: row.Name, Type: "patch", ExternalIDs: row.ExternalIDs})
	}
}

// addRow adds a row like the controller: with its UUID and marks.
func addRow(t *testing.T, rows Rows, owner model.Ref, row fact.Row) {
	t.Helper()
	columns, ok := row.Columns.(interface{ GetUUID() string })
	if !ok {
		t.Fatalf("%T is not a row", row.Columns)
	}
	v := reflect.ValueOf(columns).Elem()
	v.FieldByName("UUID").SetString(row.UUID)
	ids := maps.Clone(fact.TableOf(row.Table).ExternalIDs(columns))
	if ids == nil {
		ids = map[string]string{}
	}
	ids[fact.VendorKey], ids[fact.OwnerKey] = fact.Vendor, owner.String()
	if field := v.FieldByName("ExternalIDs"); field.IsValid() {
		field.Set(reflect.ValueOf(ids))
	}
	rows.Add(row.Table, columns)
}

func appendTo(rows Rows, of fact.Ref, column, value string) {
	list := fact.TableOf(of.Table).Column(column).Value(rows[of.Table][of.UUID])
	list.Set(reflect.Append(list, reflect.ValueOf(value)))
}
