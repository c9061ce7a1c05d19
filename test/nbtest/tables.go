// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"maps"
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// tableNames returns the names of the database's tables, sorted.
func tableNames(t testing.TB, database client.Database) []string {
	t.Helper()
	schema, err := database.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(schema.Tables))
}
