// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

var switches = []client.Table{{Name: nb.LogicalSwitchTable}}

// recorder is a Handler that records events and fails the test on concurrent calls.
type recorder struct {
	t    testing.TB
	busy sync.Mutex

	mu     sync.Mutex
	events []string
	more   chan struct{}
}

func newRecorder(t testing.TB) *recorder { return &recorder{t: t, more: make(chan struct{})} }

func (r *recorder) note(event string) {
	if !r.busy.TryLock() {
		r.t.Error("handler called concurrently")
		return
	}
	defer r.busy.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
	close(r.more)
	r.more = make(chan struct{})
}

func (r *recorder) Synced()                    { r.note("synced") }
func (r *recorder) Changed(table, uuid string) { r.note(table + " " + uuid) }
func (r *recorder) Lost(error)                 { r.note("lost") }

// await waits until the last events are want.
func (r *recorder) await(ctx context.Context, want ...string) {
	r.t.Helper()
	for {
		r.mu.Lock()
		got, more := slices.Clone(r.events), r.more
		r.mu.Unlock()
		if len(got) >= len(want) && slices.Equal(got[len(got)-len(want):], want) {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			r.t.Fatalf("events %s\nwant at the end %s", strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
}

func TestHandlerReceivesChangesInOrder(t *testing.T) {
	server := nbtest.Start(t)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: switches, Handler: r,
	})
	ctx := bounded(t)
	r.await(ctx, "synced")
	other := server.Client(t)
	one, two := "Logical_Switch "+testUUID(1), "Logical_Switch "+testUUID(2)
	commit(t, other, insertSwitch(testUUID(1), "a"))
	r.await(ctx, "synced", one)
	commit(t, db, insertSwitch(testUUID(2), "b"))
	r.await(ctx, "synced", one, two)
	commit(t, other, ovsdb.Operation{Op: ovsdb.OperationDelete, Table: nb.LogicalSwitchTable, Where: []ovsdb.Condition{
		ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: testUUID(1)}),
	}})
	r.await(ctx, "synced", one, two, one)
}

func TestReconnectsAfterTheServerWasKilled(t *testing.T) {
	server := nbtest.Start(t)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: switches, Handler: r,
	})
	ctx := bounded(t)
	commit(t, db, insertSwitch(testUUID(1), "a"))
	for range 3 {
		server.Stop()
		r.await(ctx, "lost")
		if db.Connected() {
			t.Error("connected to a dead server")
		}
		if getSwitch(db, testUUID(1)) == nil {
			t.Error("reads do not return the last cache while disconnected")
		}
		if _, err := db.Transact(ctx, insertSwitch(testUUID(2), "b")); !errors.Is(err, client.ErrNotConnected) {
			t.Errorf("Transact while disconnected = %v", err)
		}
		server.Restart()
		r.await(ctx, "lost", "synced")
		if err := db.WaitSynced(ctx); err != nil {
			t.Fatal(err)
		}
		commit(t, db, ovsdb.Operation{
			Op: ovsdb.OperationUpdate, Table: nb.LogicalSwitchTable, Where: []ovsdb.Condition{},
			Row: ovsdb.Row{"name": "after"},
		})
	}
}

func TestReconnectSyncsMissedChanges(t *testing.T) {
	t.Parallel()
	server := nbtest.Start(t)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: switches, Handler: r, Probe: probe,
	})
	ctx := bounded(t)
	commit(t, db, insertSwitch(testUUID(1), "a"), insertSwitch(testUUID(2), "b"))
	server.Pause()
	r.await(ctx, "lost")
	server.Stop()
	server.Edit(t, insertSwitch(testUUID(3), "c"), ovsdb.Operation{
		Op: ovsdb.OperationDelete, Table: nb.LogicalSwitchTable,
		Where: []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "a")},
	})
	server.Restart()
	r.await(ctx, "lost", "synced")
	if getSwitch(db, testUUID(1)) != nil || getSwitch(db, testUUID(2)) == nil || getSwitch(db, testUUID(3)) == nil {
		t.Errorf("cache has %v, want the rows b and c", db.UUIDs(nb.LogicalSwitchTable))
	}
}

// While the server hangs, with a transaction in flight that is too large for the socket's buffer, nothing else may
// hang. When the server continues, the same DB must recover.
func TestHangingServerBlocksNobody(t *testing.T) {
	t.Parallel()
	server := nbtest.Start(t)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: switches, Handler: r, Probe: probe,
	})
	ctx := bounded(t)
	commit(t, db, insertSwitch(testUUID(1), "a"))
	server.Pause()
	results := make(chan error)
	for i := range 4 {
		go func() {
			_, err := db.Transact(ctx, insertSwitch(testUUID(10+i), strings.Repeat("x", 4<<20)))
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; !errors.Is(err, client.ErrUnknownOutcome) && !errors.Is(err, client.ErrNotConnected) {
			t.Errorf("Transact to a hanging server = %v", err)
		}
	}
	r.await(ctx, "lost")
	if getSwitch(db, testUUID(1)) == nil || db.Len(nb.LogicalSwitchTable) == 0 {
		t.Error("reads do not return the last cache while the server hangs")
	}
	server.Resume()
	if err := db.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	commit(t, db, insertSwitch(testUUID(2), "b"))
}

func TestSwitchesFromHangingEndpoint(t *testing.T) {
	t.Parallel()
	first, second := nbtest.Start(t), nbtest.Start(t)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{first.Endpoint(), second.Endpoint()},
		Tables: switches, Handler: r, Probe: probe,
	})
	ctx := bounded(t)
	commit(t, db, insertSwitch(testUUID(1), "on the first"))
	first.Pause()
	r.await(ctx, "lost", "synced")
	if getSwitch(db, testUUID(1)) != nil {
		t.Error("the cache still has the first server's rows")
	}
	commit(t, db, insertSwitch(testUUID(2), "on the second"))
}

func TestStartsWithHangingFirstEndpoint(t *testing.T) {
	t.Parallel()
	first, second := nbtest.Start(t), nbtest.Start(t)
	first.Pause()
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{first.Endpoint(), second.Endpoint()}, Tables: switches, Probe: probe,
	})
	commit(t, db, insertSwitch(testUUID(1), "a"))
}

func TestClusterSurvivesHangingAndKilledLeaders(t *testing.T) {
	t.Parallel()
	cluster := nbtest.StartCluster(t, 3)
	r := newRecorder(t)
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: cluster.Endpoints(), Tables: switches, Handler: r, Probe: probe,
	})
	ctx := bounded(t)
	commit(t, db, insertSwitch(testUUID(0), "a"))

	paused := cluster.Leader()
	cluster.Servers[paused].Pause()
	r.await(ctx, "lost", "synced")
	commit(t, db, insertSwitch(testUUID(1), "b"))
	killed := cluster.Leader() // before the old leader continues and still considers itself the leader
	cluster.Servers[paused].Resume()
	cluster.Servers[killed].Stop()
	r.await(ctx, "lost", "synced")
	commit(t, db, insertSwitch(testUUID(2), "c"))
	cluster.Servers[killed].Restart()
	if n := db.Len(nb.LogicalSwitchTable); n != 3 {
		t.Errorf("cache has %d rows, want 3", n)
	}
}

// A follower is not used, in any order of endpoints.
func TestUsesTheLeaderOnly(t *testing.T) {
	cluster := nbtest.StartCluster(t, 3)
	leader := cluster.Leader()
	var followers []string
	for i, s := range cluster.Servers {
		if i != leader {
			followers = append(followers, s.Endpoint())
		}
	}
	r, log := newRecorder(t), newLogSink()
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: append(followers, cluster.Servers[leader].Endpoint()), Tables: switches,
		Handler: r, Log: log.logger(),
	})
	ctx := bounded(t)
	r.await(ctx, "synced")
	log.await(ctx, t, "server is not the leader of its cluster")
	commit(t, db, insertSwitch(testUUID(1), "a"))
	cluster.TransferLeader()
	r.await(ctx, "lost", "synced")
	commit(t, db, insertSwitch(testUUID(2), "b"))
	if n := db.Len(nb.LogicalSwitchTable); n != 2 {
		t.Errorf("cache has %d rows, want 2", n)
	}
	// The new leader knew our last transaction and sent only the changes.
	log.await(ctx, t, `"resumed"=true`)
}

// A slow handler delays neither reads nor transactions. It receives one event for many changes of one row.
func TestSlowHandlerDelaysNobody(t *testing.T) {
	server := nbtest.Start(t)
	slow := &slowHandler{recorder: newRecorder(t), entered: make(chan struct{}), leave: make(chan struct{})}
	db := nbtest.Connect(t, client.Config{
		Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: switches, Handler: slow,
	})
	commit(t, db, insertSwitch(testUUID(1), "a"))
	<-slow.entered
	for i := range 50 {
		name := fmt.Sprint("name", i)
		commit(t, db, ovsdb.Operation{
			Op: ovsdb.OperationUpdate, Table: nb.LogicalSwitchTable, Where: []ovsdb.Condition{}, Row: ovsdb.Row{"name": name},
		})
		if got := getSwitch(db, testUUID(1)).Name; got != name {
			t.Fatalf("cache has %q, want %q", got, name)
		}
	}
	commit(t, db, insertSwitch(testUUID(2), "b"))
	close(slow.leave)
	one, two := "Logical_Switch "+testUUID(1), "Logical_Switch "+testUUID(2)
	slow.await(bounded(t), "synced", one, one, two)
}

// slowHandler blocks in its first Changed until it is released.
type slowHandler struct {
	*recorder
	once           sync.Once
	entered, leave chan struct{}
}

func (h *slowHandler) Changed(table, uuid string) {
	h.once.Do(func() { close(h.entered); <-h.leave })
	h.recorder.Changed(table, uuid)
}
