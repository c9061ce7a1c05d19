// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

const (
	// timeout bounds each wait of a test.
	timeout = 60 * time.Second
	// probe is short, so that tests of hanging servers are fast. A live server that is silent for twice as long costs a
	// reconnect, but fails no test.
	probe = 2 * time.Second
)

func TestTransactReadsItsOwnWrites(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	ctx := bounded(t)
	for i := range 200 {
		id := testUUID(i)
		commit(t, db, insertSwitch(id, "sw"))
		row, ok := db.Row(nb.LogicalSwitchTable, id).(*nb.LogicalSwitch)
		if !ok || row.Name != "sw" || row.UUID != id {
			t.Fatalf("transaction %d: cache has %+v", i, row)
		}
	}
	if n := db.Len(nb.LogicalSwitchTable); n != 200 {
		t.Errorf("cache has %d rows, want 200", n)
	}
	byName := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "sw")}
	if err := nbtest.Commit(ctx, db, ovsdb.Operation{
		Op: ovsdb.OperationUpdate, Table: nb.LogicalSwitchTable, Where: byName, Row: ovsdb.Row{"name": "renamed"},
	}); err != nil {
		t.Fatal(err)
	}
	db.Each(nb.LogicalSwitchTable, func(uuid string, row model.Model) bool {
		if row.(*nb.LogicalSwitch).Name != "renamed" { //nolint:forcetypeassert // a panic fails the test
			t.Errorf("row %s is still %+v", uuid, row)
		}
		return true
	})
	commit(t, db, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: nb.LogicalSwitchTable, Where: []ovsdb.Condition{}})
	if n := len(db.UUIDs(nb.LogicalSwitchTable)); n != 0 {
		t.Errorf("cache has %d rows after delete, want none", n)
	}
}

func TestReadsReturnCopiesOrNil(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	commit(t, db, insertSwitch(testUUID(1), "sw"))
	row := getSwitch(db, testUUID(1))
	row.Name = "changed by the reader"
	if got := getSwitch(db, testUUID(1)).Name; got != "sw" {
		t.Errorf("the cache's row was changed through a copy: %q", got)
	}
	if row := db.Row(nb.LogicalSwitchTable, testUUID(2)); row != nil {
		t.Errorf("Row of an unknown uuid = %v, want nil", row)
	}
	if n := db.Len("No_Such_Table"); n != 0 {
		t.Errorf("Len of an unknown table = %d", n)
	}
}

func TestOperationErrorsAreInTheResults(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	op := insertSwitch(testUUID(1), "sw")
	commit(t, db, op)
	results, err := db.Transact(bounded(t), op)
	if err != nil {
		t.Fatalf("Transact: %v", err)
	}
	if len(results) == 0 || results[0].Error != "duplicate uuid" {
		t.Errorf("results of a second insert with the same uuid: %+v", results)
	}
}

func TestOperationsThatLibovsdbCannotEncode(t *testing.T) {
	db := nbtest.Start(t).Client(t)
	now := 0
	commit(t, db,
		ovsdb.Operation{
			Op: ovsdb.OperationWait, Table: nb.LogicalSwitchTable, Timeout: &now, Until: "==",
			Columns: []string{"name"}, Where: []ovsdb.Condition{},
		},
		ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchTable},
	)
	all, err := db.Transact(bounded(t), ovsdb.Operation{Op: ovsdb.OperationSelect, Table: nb.LogicalSwitchTable})
	if err != nil || len(all) != 1 || len(all[0].Rows) != 1 {
		t.Errorf("select = %+v, %v; want one row", all, err)
	}
	results, err := db.Transact(bounded(t), ovsdb.Operation{Op: ovsdb.OperationDelete, Table: nb.LogicalSwitchTable})
	if err != nil || results[0].Error == "" {
		t.Errorf("a delete without a condition was accepted: %+v, %v", results, err)
	}
}

func TestTransactHonoursItsContext(t *testing.T) {
	server := nbtest.Start(t)
	db := server.Client(t)
	timeout := int(timeout.Milliseconds())
	wait := ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: nb.LogicalSwitchTable, Timeout: &timeout, Until: "==", Columns: []string{"name"},
		Where: []ovsdb.Condition{}, Rows: []ovsdb.Row{{"name": "never"}},
	}
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error, 1)
	go func() {
		_, err := db.Transact(ctx, wait, insertSwitch(testUUID(1), "never"))
		done <- err
	}()
	commit(t, db, insertSwitch(testUUID(2), "other")) // the waiting transaction blocks no other
	cancel()
	if err := <-done; !errors.Is(err, client.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("Transact = %v, want unknown outcome and canceled", err)
	}
	if _, err := db.Transact(ctx, wait); !errors.Is(err, context.Canceled) {
		t.Errorf("Transact with an ended context = %v", err)
	}
	// The server has cancelled the transaction: otherwise this commit would satisfy its wait.
	commit(t, db, ovsdb.Operation{
		Op: ovsdb.OperationUpdate, Table: nb.LogicalSwitchTable, Where: []ovsdb.Condition{}, Row: ovsdb.Row{"name": "never"},
	})
	if db.Row(nb.LogicalSwitchTable, testUUID(1)) != nil {
		t.Error("a cancelled transaction was committed")
	}
}

func TestTransactWithoutConnection(t *testing.T) {
	db, err := client.New(client.Config{Database: client.NB, Endpoints: []string{"unix:/nonexistent/sock"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Transact(t.Context(), insertSwitch(testUUID(1), "sw")); !errors.Is(err, client.ErrNotConnected) {
		t.Errorf("Transact = %v, want ErrNotConnected", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.WaitSynced(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitSynced = %v, want canceled", err)
	}
	if err := db.Run(ctx); err != nil {
		t.Errorf("Run after the end of its context = %v, want nil", err)
	}
}

func TestUnmonitoredColumnsAndConditions(t *testing.T) {
	server := nbtest.Start(t)
	db := server.Client(t,
		client.Table{Name: nb.LogicalSwitchTable, Except: []string{"ports"}},
		client.Table{Name: nb.LogicalSwitchPortTable, Only: []string{"name", "type"}, Where: []ovsdb.Condition{
			ovsdb.NewCondition("type", ovsdb.ConditionEqual, "router"),
		}},
	)
	sw, p1, p2 := testUUID(1), testUUID(2), testUUID(3)
	commit(t, db, insertSwitch(sw, "sw"),
		insertPort(p1, "a", "router"), attachPort(sw, p1), insertPort(p2, "b", ""), attachPort(sw, p2))
	if row := getSwitch(db, sw); row.Name != "sw" || len(row.Ports) != 0 {
		t.Errorf("switch = %+v, want no ports", row)
	}
	if got := db.UUIDs(nb.LogicalSwitchPortTable); !slices.Equal(got, []string{p1}) {
		t.Errorf("ports in the cache: %v, want only %s", got, p1)
	}
	row, _ := db.Row(nb.LogicalSwitchPortTable, p1).(*nb.LogicalSwitchPort)
	if row == nil || row.Name != "a" || len(row.Addresses) != 0 {
		t.Errorf("port = %+v, want only name and type", row)
	}
	if n := db.Len(nb.NBGlobalTable); n != 0 {
		t.Errorf("an unmonitored table has %d rows", n)
	}
	full := server.Client(t)
	if got := getSwitch(full, sw).Ports; len(got) != 2 {
		t.Errorf("ports = %v, want two", got)
	}
}

func TestSouthboundAndOpenVSwitch(t *testing.T) {
	if n := nbtest.StartSB(t).Client(t).Len("SB_Global"); n != 1 {
		t.Errorf("SB_Global has %d rows, want 1", n)
	}
	if n := nbtest.StartVS(t).Client(t).Len("Open_vSwitch"); n != 1 {
		t.Errorf("Open_vSwitch has %d rows, want 1", n)
	}
}
