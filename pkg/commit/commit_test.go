package commit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

// These tests run on a real ovsdb-server: what it refuses, and how it says so, is
// the point of them.

type bed struct {
	t     *testing.T
	db    *client.DB
	fence commit.Fence
	state *desired.State
}

func newBed(t *testing.T) *bed {
	t.Helper()
	db := nbtest.Connect(t, client.Config{Database: client.NB, Endpoints: []string{nbtest.Start(t).Endpoint()}, Tables: commit.Tables()})
	fence, err := commit.TakeOver(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{t: t, db: db, fence: fence, state: desired.New()}
}

func owner(name string) fact.Owner {
	return fact.Owner{Kind: wmodel.KindPod, Namespace: "default", Name: name}
}

// units compares everything.
func (b *bed) units() []plan.Unit {
	view := commit.NewView(b.db)
	view.Reset()
	d := desired.NewDirty()
	b.state.All(d)
	return plan.Plan(b.state, view, d).Units
}

func (b *bed) commit(db commit.DB, units []plan.Unit) commit.Outcome {
	return commit.Commit(b.t.Context(), db, b.fence, units)
}

func (b *bed) declareSwitch(name string) {
	var s fact.Set
	s.Row(nb.LogicalSwitchTable, name, &nb.LogicalSwitch{Name: name})
	b.state.Set(owner(name), 1, s, desired.NewDirty())
}

func (b *bed) declarePort(pod, sw, portName string) {
	var s fact.Set
	s.Child(fact.RefTo(nb.LogicalSwitchTable, sw), nb.LogicalSwitchPortTable, pod, &nb.LogicalSwitchPort{Name: portName})
	b.state.Set(owner(pod), 1, s, desired.NewDirty())
}

func (b *bed) has(table, id string) bool { return b.db.Peek(table, fact.UUIDOf(table, id)) != nil }

func TestOneTransactionForAll(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	for i := range 50 {
		b.declarePort(fmt.Sprint("p", i), "ls", fmt.Sprint("p", i))
	}
	out := b.commit(b.db, b.units())
	if out.Err != nil || len(out.Done) != 51 || out.Transactions != 1 || out.Operations != 52 { // 51 rows and one mutation of the switch
		t.Fatalf("%+v", out)
	}
	if left := b.units(); len(left) > 0 {
		t.Errorf("a second comparison finds %+v", left)
	}
}

// Rule 8, a fault that the commit finds: the name is taken. It names no
// operation, so that the batch is halved until the culprit is alone.
func TestRefusedCommitIsHalved(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	for i := range 20 {
		b.declarePort(fmt.Sprint("p", i), "ls", fmt.Sprint("p", i))
	}
	b.declarePort("double", "ls", "p7")
	out := b.commit(b.db, b.units())
	if out.Err != nil || len(out.Failed) != 1 {
		t.Fatalf("%v, failed %+v", out.Err, out.Failed)
	}
	if got := out.Failed[0].Err.Error(); !strings.Contains(got, "constraint violation") {
		t.Errorf("the error is %q", got)
	}
	ports := b.db.Len(nb.LogicalSwitchPortTable)
	if ports != 20 {
		t.Errorf("%d ports were written", ports)
	}
}

// Rule 8, a fault that an operation has: it is taken out, with all that its owner wants.
func TestRefusedOperationTakesItsOwnerOut(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	var s fact.Set
	s.Child(fact.RefTo(nb.LogicalSwitchTable, "ls"), nb.LogicalSwitchPortTable, "bad-1", &nb.LogicalSwitchPort{Name: "bad-1"})
	s.Child(fact.RefTo(nb.LogicalSwitchTable, "ls"), nb.LogicalSwitchPortTable, "bad-2", &nb.LogicalSwitchPort{Name: "bad-2"})
	b.state.Set(owner("bad"), 1, s, desired.NewDirty())
	b.declarePort("good", "ls", "good")
	units := b.units()
	for i := range units {
		if units[i].Row["name"] == "bad-1" {
			units[i].Row["name"] = 5 // not a string
		}
	}
	out := b.commit(b.db, units)
	if out.Err != nil || len(out.Failed) != 2 || len(out.Done) != 2 {
		t.Fatalf("%v, done %d, failed %+v", out.Err, len(out.Done), out.Failed)
	}
	var refused *commit.RefusedError
	if !errors.As(out.Failed[0].Err, &refused) {
		t.Errorf("the error is %v", out.Failed[0].Err)
	}
	if b.has(nb.LogicalSwitchPortTable, "bad-2") || !b.has(nb.LogicalSwitchPortTable, "good") {
		t.Error("the wrong ports were written")
	}
}

// Rule 3: a second creator of a row is refused.
func TestDuplicateUUIDIsRefused(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	units := b.units()
	if out := b.commit(b.db, units); out.Err != nil || len(out.Done) != 1 {
		t.Fatalf("%+v", out)
	}
	out := b.commit(b.db, units)
	if len(out.Failed) != 1 || !strings.Contains(out.Failed[0].Err.Error(), "duplicate uuid") {
		t.Errorf("%+v", out)
	}
}

// vanishing is a database in which someone deletes a row between the comparison and the commit.
type vanishing struct {
	*client.DB
	once func()
}

func (v *vanishing) Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	v.once()
	return v.DB.Transact(ctx, ops...)
}

// Rule 7: count 0 and an orphan that vanished are noticed, although the database
// reports success.
func TestLostParentIsNoticed(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	if out := b.commit(b.db, b.units()); out.Err != nil {
		t.Fatal(out.Err)
	}
	b.declarePort("p", "ls", "p")
	db := &vanishing{DB: b.db, once: func() {
		where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "ls")}
		if err := nbtest.Commit(t.Context(), b.db, ovsdb.Operation{Op: "delete", Table: nb.LogicalSwitchTable, Where: where}); err != nil {
			t.Fatal(err)
		}
	}}
	out := b.commit(db, b.units())
	if out.Err != nil || len(out.Stale) != 1 || len(out.Done) != 0 {
		t.Errorf("%+v", out)
	}
}

// Rule 9 on a real server, also for two that begin at once.
func TestEpochs(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	units := b.units()
	next, err := commit.TakeOver(t.Context(), b.db)
	if err != nil || next.Epoch != b.fence.Epoch+1 {
		t.Fatalf("%+v %v", next, err)
	}
	if out := b.commit(b.db, units); !errors.Is(out.Err, commit.ErrFenced) || b.has(nb.LogicalSwitchTable, "ls") {
		t.Errorf("the old leader was not fenced off: %+v", out)
	}
	b.fence = next
	if out := b.commit(b.db, units); out.Err != nil || !b.has(nb.LogicalSwitchTable, "ls") {
		t.Errorf("the new leader cannot write: %+v", out)
	}
	epochs := make(chan int64, 8)
	for range cap(epochs) {
		go func() {
			fence, err := commit.TakeOver(t.Context(), b.db)
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
			t.Errorf("epoch %d was given to two", e)
		}
		seen[e] = true
	}
}

// An unanswered transaction is neither done nor failed: everything is compared again.
func TestLostDatabase(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := commit.Commit(ctx, b.db, b.fence, b.units())
	if out.Err == nil || len(out.Done)+len(out.Failed)+len(out.Stale) != 0 {
		t.Errorf("%+v", out)
	}
}

// TestViewFindsForeignNames: names of rows that are not where ours would be.
func TestViewFindsForeignNames(t *testing.T) {
	b := newBed(t)
	view := commit.NewView(b.db)
	view.Reset()
	foreign := fact.Ref{Table: nb.LogicalSwitchTable, UUID: fact.UUIDOf("test", "foreign")}
	err := nbtest.Commit(t.Context(), b.db, ovsdb.Operation{Op: "insert", Table: foreign.Table, UUID: foreign.UUID, Row: ovsdb.Row{"name": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	view.Changed(foreign)
	if uuid, ok := view.Foreign(foreign.Table, "x"); !ok || uuid != foreign.UUID {
		t.Errorf("got %q %v", uuid, ok)
	}
	where := []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: foreign.UUID})}
	if err := nbtest.Commit(t.Context(), b.db, ovsdb.Operation{Op: "delete", Table: foreign.Table, Where: where}); err != nil {
		t.Fatal(err)
	}
	view.Changed(foreign)
	if _, ok := view.Foreign(foreign.Table, "x"); ok {
		t.Error("the name is still there")
	}
}

var _ commit.DB = (*client.DB)(nil)

// Rule 7: a weak reference to a row that went in the meantime is dropped by the
// database without an error, and noticed here.
func TestDroppedWeakReferenceIsNoticed(t *testing.T) {
	b := newBed(t)
	b.declareSwitch("ls")
	b.declarePort("p", "ls", "p")
	var group fact.Set
	group.Row(nb.PortGroupTable, "pg", &nb.PortGroup{Name: "pg"})
	b.state.Set(owner("group"), 1, group, desired.NewDirty())
	if out := b.commit(b.db, b.units()); out.Err != nil {
		t.Fatal(out.Err)
	}
	group.Member(fact.RefTo(nb.PortGroupTable, "pg"), "ports", fact.UUIDOf(nb.LogicalSwitchPortTable, "p"))
	b.state.Set(owner("group"), 1, group, desired.NewDirty())
	units := b.units()
	db := &vanishing{DB: b.db, once: func() {
		where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "ls")}
		ports := []ovsdb.Mutation{*ovsdb.NewMutation("ports", "delete", ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: fact.UUIDOf(nb.LogicalSwitchPortTable, "p")}}})}
		if err := nbtest.Commit(t.Context(), b.db, ovsdb.Operation{Op: "mutate", Table: nb.LogicalSwitchTable, Where: where, Mutations: ports}); err != nil {
			t.Fatal(err)
		}
	}}
	if out := b.commit(db, units); out.Err != nil || len(out.Stale) != 1 || len(out.Done) != 0 {
		t.Errorf("%+v", out)
	}
	if out := b.commit(b.db, b.units()); out.Err != nil || len(out.Done) != 2 {
		t.Errorf("port and membership again: %+v", out)
	}
}

// An epoch that does not parse is told, and not tried for without end.
func TestEpochThatDoesNotParse(t *testing.T) {
	b := newBed(t)
	nonsense := ovsdb.OvsMap{GoMap: map[any]any{commit.EpochKey: "nonsense"}}
	if err := nbtest.Commit(t.Context(), b.db, ovsdb.Operation{
		Op: "update", Table: nb.NBGlobalTable, Where: []ovsdb.Condition{}, Row: ovsdb.Row{"external_ids": nonsense},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := commit.TakeOver(ctx, b.db); err == nil || !strings.Contains(err.Error(), commit.EpochKey) {
		t.Errorf("got %v", err)
	}
}
