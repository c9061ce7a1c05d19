// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

func netBridge() Bridge {
	return Bridge{Name: "br-net1", DatapathType: UserspaceDatapath, MAC: "0a:00:00:00:00:01", Uplink: "eth1", Network: "net1"}
}

// bridgeSwitch is what [Driver] and [Fake] do with bridges.
type bridgeSwitch interface {
	switchIface
	mappings() string
	setMappings(text string)
}

type realSwitch struct {
	*harness
	t *testing.T
}

func (s realSwitch) mappings() string {
	v, err := s.view()
	if err != nil {
		s.t.Fatal(err)
	}
	return v.root.ExternalIDs[keyMappings]
}

func (s realSwitch) setMappings(text string) {
	s.commit(s.t, ovsdb.Operation{
		Op: "mutate", Table: "Open_vSwitch", Where: []ovsdb.Condition{}, Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, ovsdb.OvsSet{GoSet: []any{keyMappings}}),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, ovsMap(map[string]string{keyMappings: text})),
		},
	})
	s.seen(s.t, "mappings", func(v view) bool { return v.root.ExternalIDs[keyMappings] == text })
}

type fakeSwitch struct{ *Fake }

func (s fakeSwitch) mappings() string        { return s.Mappings() }
func (s fakeSwitch) setMappings(text string) { s.SetMappings(text) }

// The driver with a real database and the fake do the same and refuse the same.
func TestBridges(t *testing.T) {
	for name, newSwitch := range map[string]func() bridgeSwitch{
		"driver": func() bridgeSwitch { return realSwitch{newHarness(t, nil), t} },
		"fake":   func() bridgeSwitch { return fakeSwitch{NewFake("br-int", UserspaceDatapath)} },
	} {
		t.Run(name, func(t *testing.T) { testBridges(t, newSwitch()) })
	}
}

func testBridges(t *testing.T, s bridgeSwitch) {
	expect := func(mappings string, want ...Bridge) {
		t.Helper()
		got, err := s.Bridges()
		if err != nil || !slices.Equal(got, want) || s.mappings() != mappings {
			t.Fatalf("bridges %+v, mappings %q, %v; want %+v, %q", got, s.mappings(), err, want, mappings)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	s.setMappings("other:br-ex,third:br-int")
	b := netBridge()
	must(s.EnsureBridge(ctx, b))
	must(s.EnsureBridge(ctx, b))
	expect("other:br-ex,third:br-int,net1:br-net1", b)
	must(s.EnsurePort(ctx, Port{Bridge: b.Name, Name: "eth1"}))
	ports, err := s.Ports()
	if err != nil || len(ports) != 2 || ports[0].Name != b.Name || ports[0].Type != "internal" || ports[1].Bridge != b.Name {
		t.Fatalf("ports %+v, %v", ports, err)
	}
	if dp, err := s.DatapathType(b.Name); err != nil || dp != UserspaceDatapath {
		t.Fatalf("datapath_type %q, %v", dp, err)
	}
	b.DatapathType, b.MAC, b.Uplink, b.Network = "", "0a:00:00:00:00:02", "eth2", "net2"
	must(s.EnsureBridge(ctx, b))
	expect("other:br-ex,third:br-int,net2:br-net1", b)
	must(s.DeletePort(ctx, b.Name, b.Name))
	must(s.EnsureBridge(ctx, b))
	if ports, err = s.Ports(); err != nil || len(ports) != 2 || ports[0].Name != b.Name {
		t.Fatalf("the internal port is not repaired: %+v, %v", ports, err)
	}
	for what, c := range map[string]struct {
		change func(*Bridge)
		is     error
		text   string
	}{
		"bridge of another owner":  {func(b *Bridge) { b.Name = "br-int" }, ErrNotOwned, `"br-int"`},
		"network of another owner": {func(b *Bridge) { b.Network = "other" }, ErrNetworkMapped, `network "other", bridge "br-ex"`},
		"name of a port":           {func(b *Bridge) { b.Name = "eth1" }, nil, "a port has that name"},
		"long name":                {func(b *Bridge) { b.Name = "br-0123456789abc" }, nil, "1 to 15 characters"},
		"own uplink":               {func(b *Bridge) { b.Uplink = b.Name }, nil, "uplink has the same name"},
		"separator in a name":      {func(b *Bridge) { b.Network = "a,b" }, nil, `network "a,b"`},
	} {
		bad := b
		c.change(&bad)
		err := s.EnsureBridge(ctx, bad)
		if err == nil || !strings.Contains(err.Error(), c.text) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: error %v, want %q", what, err, c.text)
		}
	}
	if err := s.DeleteBridge(ctx, "br-int"); !errors.Is(err, ErrNotOwned) {
		t.Errorf("delete a bridge of another owner: %v", err)
	}
	expect("other:br-ex,third:br-int,net2:br-net1", b)
	must(s.DeleteBridge(ctx, b.Name))
	must(s.DeleteBridge(ctx, b.Name))
	expect("other:br-ex,third:br-int")
	if ports, err := s.Ports(); err != nil || len(ports) != 0 {
		t.Errorf("ports %+v, %v", ports, err)
	}
}

// A change of the mappings by another writer, made since they were read, is not overwritten.
func TestMappingsAreNotOverwritten(t *testing.T) {
	b := newHarness(t, nil)
	s := realSwitch{b, t}
	s.setMappings("other:br-ex")
	old, err := b.view()
	if err != nil {
		t.Fatal(err)
	}
	ops := old.updateMappings("other:br-ex,net1:br-net1")
	s.setMappings("new:br-ex")
	if _, err := b.db.Transact(b.soon(t), ops...); err != nil {
		t.Fatal(err)
	}
	if got := s.mappings(); got != "new:br-ex" {
		t.Errorf("mappings %q", got)
	}
}
