// SPDX-License-Identifier: Apache-2.0

package state

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// namedHarness is a harness whose OVN answers queries for names.
func namedHarness(t *testing.T) *harness {
	b := newModelHarness(t)
	b.config.DNSDomain = "cluster.local"
	return b
}

func headless(name string) *model.Service {
	return changed(service(name, "10.96.0.1"), func(s *model.Service) { s.ClusterIPs, s.DNS = model.Addrs{}, model.ServiceName{Headless: true} })
}

func answered(s *model.Service) *model.Service {
	return changed(s, func(s *model.Service) { s.DNS.Addrs = s.ClusterIPs })
}

func hosts(s *model.EndpointSlice, names ...string) *model.EndpointSlice {
	return changed(s, func(s *model.EndpointSlice) {
		for i, name := range names {
			s.Named = append(s.Named, model.NamedEndpoint{Hostname: name, Addr: s.Ready[i]})
		}
	})
}

func nameStates(t *testing.T) []state {
	t.Helper()
	bound := named(t, "bound namespace")
	blue, _ := bound.objects[ref(model.KindSubnet, "", "blue")].(*model.Subnet)
	no := false
	some := bound.with("names", answered(service("web", "10.96.0.80", web...)), answered(service("dns", "10.96.0.10", dns...)),
		headless("db"), hosts(slice("db-1", "db", back, "10.16.0.5", "10.16.0.6"), "db-0", "db-1"))
	many := slice("db-1", "db", back)
	for a := netip.MustParseAddr("10.16.1.1"); len(many.Ready) < 50; a = a.Next() {
		many.Ready = append(many.Ready, a)
	}
	return []state{
		bound, some,
		some.with("endpoints for the DNS", slice("dns-1", "dns", dns, "10.16.0.7")),
		some.with("another address", answered(service("web", "10.96.0.81", web...))),
		some.with("two families", changed(answered(service("web", "10.96.0.80", web...)), func(s *model.Service) { s.DNS.Addrs.V6 = netip.MustParseAddr("fd00:10:96::80") })),
		some.with("of another proxy", changed(service("web", "10.96.0.80"), func(s *model.Service) { s.DNS.Addrs, s.ClusterIPs = s.ClusterIPs, model.Addrs{} })),
		some.with("an external name", changed(service("web", "10.96.0.80"), func(s *model.Service) { s.ClusterIPs = model.Addrs{} })),
		some.with("headless now", headless("web"), slice("web-1", "web", back, "10.16.0.5")),
		some.with("two slices", hosts(slice("db-2", "db", back, "10.16.0.6", "10.16.0.9"), "db-1", "db-2")),
		some.with("nobody ready", slice("db-1", "db", back)),
		some.with("too many for an answer", many),
		some.with("a subnet without Services and names", changed(blue, func(s *model.Subnet) { s.LoadBalancers = &no })),
	}
}

// TestNamesInEveryOrder walks the states with names as TestStates walks all others.
func TestNamesInEveryOrder(t *testing.T) {
	for name, expand := range expanders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := namedHarness(t)
			b.restart()
			last := ""
			for _, s := range expand(rand.New(rand.NewPCG(3, 4)), nameStates(t)) { //nolint:gosec // the same walk each time
				s.do(b)
				if s.rest {
					b.converge()
					b.compare(last + " -> " + s.name)
				}
				last = s.name
			}
		})
	}
}

// TestNamesGolden shows the whole database with names in it.
func TestNamesGolden(t *testing.T) {
	b := namedHarness(t)
	b.restart()
	for _, ch := range b.read("testdata/names.yaml") {
		if ch.Object == nil || len(ch.Problems) > 0 {
			t.Fatalf("%s: %v", ch.Ref, ch.Problems)
		}
		b.set(ch.Ref, ch.Object)
	}
	b.converge()
	golden(t, "testdata/names.txt", b.dump())
}

func records(b *harness) map[string]string {
	all := map[string]string{}
	for _, uuid := range uuidsOf(b.db, nb.DNSTable) {
		row, _ := b.db.Peek(nb.DNSTable, uuid).(*nb.DNS)
		for k, v := range row.Records {
			all[k] = v
		}
	}
	return all
}

// An event costs operations on the keys of its own Service, in one transaction.
func TestNameEventCost(t *testing.T) {
	b := namedHarness(t)
	b.restart()
	b.become(nameStates(t)[1])
	b.converge()
	for _, event := range []struct {
		what   string
		object any
		ops    int
	}{
		{"another endpoint of a headless Service", hosts(slice("db-1", "db", back, "10.16.0.5", "10.16.0.6", "10.16.0.9"), "db-0", "db-1"), 1},
		{"an equal slice", hosts(slice("db-1", "db", back, "10.16.0.5", "10.16.0.6", "10.16.0.9"), "db-0", "db-1"), 0},
		{"an endpoint of a Service with an address", slice("web-1", "web", back, "10.16.0.5"), 1}, // of its load balancer
		{"a new Service", answered(service("new", "10.96.0.90", web...)), 3},                      // balancer, group, records
	} {
		ops, txns, compiled := b.ops, b.txns, b.compiled[model.KindService]
		b.set(refTo(event.object), event.object)
		b.converge()
		if got := b.ops - ops; got != event.ops {
			t.Errorf("%s: %d operations, want %d", event.what, got, event.ops)
		}
		if got := b.txns - txns; got > 1 {
			t.Errorf("%s: %d transactions", event.what, got)
		}
		if got := b.compiled[model.KindService] - compiled; got > 1 {
			t.Errorf("%s: %d Services compiled", event.what, got)
		}
	}
}

// Elements that another client adds to our records or removes from them are reverted.
func TestRecordsAreRepaired(t *testing.T) {
	b := namedHarness(t)
	b.restart()
	b.become(nameStates(t)[1])
	b.converge()
	before, want := dump(b.db), "10.16.0.5 10.16.0.6"
	if got := records(b)["db.default.svc.cluster.local"]; got != want {
		t.Fatalf("the name stands for %q, want %q", got, want)
	}
	for _, uuid := range uuidsOf(b.db, nb.DNSTable) {
		b.transact(ovsdb.Operation{Op: "update", Table: nb.DNSTable, Where: where(uuid), Row: ovsdb.Row{
			"records": ovsdb.OvsMap{GoMap: map[any]any{"forged.default.svc.cluster.local": "192.0.2.1", "db.default.svc.cluster.local": "192.0.2.1"}},
		}})
	}
	b.converge()
	b.transact(ovsdb.Operation{Op: "delete", Table: nb.DNSTable, Where: where(fact.UUIDOf(nb.DNSTable, "services/03"))})
	b.converge()
	if after := dump(b.db); after != before {
		t.Error("the records are not as they were")
	}
}
