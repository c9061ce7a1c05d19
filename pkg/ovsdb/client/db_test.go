package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

const patience = 60 * time.Second

// bounded is a context that ends with the test or when something hangs.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func insertSwitch(uuid, name string) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchTable, UUID: uuid, Row: ovsdb.Row{"name": name}}
}

func TestTransactReadsItsOwnWrites(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	ctx := bounded(t)
	for i := range 200 {
		id := testUUID(i)
		if err := nbtest.Commit(ctx, db, insertSwitch(id, "sw")); err != nil {
			t.Fatal(err)
		}
		row, ok := db.Row(nb.LogicalSwitchTable, id).(*nb.LogicalSwitch)
		if !ok || row.Name != "sw" || row.UUID != id {
			t.Fatalf("transaction %d: cache holds %+v", i, row)
		}
	}
	if n := db.Len(nb.LogicalSwitchTable); n != 200 {
		t.Errorf("cache holds %d rows, want 200", n)
	}
}

var _ = client.NB
