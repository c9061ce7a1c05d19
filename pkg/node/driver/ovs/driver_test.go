// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/vs"
	"github.com/wovensdn/woven/test/nbtest"
)

// switchIface is what [Driver] and [Fake] have in common.
type switchIface interface {
	EnsureBridge(ctx context.Context, b Bridge) error
	DeleteBridge(ctx context.Context, name string) error
	Bridges() ([]Bridge, error)
	EnsurePort(ctx context.Context, p Port) error
	DeletePort(ctx context.Context, bridge, name string) error
	EnsureMirror(ctx context.Context, m Mirror) error
	DeleteMirror(ctx context.Context, bridge, name string) error
	Ports() ([]Port, error)
	WaitInstalled(ctx context.Context, name, ifaceIDVer string) error
	DatapathType(bridge string) (string, error)
	SystemID() (string, error)
}

var (
	_ switchIface = (*Driver)(nil)
	_ switchIface = (*Fake)(nil)
)

const waitTimeout = 30 * time.Second

// harness is a real ovsdb-server with bridges br-int (userspace) and br-ex, and on br-int the foreign port tap0.
type harness struct {
	*Driver
	server *nbtest.Server
	other  *client.DB // somebody else's client
}

func newHarness(t *testing.T, onChange func()) *harness {
	t.Helper()
	server := nbtest.StartVS(t)
	b := &harness{server: server, other: server.Client(t)}
	b.commit(t,
		ovsdb.Operation{Op: "insert", Table: "Interface", UUIDName: "i", Row: ovsdb.Row{"name": "tap0"}},
		ovsdb.Operation{Op: "insert", Table: "Port", UUIDName: "p", Row: ovsdb.Row{"name": "tap0", "interfaces": uuids("i")}},
		ovsdb.Operation{Op: "insert", Table: "Bridge", UUIDName: "b", Row: ovsdb.Row{"name": "br-int", "datapath_type": "netdev", "ports": uuids("p")}},
		ovsdb.Operation{Op: "insert", Table: "Bridge", UUIDName: "x", Row: ovsdb.Row{"name": "br-ex"}},
		ovsdb.Operation{Op: "mutate", Table: "Open_vSwitch", Where: []ovsdb.Condition{}, Mutations: []ovsdb.Mutation{
			member("bridges", ovsdb.MutateOperationInsert, "b", "x"),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, ovsMap(map[string]string{"system-id": "chassis-1"})),
		}},
	)
	driver, err := New(Config{Endpoint: server.Endpoint(), OnChange: onChange})
	if err != nil {
		t.Fatal(err)
	}
	b.Driver = driver
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- driver.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := driver.WaitSynced(b.soon(t)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *harness) soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	return ctx
}

func (b *harness) commit(t *testing.T, ops ...ovsdb.Operation) {
	t.Helper()
	if err := nbtest.Commit(b.soon(t), b.other, ops...); err != nil {
		t.Fatal(err)
	}
}

// seen waits until the driver's cache fulfils the condition.
func (b *harness) seen(t *testing.T, what string, ok func(view) bool) {
	t.Helper()
	ctx := b.soon(t)
	for {
		changed := b.next()
		if v, err := b.view(); err == nil && ok(v) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("wait until %s: %v", what, ctx.Err())
		}
	}
}

// setIDs is what another writer, such as ovn-controller, does to an interface.
func (b *harness) setIDs(t *testing.T, iface string, ids map[string]string) {
	t.Helper()
	b.commit(t, ovsdb.Operation{
		Op: "mutate", Table: "Interface", Where: []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, iface)},
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, ovsMap(ids))},
	})
}

func (b *harness) ensure(t *testing.T, p Port) {
	t.Helper()
	if err := b.EnsurePort(b.soon(t), p); err != nil {
		t.Fatal(err)
	}
}

func podPort() Port {
	return Port{Bridge: "br-int", Name: "abc_h", ExternalIDs: map[string]string{KeyIfaceID: "web.shop", KeyIfaceIDVer: "u1", "ip": "10.16.0.5"}}
}

func (b *harness) only(t *testing.T) Port {
	t.Helper()
	ports, err := b.Ports()
	if err != nil || len(ports) != 1 {
		t.Fatalf("ports %+v, %v; want one", ports, err)
	}
	return ports[0]
}

func TestEnsurePortMakesChangesAndKeeps(t *testing.T) {
	b := newHarness(t, nil)
	b.ensure(t, podPort())
	got := b.only(t)
	want := map[string]string{KeyIfaceID: "web.shop", KeyIfaceIDVer: "u1", "ip": "10.16.0.5", KeyVendor: Vendor}
	if got.Bridge != "br-int" || got.Name != "abc_h" || !maps.Equal(got.ExternalIDs, want) {
		t.Fatalf("got %+v", got)
	}

	b.setIDs(t, "abc_h", map[string]string{"attached-mac": "x", KeyOVNInstalled: "true", KeyOVNInstalledTS: "5"})
	b.seen(t, "ovn-installed", func(v view) bool { return v.list()[0].Installed("u1") })

	same := podPort()
	v, err := b.view()
	if err != nil {
		t.Fatal(err)
	}
	if ops, err := planPort(v, same); err != nil || len(ops) != 0 {
		t.Fatalf("an unchanged port needs %+v, %v", ops, err)
	}

	changed := podPort()
	changed.MTU, changed.ExternalIDs["ip"] = 1400, "10.16.0.6"
	b.ensure(t, changed)
	maps.Copy(want, map[string]string{"ip": "10.16.0.6", "attached-mac": "x", KeyOVNInstalled: "true", KeyOVNInstalledTS: "5"})
	if got := b.only(t); !maps.Equal(got.ExternalIDs, want) || got.MTU != 1400 {
		t.Fatalf("got %+v", got)
	}

	reborn := podPort()
	reborn.ExternalIDs[KeyIfaceIDVer], reborn.ExternalIDs["ip"] = "u2", ""
	b.ensure(t, reborn)
	want = map[string]string{KeyIfaceID: "web.shop", KeyIfaceIDVer: "u2", "attached-mac": "x", KeyVendor: Vendor}
	if got := b.only(t); !maps.Equal(got.ExternalIDs, want) {
		t.Fatalf("a new incarnation keeps ovn-installed of the old one: %+v", got)
	}
}

func TestEnsurePortChangesTypeAndBridge(t *testing.T) {
	b := newHarness(t, nil)
	b.ensure(t, Port{Bridge: "br-ex", Name: "ovn0"})
	b.ensure(t, Port{Bridge: "br-int", Name: "ovn0", Type: "internal", MAC: "0a:00:00:00:00:01", Options: map[string]string{"a": "b"}})
	got := b.only(t)
	if got.Bridge != "br-int" || got.Type != "internal" || got.MAC != "0a:00:00:00:00:01" || got.Options["a"] != "b" {
		t.Fatalf("got %+v", got)
	}
}

func TestRowsOfOthersStay(t *testing.T) {
	b := newHarness(t, nil)
	if err := b.EnsurePort(b.soon(t), Port{Bridge: "br-int", Name: "tap0"}); !errors.Is(err, ErrNotOwned) || !strings.Contains(err.Error(), `"tap0"`) {
		t.Fatalf("ensure: %v", err)
	}
	if err := b.DeletePort(b.soon(t), "br-int", "tap0"); !errors.Is(err, ErrNotOwned) {
		t.Fatalf("delete: %v", err)
	}
	b.commit(t,
		ovsdb.Operation{Op: "insert", Table: "Mirror", UUIDName: "m", Row: ovsdb.Row{"name": "theirs"}},
		ovsdb.Operation{
			Op: "mutate", Table: "Bridge", Where: []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, "br-int")},
			Mutations: []ovsdb.Mutation{member("mirrors", ovsdb.MutateOperationInsert, "m")},
		})
	b.seen(t, "the mirror", func(v view) bool { return len(v.mirrors) == 1 })
	b.ensure(t, Port{Bridge: "br-int", Name: "mirror0", Type: "internal"})
	if err := b.EnsureMirror(b.soon(t), Mirror{Name: "theirs", Bridge: "br-int", OutputPort: "mirror0"}); !errors.Is(err, ErrNotOwned) {
		t.Fatalf("mirror: %v", err)
	}
	if ports, err := b.Ports(); err != nil || len(ports) != 1 || ports[0].Name != "mirror0" {
		t.Fatalf("ports %+v, %v", ports, err)
	}
}

func TestErrorsNameTheCause(t *testing.T) {
	b := newHarness(t, nil)
	for want, p := range map[string]Port{
		`port "x": bridge "br-none": no such bridge`:     {Bridge: "br-none", Name: "x"},
		"name must have 1 to 15 characters":              {Bridge: "br-int", Name: "abcdefghijklmnop"},
		"external_ids:ovn-installed is written by":       {Bridge: "br-int", Name: "x", ExternalIDs: map[string]string{KeyOVNInstalled: "true"}},
		`port "x": mtu -1 is negative`:                   {Bridge: "br-int", Name: "x", MTU: -1},
		`ensure OVS port "y": port "y": bridge is empty`: {Name: "y"},
	} {
		if err := b.EnsurePort(b.soon(t), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := b.DatapathType("br-none"); !errors.Is(err, ErrNoBridge) {
		t.Errorf("got %v", err)
	}
	if err := b.EnsureMirror(b.soon(t), Mirror{Name: "m0", Bridge: "br-int", OutputPort: "mirror0"}); err == nil || !strings.Contains(err.Error(), `output port "mirror0" is not on bridge "br-int"`) {
		t.Errorf("got %v", err)
	}
}

func TestDeletePortIsIdempotent(t *testing.T) {
	b := newHarness(t, nil)
	b.ensure(t, podPort())
	if err := b.DeletePort(b.soon(t), "br-ex", "abc_h"); err != nil {
		t.Fatal(err)
	}
	b.only(t) // it is on another bridge
	for range 2 {
		if err := b.DeletePort(b.soon(t), "", "abc_h"); err != nil {
			t.Fatal(err)
		}
	}
	v, err := b.view()
	if err != nil || len(v.ports) != 1 || len(v.ifaces) != 1 {
		t.Fatalf("left: %d ports, %d interfaces, %v; want tap0 alone", len(v.ports), len(v.ifaces), err)
	}
}

func TestWaitInstalled(t *testing.T) {
	b := newHarness(t, nil)
	b.ensure(t, podPort())
	b.setIDs(t, "abc_h", map[string]string{KeyOVNInstalled: "true"})
	if err := b.WaitInstalled(b.soon(t), "abc_h", "u1"); err != nil {
		t.Fatal(err)
	}
	// The flows of u1 are not those of u2.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.WaitInstalled(ctx, "abc_h", "u2"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `interface "abc_h"`) {
		t.Fatalf("got %v", err)
	}
}

func TestMirror(t *testing.T) {
	b := newHarness(t, nil)
	b.ensure(t, Port{Bridge: "br-int", Name: "mirror0", Type: "internal"})
	b.ensure(t, podPort())
	b.ensure(t, Port{Bridge: "br-int", Name: "def_h"})
	m := Mirror{Name: "m0", Bridge: "br-int", OutputPort: "mirror0", SelectPorts: []string{"abc_h", "gone_h"}}
	for _, tc := range []struct {
		change   func()
		selected []string
		all      bool
	}{
		{func() {}, []string{"abc_h"}, false},
		{func() { m.SelectPorts = []string{"def_h", "abc_h"} }, []string{"abc_h", "def_h"}, false},
		{func() { m.SelectPorts = []string{"def_h"} }, []string{"def_h"}, false},
		{func() { m.SelectAll = true }, nil, true},
	} {
		tc.change()
		if err := b.EnsureMirror(b.soon(t), m); err != nil {
			t.Fatal(err)
		}
		b.assertMirror(t, tc.selected, tc.all)
		v, err := b.view()
		if err != nil {
			t.Fatal(err)
		}
		if ops, err := planMirror(v, m); err != nil || len(ops) != 0 {
			t.Fatalf("an unchanged mirror needs %+v, %v", ops, err)
		}
	}
	for range 2 {
		if err := b.DeleteMirror(b.soon(t), "br-int", "m0"); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := b.view(); err != nil || len(v.mirrors) != 0 {
		t.Fatalf("left: %v, %v", v.mirrors, err)
	}
}

func (b *harness) assertMirror(t *testing.T, selected []string, all bool) {
	t.Helper()
	v, err := b.view()
	if err != nil || len(v.mirrors) != 1 {
		t.Fatalf("mirrors %v, %v", v.mirrors, err)
	}
	names := func(refs []string) (out []string) {
		for _, ref := range refs {
			out = append(out, v.ports[ref].Name)
		}
		slices.Sort(out)
		return out
	}
	for _, got := range v.mirrors {
		if got.SelectAll != all || !slices.Equal(names(got.SelectSrcPort), selected) || !slices.Equal(names(got.SelectDstPort), selected) ||
			v.ports[value(got.OutputPort)].Name != "mirror0" {
			t.Fatalf("got %+v, want %v", got, selected)
		}
	}
}

func TestReadsFailWithoutDatabaseAndComeBack(t *testing.T) {
	events := make(chan struct{}, 1)
	b := newHarness(t, func() {
		select {
		case events <- struct{}{}:
		default:
		}
	})
	if id, err := b.SystemID(); err != nil || id != "chassis-1" {
		t.Fatalf("system-id %q, %v", id, err)
	}
	if dp, err := b.DatapathType("br-int"); err != nil || dp != "netdev" {
		t.Fatalf("datapath_type %q, %v", dp, err)
	}
	b.server.Stop()
	ctx := b.soon(t)
	for _, err := b.Ports(); !errors.Is(err, ErrNotConnected); _, err = b.Ports() {
		select {
		case <-events:
		case <-ctx.Done():
			t.Fatal("the loss was not noticed")
		}
	}
	if err := b.EnsurePort(ctx, podPort()); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("got %v", err)
	}
	installed := make(chan error, 1)
	go func() { installed <- b.WaitInstalled(ctx, "abc_h", "u1") }()
	b.server.Restart()
	if err := b.WaitSynced(ctx); err != nil {
		t.Fatal(err)
	}
	b.ensure(t, podPort())
	b.setIDs2(t, "abc_h")
	if err := <-installed; err != nil {
		t.Fatal(err)
	}
}

// setIDs2 marks the interface installed through a new client: the first one may still be reconnecting.
func (b *harness) setIDs2(t *testing.T, iface string) {
	t.Helper()
	b.other = b.server.Client(t)
	b.setIDs(t, iface, map[string]string{KeyOVNInstalled: "true"})
}

func TestVanishedRowIsAnError(t *testing.T) {
	ops := []ovsdb.Operation{mutate(vs.BridgeTable, "x", member("ports", ovsdb.MutateOperationInsert, "y"))}
	if err := verify(ops, []ovsdb.OperationResult{{Count: 0}}); err == nil || !strings.Contains(err.Error(), "the Bridge row vanished") {
		t.Fatalf("got %v", err)
	}
}
