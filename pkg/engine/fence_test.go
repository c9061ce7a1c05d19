// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

// In these tests the engine's clock stands still: what waits for a pause never happens.

func standstill() time.Time { return time.Unix(1_700_000_000, 0) }

// lease is a lease in memory.
type lease struct{ held, renewed atomic.Bool }

func newLease() *lease {
	l := &lease{}
	l.held.Store(true)
	return l
}

func (l *lease) Holds() bool                 { return l.held.Load() }
func (l *lease) RenewedSince(time.Time) bool { return l.renewed.Load() }

// global is the row with the epoch in the database, as the controller knows it.
func (c *controller) global() *nb.NBGlobal { return globalOf(c.db) }

func globalOf(db *client.DB) *nb.NBGlobal {
	for _, uuid := range db.UUIDs(nb.NBGlobalTable) {
		if row, ok := db.Peek(nb.NBGlobalTable, uuid).(*nb.NBGlobal); ok {
			return row
		}
	}
	return &nb.NBGlobal{}
}

// A wiped database, and one restored from an older copy, are written at once.
func TestLostDatabaseIsRefilledAtOnce(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	empty := server.Copy()
	c := runWith(t, a, server.Endpoint(), newLease(), standstill)
	c.Lead(true)
	for i := range 20 {
		a.send(pod(i))
	}
	eventually(t, "20 ports", func() bool { return c.count() == 20 })
	for name, database := range map[string][]byte{"without any row": nil, "before the first epoch": empty, "of this epoch": server.Copy()} {
		server.Restore(database)
		admin := server.Client(t)
		eventually(t, "the mark in a database "+name, func() bool {
			return globalOf(admin).ExternalIDs[commit.CompleteKey] == "true"
		})
		if got := admin.Len(nb.LogicalSwitchPortTable); got != 22 {
			t.Errorf("a database %s is marked as complete and has %d ports, want 22", name, got)
		}
	}
}

// A former leader that comes back while its database is an older copy writes nothing: its lease is not certain.
func TestFormerLeaderDoesNotTakeOverAWipedDatabase(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	l := newLease()
	c := runWith(t, a, server.Endpoint(), l, standstill)
	c.Lead(true)
	a.send(pod(1))
	eventually(t, "the port", func() bool { return c.has(1) })
	l.held.Store(false) // but nobody has called Lead(false) yet
	server.Restore(nil)
	eventually(t, "the connection to the empty database", func() bool { return c.db.Connected() && c.db.Len(nb.LogicalSwitchTable) == 0 })
	other := runWith(t, a, server.Endpoint(), newLease(), standstill)
	a.send(pod(1), pod(2))
	other.Lead(true)
	eventually(t, "the ports by the other", func() bool { return c.has(2) })
	if got := c.global().ExternalIDs[commit.EpochKey]; got != "1" {
		t.Errorf("the epoch is %s, want 1: only the other has taken over", got)
	}
}

// A higher epoch means that another controller leads, unless the lease is renewed after it was found: then the database
// is a restored one.
func TestHigherEpoch(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	l := newLease()
	now := &atomic.Int64{}
	c := runWith(t, a, server.Endpoint(), l, func() time.Time { return standstill().Add(time.Duration(now.Load())) })
	c.Lead(true)
	a.send(pod(1))
	eventually(t, "the port", func() bool { return c.has(1) })
	now.Store(int64(time.Hour)) // not shortly after the begin of the epoch
	admin := server.Client(t)
	ids := ovsdb.OvsMap{GoMap: map[any]any{commit.EpochKey: "700"}}
	if err := nbtest.Commit(t.Context(), admin, ovsdb.Operation{
		Op: "update", Table: nb.NBGlobalTable, Where: []ovsdb.Condition{}, Row: ovsdb.Row{"external_ids": ids},
	}); err != nil {
		t.Fatal(err)
	}
	a.send(pod(2))
	eventually(t, "an address for the second pod", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return c.global().ExternalIDs[commit.EpochKey] == "700"
	})
	if c.has(2) {
		t.Error("the port of the second pod was written in another leader's epoch")
	}
	l.renewed.Store(true)
	eventually(t, "the port of the second pod", func() bool { return c.has(2) })
	if got := c.global().ExternalIDs[commit.EpochKey]; got != "701" {
		t.Errorf("the epoch is %s, want 701", got)
	}
}
