// SPDX-License-Identifier: Apache-2.0

package commit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	wmodel "github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/test/nbtest"
)

// These tests need a real ovsdb-server: they check what it refuses and how it reports that.

type harness struct {
	t     *testing.T
	db    *client.DB
	fence commit.Fence
	state *desired.State
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	db := nbtest.Connect(t, client.Config{Database: client.NB, Endpoints: []string{nbtest.Start(t).Endpoint()}, Tables: commit.Tables()})
	fence, err := commit.TakeOver(t.Context(), db, commit.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	return &harness{t: t, db: db, fence: fence, state: desired.New()}
}

func owner(name string) fact.Owner {
	return fact.Owner{Kind: wmodel.KindPod, Namespace: "default", Name: name}
}

// units compares everything.
func (h *harness) units() []plan.Unit {
	view := commit.NewView(h.db)
	view.Reset()
	d := desired.NewDirty()
	h.state.All(d)
	return plan.Plan(h.state, view, d).Units
}

func (h *harness) commit(db commit.DB, units []plan.Unit) commit.Outcome {
	return commit.Commit(h.t.Context(), db, h.fence, units)
}

func (h *harness) declareSwitch(name string) {
	var s fact.Set
	s.Row(nb.LogicalSwitchTable, name, &nb.LogicalSwitch{Name: name})
	h.state.Set(owner(name), 1, s, desired.NewDirty())
}

func (h *harness) declarePort(pod, sw, portName string) {
	var s fact.Set
	s.Child(fact.RefTo(nb.LogicalSwitchTable, sw), nb.LogicalSwitchPortTable, pod, &nb.LogicalSwitchPort{Name: portName})
	h.state.Set(owner(pod), 1, s, desired.NewDirty())
}

func (h *harness) has(table, id string) bool { return h.db.Peek(table, fact.UUIDOf(table, id)) != nil }

func TestOneTransactionForAll(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	for i := range 50 {
		h.declarePort(fmt.Sprint("p", i), "ls", fmt.Sprint("p", i))
	}
	out := h.commit(h.db, h.units())
	if out.Err != nil || len(out.Done) != 51 || out.Transactions != 1 || out.Operations != 52 { // 51 rows and one mutation of the switch
		t.Fatalf("%+v", out)
	}
	if left := h.units(); len(left) > 0 {
		t.Errorf("the second comparison has units %+v, want none", left)
	}
}

// Rule 8, a fault that only the commit finds: the name is taken. The error names no operation, so the batch is halved
// until the culprit is alone.
func TestRefusedCommitIsHalved(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	for i := range 20 {
		h.declarePort(fmt.Sprint("p", i), "ls", fmt.Sprint("p", i))
	}
	h.declarePort("double", "ls", "p7")
	out := h.commit(h.db, h.units())
	if out.Err != nil || len(out.Failed) != 1 {
		t.Fatalf("%v, failed %+v", out.Err, out.Failed)
	}
	if got := out.Failed[0].Err.Error(); !strings.Contains(got, "constraint violation") {
		t.Errorf("the error is %q", got)
	}
	ports := h.db.Len(nb.LogicalSwitchPortTable)
	if ports != 20 {
		t.Errorf("%d ports were written, want 20", ports)
	}
}

// Rule 8, a fault in an operation: the unit is excluded together with the other units of its owner.
func TestRefusedOperationExcludesItsOwner(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	var s fact.Set
	s.Child(fact.RefTo(nb.LogicalSwitchTable, "ls"), nb.LogicalSwitchPortTable, "bad-1", &nb.LogicalSwitchPort{Name: "bad-1"})
	s.Child(fact.RefTo(nb.LogicalSwitchTable, "ls"), nb.LogicalSwitchPortTable, "bad-2", &nb.LogicalSwitchPort{Name: "bad-2"})
	h.state.Set(owner("bad"), 1, s, desired.NewDirty())
	h.declarePort("good", "ls", "good")
	units := h.units()
	for i := range units {
		if units[i].Row["name"] == "bad-1" {
			units[i].Row["name"] = 5 // not a string
		}
	}
	out := h.commit(h.db, units)
	if out.Err != nil || len(out.Failed) != 2 || len(out.Done) != 2 {
		t.Fatalf("%v, done %d, failed %+v", out.Err, len(out.Done), out.Failed)
	}
	var refused *commit.RefusedError
	if !errors.As(out.Failed[0].Err, &refused) {
		t.Errorf("the error is %v", out.Failed[0].Err)
	}
	if h.has(nb.LogicalSwitchPortTable, "bad-2") || !h.has(nb.LogicalSwitchPortTable, "good") {
		t.Error("the wrong ports were written")
	}
}

// Rule 3: a second insert of the same row is refused.
func TestDuplicateUUIDIsRefused(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	units := h.units()
	if out := h.commit(h.db, units); out.Err != nil || len(out.Done) != 1 {
		t.Fatalf("%+v", out)
	}
	out := h.commit(h.db, units)
	if len(out.Failed) != 1 || !strings.Contains(out.Failed[0].Err.Error(), "duplicate uuid") {
		t.Errorf("%+v", out)
	}
}

// vanishing is a database in which another client changes rows between the comparison and the commit.
type vanishing struct {
	*client.DB
	once func()
}

func (v *vanishing) Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	v.once()
	return v.DB.Transact(ctx, ops...)
}

// Rule 7: count 0 and a row that the database deleted as unreferenced are found, although the commit succeeds.
func TestLostParentIsNoticed(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	if out := h.commit(h.db, h.units()); out.Err != nil {
		t.Fatal(out.Err)
	}
	h.declarePort("p", "ls", "p")
	db := &vanishing{DB: h.db, once: func() {
		where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "ls")}
		if err := nbtest.Commit(t.Context(), h.db, ovsdb.Operation{Op: "delete", Table: nb.LogicalSwitchTable, Where: where}); err != nil {
			t.Fatal(err)
		}
	}}
	out := h.commit(db, h.units())
	if out.Err != nil || len(out.Stale) != 1 || len(out.Done) != 0 {
		t.Errorf("%+v", out)
	}
}

// Rule 9 on a real server, also with concurrent take-overs.
func TestEpochs(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	units := h.units()
	next, err := commit.TakeOver(t.Context(), h.db, commit.Claim{})
	if err != nil || next.Epoch != h.fence.Epoch+1 {
		t.Fatalf("%+v %v", next, err)
	}
	if out := h.commit(h.db, units); !errors.Is(out.Err, commit.ErrFenced) || h.has(nb.LogicalSwitchTable, "ls") {
		t.Errorf("the old leader was not fenced off: %+v", out)
	}
	h.fence = next
	if out := h.commit(h.db, units); out.Err != nil || !h.has(nb.LogicalSwitchTable, "ls") {
		t.Errorf("the new leader cannot write: %+v", out)
	}
	epochs := make(chan int64, 8)
	for range cap(epochs) {
		go func() {
			fence, err := commit.TakeOver(t.Context(), h.db, commit.Claim{})
			if err != nil {
				t.Error(err)
			}
			epochs <- fence.Epoch
		}()
	}
	seen := map[int64]bool{}
	for range cap(epochs) {
		e := <-epochs
		if seen[e] {
			t.Errorf("two leaders have epoch %d", e)
		}
		seen[e] = true
	}
}

// Units of a transaction without a reply are neither done nor failed: everything is compared again.
func TestLostDatabase(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := commit.Commit(ctx, h.db, h.fence, h.units())
	if out.Err == nil || len(out.Done)+len(out.Failed)+len(out.Stale) != 0 {
		t.Errorf("%+v", out)
	}
}

// Foreign names belong to rows whose UUID is not derived from the name.
func TestViewFindsForeignNames(t *testing.T) {
	h := newHarness(t)
	view := commit.NewView(h.db)
	view.Reset()
	foreign := fact.Ref{Table: nb.LogicalSwitchTable, UUID: fact.UUIDOf("test", "foreign")}
	err := nbtest.Commit(t.Context(), h.db, ovsdb.Operation{Op: "insert", Table: foreign.Table, UUID: foreign.UUID, Row: ovsdb.Row{"name": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	view.Changed(foreign)
	if uuid, ok := view.Foreign(foreign.Table, "x"); !ok || uuid != foreign.UUID {
		t.Errorf("got %q %v", uuid, ok)
	}
	where := []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: foreign.UUID})}
	if err := nbtest.Commit(t.Context(), h.db, ovsdb.Operation{Op: "delete", Table: foreign.Table, Where: where}); err != nil {
		t.Fatal(err)
	}
	view.Changed(foreign)
	if _, ok := view.Foreign(foreign.Table, "x"); ok {
		t.Error("the view still has the name of a deleted row")
	}
}

var _ commit.DB = (*client.DB)(nil)

// Rule 7: a weak reference to a row that was deleted meanwhile is dropped by the database without an error, and found.
func TestDroppedWeakReferenceIsNoticed(t *testing.T) {
	h := newHarness(t)
	h.declareSwitch("ls")
	h.declarePort("p", "ls", "p")
	var group fact.Set
	group.Row(nb.PortGroupTable, "pg", &nb.PortGroup{Name: "pg"})
	h.state.Set(owner("group"), 1, group, desired.NewDirty())
	if out := h.commit(h.db, h.units()); out.Err != nil {
		t.Fatal(out.Err)
	}
	group.Member(fact.RefTo(nb.PortGroupTable, "pg"), "ports", fact.UUIDOf(nb.LogicalSwitchPortTable, "p"))
	h.state.Set(owner("group"), 1, group, desired.NewDirty())
	units := h.units()
	db := &vanishing{DB: h.db, once: func() {
		where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "ls")}
		ports := []ovsdb.Mutation{*ovsdb.NewMutation("ports", "delete", ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: fact.UUIDOf(nb.LogicalSwitchPortTable, "p")}}})}
		if err := nbtest.Commit(t.Context(), h.db, ovsdb.Operation{Op: "mutate", Table: nb.LogicalSwitchTable, Where: where, Mutations: ports}); err != nil {
			t.Fatal(err)
		}
	}}
	if out := h.commit(db, units); out.Err != nil || len(out.Stale) != 1 || len(out.Done) != 0 {
		t.Errorf("%+v", out)
	}
	if out := h.commit(h.db, h.units()); out.Err != nil || len(out.Done) != 2 {
		t.Errorf("second commit: %+v, want port and member done", out)
	}
}

// global writes the external_ids of NB_Global.
func (h *harness) global(ids map[any]any) {
	h.t.Helper()
	if err := nbtest.Commit(h.t.Context(), h.db, ovsdb.Operation{
		Op: "update", Table: nb.NBGlobalTable, Where: []ovsdb.Condition{}, Row: ovsdb.Row{"external_ids": ovsdb.OvsMap{GoMap: ids}},
	}); err != nil {
		h.t.Fatal(err)
	}
}

// No former leader can write after the epoch was lost and another leader has begun one, whatever number that one has.
func TestLostEpochs(t *testing.T) {
	for name, ids := range map[string]map[any]any{
		"missing":   {},
		"no number": {commit.EpochKey: "nonsense"},
		"negative":  {commit.EpochKey: "-1"},
		"too large": {commit.EpochKey: "9223372036854775807"},
		"older":     {commit.EpochKey: "0", commit.LeaderKey: "1b2c3d4e-0000-4000-8000-000000000000", "x": "y"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			former := h.fence
			if former.Relation(h.db) != commit.Current {
				t.Error("the leader's own epoch is not current")
			}
			h.global(ids)
			if former.Relation(h.db) != commit.Lost {
				t.Error("the epoch is not lost")
			}
			fresh, err := commit.TakeOver(t.Context(), h.db, commit.Claim{}) // of a process that knows no epoch
			if err != nil || fresh.Epoch != former.Epoch {
				t.Fatalf("%+v %v", fresh, err)
			}
			h.declareSwitch("ls")
			units := h.units()
			if out := h.commit(h.db, units); !errors.Is(out.Err, commit.ErrFenced) {
				t.Errorf("the former leader with the same number was not refused: %+v", out)
			}
			if former.Relation(h.db) != commit.Passed {
				t.Error("the former leader does not see that another one leads")
			}
			known, err := commit.TakeOver(t.Context(), h.db, commit.Claim{Above: 41})
			if err != nil || known.Epoch != 42 || fresh.Relation(h.db) != commit.Passed {
				t.Errorf("%+v %v", known, err)
			}
			h.fence = known
			if out := h.commit(h.db, units); out.Err != nil {
				t.Error(out.Err)
			}
		})
	}
}

// A database that was wiped has no NB_Global row either. Of several leaders one inserts it.
func TestTakeOverOfAnEmptyDatabase(t *testing.T) {
	server := nbtest.Start(t)
	server.Restore(nil)
	db := nbtest.Connect(t, client.Config{Database: client.NB, Endpoints: []string{server.Endpoint()}, Tables: commit.Tables()})
	fences := make(chan commit.Fence, 4)
	for range cap(fences) {
		go func() {
			fence, err := commit.TakeOver(t.Context(), db, commit.Claim{})
			if err != nil {
				t.Error(err)
			}
			fences <- fence
		}()
	}
	current := 0
	for range cap(fences) {
		if f := <-fences; f.Epoch == int64(cap(fences)) && f.Relation(db) == commit.Current {
			current++
		}
	}
	if current != 1 || db.Len(nb.NBGlobalTable) != 1 {
		t.Errorf("%d leaders, %d rows, want one of each", current, db.Len(nb.NBGlobalTable))
	}
}

// A process that lost the lease while it was paused between its read and its write is refused.
func TestTakeOverNeedsTheLease(t *testing.T) {
	h := newHarness(t)
	if _, err := commit.TakeOver(t.Context(), h.db, commit.Claim{Permit: func() bool { return false }}); !errors.Is(err, commit.ErrNotPermitted) {
		t.Errorf("got %v", err)
	}
	answers := []bool{true, false}
	_, err := commit.TakeOver(t.Context(), h.db, commit.Claim{Permit: func() bool {
		answer := answers[0]
		answers = answers[1:]
		if answer {
			var err error
			if h.fence, err = commit.TakeOver(t.Context(), h.db, commit.Claim{}); err != nil {
				t.Error(err)
			}
		}
		return answer
	}})
	if !errors.Is(err, commit.ErrNotPermitted) || h.fence.Relation(h.db) != commit.Current {
		t.Errorf("got %v", err)
	}
}
