// SPDX-License-Identifier: Apache-2.0

// Package modeldb is a northbound database in memory, for property tests that
// need thousands of them. It is the database of libovsdb's own server: it
// collects garbage, drops weak references and refuses what a real server
// refuses (unique names, dangling references, values that violate the schema). Requests pass through JSON, as
// they would on the wire.
package modeldb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/ovn-kubernetes/libovsdb/database"
	"github.com/ovn-kubernetes/libovsdb/database/inmemory"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

const name = "OVN_Northbound"

// DB is one database. It implements commit.DB.
type DB struct {
	db database.Database
	// Changed, if set, is called with every row that a transaction changes.
	Changed func(table, uuid string)
}

// New makes an empty database with its NB_Global row.
func New(t testing.TB) *DB {
	t.Helper()
	m, err := nb.FullDatabaseModel()
	if err != nil {
		t.Fatal(err)
	}
	log := logr.Discard()
	d := &DB{db: inmemory.NewDatabase(map[string]model.ClientDBModel{name: m}, &log)}
	if err := d.db.CreateDatabase(name, schema()); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.NBGlobalTable, Row: ovsdb.Row{}}); err != nil {
		t.Fatal(err)
	}
	return d
}

// Transact runs one transaction.
func (d *DB) Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	if hasNull(raw) {
		return nil, errDisconnected
	}
	var sent []ovsdb.Operation
	if err := json.Unmarshal(raw, &sent); err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	if results := violation(sent); results != nil {
		return results, nil
	}
	sent, more := d.withoutDangling(sent)
	pointers, update := d.db.NewTransaction(name).Transact(sent...)
	results := make([]ovsdb.OperationResult, len(pointers))
	for i, r := range pointers {
		if r != nil {
			results[i] = *r
		}
	}
	if slices.ContainsFunc(results, func(r ovsdb.OperationResult) bool { return r.Error != "" }) {
		return results[more:], nil
	}
	if err := d.db.Commit(name, uuid.New(), update); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if d.Changed == nil {
		return results[more:], nil
	}
	for _, table := range update.GetUpdatedTables() {
		err = update.ForEachRowUpdate(table, func(uuid string, _ ovsdb.RowUpdate2) error {
			d.Changed(table, uuid)
			return nil
		})
	}
	return results[more:], err
}

// Commit runs one transaction and makes an error of the first operation that fails.
func (d *DB) Commit(ops ...ovsdb.Operation) error {
	results, err := d.Transact(context.Background(), ops...)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Error != "" {
			return fmt.Errorf("%s: %s", r.Error, r.Details)
		}
	}
	return nil
}

// Row gives a copy of a row, nil when it is not there.
func (d *DB) Row(table, uuid string) model.Model {
	row, err := d.db.Get(name, table, uuid)
	if err != nil || row == nil {
		return nil
	}
	return row
}

// Peek gives a row as Row does.
func (d *DB) Peek(table, uuid string) model.Model { return d.Row(table, uuid) }

// Each yields the rows of a table.
func (d *DB) Each(table string, fn func(uuid string, row model.Model) bool) {
	rows, err := d.db.List(name, table)
	if err != nil {
		return
	}
	for uuid, row := range rows {
		if !fn(uuid, row) {
			return
		}
	}
}

// Snapshot is the content of all tables that we use, to compare databases.
func (d *DB) Snapshot() map[fact.Ref]model.Model {
	out := map[fact.Ref]model.Model{}
	for _, table := range fact.Tables() {
		d.Each(table.Name, func(uuid string, row model.Model) bool {
			out[fact.Ref{Table: table.Name, UUID: uuid}] = row
			return true
		})
	}
	return out
}
