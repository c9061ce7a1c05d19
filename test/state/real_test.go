// SPDX-License-Identifier: Apache-2.0

package state

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

// echo collects the events of the database client.
type echo struct {
	mu      sync.Mutex
	changed []fact.Ref
	woken   chan struct{}
}

func (e *echo) Synced()    {}
func (e *echo) Lost(error) {}

func (e *echo) Changed(table, uuid string) {
	e.mu.Lock()
	e.changed = append(e.changed, fact.Ref{Table: table, UUID: uuid})
	e.mu.Unlock()
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

func (e *echo) take() []fact.Ref {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.changed
	e.changed = nil
	return changed
}

// realHarness is a harness on a real ovsdb-server, with the columns monitored that the controller monitors; full sees
// everything.
func realHarness(t *testing.T) (b *harness, full *client.DB) {
	t.Helper()
	server := nbtest.Start(t)
	e := &echo{woken: make(chan struct{}, 1)}
	db := nbtest.Connect(t, client.Config{Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: commit.Tables(), Handler: e})
	b = newHarness(t, db)
	b.echo = e
	return b, server.Client(t)
}

// TestStatesOnRealServer walks the states on a real ovsdb-server, with tampering between them: what the model database
// may hide shows here.
func TestStatesOnRealServer(t *testing.T) {
	b, full := realHarness(t)
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same walk each time
	b.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, Row: ovsdb.Row{"name": "by-hand"}})
	for _, s := range states() {
		b.become(s)
		b.converge()
		b.compareReal(s.name, full)
		b.tamper(r, b.db)
		b.converge()
		b.compareReal(s.name+", tampered", full)
	}
}

// compareReal waits until the server's content is what a fresh controller makes of the objects.
func (b *harness) compareReal(when string, full *client.DB) {
	b.t.Helper()
	oracle := newModelHarness(b.t)
	oracle.objects = b.objects
	oracle.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, Row: ovsdb.Row{"name": "by-hand"}})
	oracle.restart()
	oracle.converge()
	want := dump(oracle.db)
	deadline := time.After(10 * time.Second)
	for {
		got := dump(full)
		if got == want {
			return
		}
		select {
		case <-b.echo.woken:
			b.converge()
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			b.t.Fatalf("%s: the server differs from what a fresh controller makes of it:\n%s", when, nbtest.Diff(want, got))
		}
	}
}

// TestAudit: a port that someone moves to another switch by hand is put back, although the columns that show it are not
// monitored.
func TestAudit(t *testing.T) {
	b, full := realHarness(t)
	b.become(named(t, "bound namespace"))
	b.converge()
	table := fact.TableOf(nb.LogicalSwitchPortTable)
	in := table.Parents[0]
	uuid := ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: fact.UUIDOf(table.Name, "a.default")}}}
	move := func(sw string, mutator ovsdb.Mutator) ovsdb.Operation {
		return ovsdb.Operation{
			Op: "mutate", Table: in.Table, Where: where(fact.UUIDOf(in.Table, sw)),
			Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", mutator, uuid)},
		}
	}
	b.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, Row: ovsdb.Row{"name": "by-hand"}})
	b.compareReal("before", full)
	b.transact(move("ovn-default", "delete"), move("blue", "insert"))
	parents, err := commit.Parents(t.Context(), b.db, in)
	if err != nil {
		t.Fatal(err)
	}
	b.core.Audited(table, in.Table, parents)
	b.converge()
	b.compareReal("after", full)
}
