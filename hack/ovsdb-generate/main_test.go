// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

func TestLimit(t *testing.T) {
	schema := func() ovsdb.DatabaseSchema {
		return ovsdb.DatabaseSchema{Name: "db", Tables: map[string]ovsdb.TableSchema{"A": {}, "B": {}, "C": {}}}
	}
	for _, tt := range []struct{ name, tables, err string }{
		{"some tables", "A C", ""},
		{"a table that the schema lacks", "A D", "schema db has no table D"},
		{"a table twice", "A A", "sorted and distinct"},
		{"not sorted", "C A", "sorted and distinct"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := schema()
			err := limit(&s, strings.Fields(tt.tables))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil || len(s.Tables) != 2 || s.Table("A") == nil || s.Table("C") == nil {
				t.Errorf("tables %v, error %v", s.Tables, err)
			}
		})
	}
}
