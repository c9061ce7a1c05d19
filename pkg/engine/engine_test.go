// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

// These tests run the loop with its goroutines on a real ovsdb-server. Its decisions are tested in test/state.

var config = compile.Config{ClusterRouter: "ovn-cluster", NodeSwitch: "join", DefaultSubnet: "ovn-default"}

// api is a fake API server: it records writes and sends them to the engines as events.
type api struct {
	mu      sync.Mutex
	engines []*engine.Engine
	ips     map[string]*model.IP
	fail    int // how many creations it refuses
	reports map[model.Ref]engine.Report
	usage   map[string]addresses.Usage
}

func newAPI() *api {
	return &api{ips: map[string]*model.IP{}, reports: map[model.Ref]engine.Report{}, usage: map[string]addresses.Usage{}}
}

func (a *api) send(changes ...engine.Change) {
	for _, e := range a.engines {
		e.Apply(changes...)
	}
}

func (a *api) HasStatus(kind model.Kind) bool {
	return kind == model.KindSubnet || kind == model.KindVpc
}

func (a *api) Write(w compile.Want, done func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch w := w.(type) {
	case compile.Claim:
		if a.fail > 0 {
			a.fail--
			go done(errors.New("the API server is busy"))
			return
		}
		ip := &model.IP{
			Meta: model.Meta{Name: w.Target().Name, UID: w.Target().Name, Finalized: true}, Subnet: w.Allocation.Subnet, Addrs: w.Allocation.Addrs, MAC: w.Allocation.MAC,
			PodName: w.PodName, Namespace: w.For.Namespace, NodeName: w.NodeName,
		}
		a.ips[w.Target().Name] = ip
		a.send(engine.Change{Ref: w.Target(), Object: ip})
	case compile.Release:
		delete(a.ips, w.IP)
		a.send(engine.Change{Ref: w.Target()})
	}
	go done(nil)
}

func (a *api) Report(r engine.Report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reports[r.Ref] = r
}

func (a *api) Repaired(engine.Repair) {}

func (a *api) Usage(u addresses.Usage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.usage[u.Subnet] = u
}

// controller is an engine with its database client, both running.
type controller struct {
	*engine.Engine
	db *client.DB
}

// handler breaks the cycle of construction: the client needs a handler, the engine needs the client.
type handler struct{ engine *engine.Engine }

func (h *handler) Synced()                    { h.engine.Synced() }
func (h *handler) Changed(table, uuid string) { h.engine.Changed(table, uuid) }
func (h *handler) Lost(err error)             { h.engine.Lost(err) }

func run(t *testing.T, a *api, endpoint string) *controller {
	t.Helper()
	return runWith(t, a, endpoint, nil, time.Now)
}

func runWith(t *testing.T, a *api, endpoint string, lease engine.Lease, now func() time.Time) *controller {
	t.Helper()
	h := &handler{}
	db, err := client.New(client.Config{Database: client.NB, Endpoints: []string{endpoint}, Tables: commit.Tables(), Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	h.engine = engine.New(engine.Config{Functions: compile.Functions(config), Writer: a, Log: logr.Discard(), Now: now}, db)
	if lease != nil {
		h.engine.HoldWhile(lease)
	}
	a.mu.Lock()
	a.engines = append(a.engines, h.engine)
	a.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = db.Run(ctx) })
	wg.Go(func() { _ = h.engine.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	h.engine.Apply(infrastructure()...)
	h.engine.KubeSynced()
	return &controller{h.engine, db}
}

func infrastructure() []engine.Change {
	subnet := func(name, cidr string) engine.Change {
		p := netip.MustParsePrefix(cidr)
		g := p.Addr().Next()
		return engine.Change{Ref: model.Ref{Kind: model.KindSubnet, Name: name}, Object: &model.Subnet{
			Meta: model.Meta{Name: name, Created: 1, Finalized: true}, Vpc: "ovn-cluster", Provider: "ovn", GatewayType: model.GatewayDistributed,
			CIDR: model.Prefixes{V4: p}, Gateway: model.Addrs{V4: g}, Exclude: []model.Range{{First: g, Last: g}},
		}}
	}
	return []engine.Change{
		{Ref: model.Ref{Kind: model.KindVpc, Name: "ovn-cluster"}, Object: &model.Vpc{Meta: model.Meta{Name: "ovn-cluster", Finalized: true}, Default: true}},
		subnet("ovn-default", "10.16.0.0/16"), subnet("join", "100.64.0.0/16"),
		{Ref: model.Ref{Kind: model.KindNamespace, Name: "default"}, Object: &model.Namespace{Meta: model.Meta{Name: "default"}}},
	}
}

func pod(i int) engine.Change {
	name := fmt.Sprint("p", i)
	return engine.Change{Ref: model.Ref{Kind: model.KindPod, Namespace: "default", Name: name}, Object: &model.Pod{
		Meta: model.Meta{Namespace: "default", Name: name, UID: name, Created: 2}, Node: "n1", NICs: []model.PodNIC{{Provider: "ovn"}},
	}}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *controller) has(i int) bool {
	return c.db.Peek(nb.LogicalSwitchPortTable, fact.UUIDOf(nb.LogicalSwitchPortTable, fmt.Sprintf("p%d.default", i))) != nil
}

func (c *controller) count() int { return c.db.Len(nb.LogicalSwitchPortTable) - 2 } // without the ports of the routers

func TestLoop(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	a.fail = 2
	c := run(t, a, server.Endpoint())
	for i := range 50 {
		a.send(pod(i))
	}
	c.Lead(true)
	eventually(t, "50 ports after two failed writes", func() bool { return c.count() == 50 })
	for i := range 50 {
		a.send(engine.Change{Ref: pod(i).Ref})
	}
	eventually(t, "the deletion of all ports and records", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return c.count() == 0 && len(a.ips) == 0
	})
	eventually(t, "counters of the subnet", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.usage["ovn-default"].Subnet != "" && a.usage["ovn-default"].Stats.V4.Using.Sign() == 0
	})
}

func TestLoopRepairsDrift(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	c := run(t, a, server.Endpoint())
	c.Lead(true)
	a.send(pod(1))
	eventually(t, "the port", func() bool { return c.has(1) })
	admin := server.Client(t)
	where := []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "ovn-default")}
	if err := nbtest.Commit(t.Context(), admin, ovsdb.Operation{Op: "delete", Table: nb.LogicalSwitchTable, Where: where}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the repaired port", func() bool {
		return admin.Peek(nb.LogicalSwitchPortTable, fact.UUIDOf(nb.LogicalSwitchPortTable, "p1.default")) != nil
	})
}

func TestLoopSurvivesDatabaseRestart(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	c := run(t, a, server.Endpoint())
	c.Lead(true)
	a.send(pod(1))
	eventually(t, "the port", func() bool { return c.has(1) })
	server.Stop()
	a.send(pod(2))
	server.Restart()
	eventually(t, "the port of the pod that was created while the database was down", func() bool { return c.has(1) && c.has(2) })
}

// Of two controllers only the leader writes. When leadership changes, the old leader is fenced off, and the new one
// compares the database once.
func TestLoopHandsOver(t *testing.T) {
	server, a := nbtest.Start(t), newAPI()
	one, two := run(t, a, server.Endpoint()), run(t, a, server.Endpoint())
	one.Lead(true)
	a.send(pod(1))
	eventually(t, "the port by the first", func() bool { return two.has(1) })
	two.Lead(true) // the first one has not noticed yet that it lost its lease
	a.send(pod(2))
	eventually(t, "the port by the second", func() bool { return one.has(2) })
	one.Lead(false)
	a.send(pod(3))
	eventually(t, "another port", func() bool { return one.has(3) && two.has(3) })
}
