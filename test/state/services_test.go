// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func service(name, address string, ports ...model.ServicePort) *model.Service {
	return &model.Service{
		Meta:       model.Meta{Namespace: "default", Name: name, UID: "service-" + name, Created: 6},
		ClusterIPs: model.Addrs{V4: netip.MustParseAddr(address)}, Ports: ports, Vpc: config.ClusterRouter,
	}
}

func slice(name, service string, ports []model.ServicePort, ready ...string) *model.EndpointSlice {
	s := &model.EndpointSlice{Meta: model.Meta{Namespace: "default", Name: name, UID: "slice-" + name, Created: 7}, Service: service, Ports: ports}
	for _, a := range ready {
		s.Ready = append(s.Ready, netip.MustParseAddr(a))
	}
	return s
}

// onNode says that all endpoints are on one node.
func onNode(e *model.EndpointSlice, name string) *model.EndpointSlice {
	e.Nodes = map[netip.Addr]string{}
	for _, a := range e.Ready {
		e.Nodes[a] = name
	}
	return e
}

func chassis(name, address, of string) *model.Node {
	return changed(node(name, address), func(n *model.Node) { n.Chassis = of })
}

var (
	web  = []model.ServicePort{{Name: "http", Protocol: model.TCP, Port: 80}, {Name: "https", Protocol: model.TCP, Port: 443}}
	back = []model.ServicePort{{Name: "http", Protocol: model.TCP, Port: 8080}, {Name: "https", Protocol: model.TCP, Port: 8443}}
	dns  = []model.ServicePort{{Name: "dns", Protocol: model.UDP, Port: 53}, {Name: "dns-tcp", Protocol: model.TCP, Port: 53}, {Name: "x", Protocol: model.SCTP, Port: 9}}
)

func serviceStates(bound state) []state {
	services := bound.with("services", service("web", "10.96.0.80", web...), slice("web-1", "web", back, "10.16.0.5", "10.16.0.6"),
		service("dns", "10.96.0.10", dns...), slice("dns-1", "dns", dns, "10.16.0.7"))
	blue, _ := bound.objects[ref(model.KindSubnet, "", "blue")].(*model.Subnet)
	no, yes := false, true
	localInside := changed(service("web", "10.96.0.80", web...), func(s *model.Service) {
		s.ClusterIPs.V6, s.InternalLocal = netip.MustParseAddr("fd00:10:96::80"), true
	})
	return []state{
		bound.with("a Service without endpoints", service("web", "10.96.0.80", web...)),
		bound.with("endpoints without a Service", slice("web-1", "web", back, "10.16.0.5")),
		services,
		services.with("two slices, one address in both", slice("web-2", "web", back, "10.16.0.6", "10.16.0.9")),
		services.with("slices of two kinds of ports", slice("web-2", "web", []model.ServicePort{{Name: "http", Protocol: model.TCP, Port: 9090}}, "10.16.0.9")),
		services.with("all draining", changed(slice("web-1", "web", back), func(e *model.EndpointSlice) { e.Draining = []netip.Addr{netip.MustParseAddr("10.16.0.5")} })),
		services.with("one draining", changed(slice("web-1", "web", back, "10.16.0.6"), func(e *model.EndpointSlice) { e.Draining = []netip.Addr{netip.MustParseAddr("10.16.0.5")} })),
		services.with("affinity", changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.Affinity = true })),
		services.with("affinity with a timeout", remembered(20)),
		services.with("affinity with another timeout", remembered(30)),
		services.with("affinity with a timeout and rules", remembered(20), changed(blue, func(s *model.Subnet) { s.Private = true })),
		services.with("headless now", changed(service("web", "10.96.0.80"), func(s *model.Service) { s.ClusterIPs = model.Addrs{} })),
		services.with("two families", changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.ClusterIPs.V6 = netip.MustParseAddr("fd00:10:96::80") }),
			slice("web-6", "web", back, "fd00:18::5")),
		services.with("addresses from outside", changed(service("web", "10.96.0.80", web...), func(s *model.Service) {
			s.External = model.External{IPs: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, Ingress: []netip.Addr{netip.MustParseAddr("203.0.113.2")}, Local: true}
		})),
		services.with("a load balancer that is not for all", changed(service("web", "10.96.0.80", web...), func(s *model.Service) {
			s.External = model.External{Ingress: []netip.Addr{netip.MustParseAddr("203.0.113.2")}, Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
		})),
		services.with("local inside", localInside, onNode(slice("web-1", "web", back, "10.16.0.5", "10.16.0.6"), "node1"), chassis("node1", "192.168.77.11", "chassis1")),
		services.with("local inside, one has moved", localInside, onNode(slice("web-1", "web", back, "10.16.0.5"), "node1"), onNode(slice("web-2", "web", back, "10.16.0.6"), "node2"),
			chassis("node1", "192.168.77.11", "chassis1"), chassis("node2", "192.168.77.12", "chassis2")),
		services.with("local inside, of a node that OVN does not know", localInside, onNode(slice("web-1", "web", back, "10.16.0.5"), "node1")),
		services.with("a subnet without Services", changed(blue, func(s *model.Subnet) { s.LoadBalancers = &no })),
		services.with("a subnet with Services", changed(blue, func(s *model.Subnet) { s.LoadBalancers = &yes })),
	}
}

// remembered is a Service whose clients are remembered for so many seconds.
func remembered(seconds uint16) *model.Service {
	return changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.Affinity, s.AffinityTimeout = true, time.Duration(seconds)*time.Second })
}

func balancer(b *harness, id string) *nb.LoadBalancer {
	lb, _ := b.db.Peek(nb.LoadBalancerTable, fact.UUIDOf(nb.LoadBalancerTable, id)).(*nb.LoadBalancer)
	return lb
}

// An event of a Service or of its endpoints is one transaction of one operation, and compiles that Service alone,
// however many there are.
func TestServiceEventCost(t *testing.T) {
	b := harnessIn(t, "services")
	for i := range 50 {
		b.set(ref(model.KindService, "default", fmt.Sprint("s", i)), service(fmt.Sprint("s", i), fmt.Sprint("10.96.1.", i), web...))
	}
	b.converge()
	for _, event := range []struct {
		what       string
		object     any
		ops, wakes int
	}{
		{"another endpoint", slice("web-1", "web", back, "10.16.0.5", "10.16.0.6", "10.16.0.7"), 1, 1},
		{"an equal slice", slice("web-1", "web", back, "10.16.0.5", "10.16.0.6", "10.16.0.7"), 0, 0},
		{"no endpoint", slice("web-1", "web", back), 1, 1},
		{"affinity", changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.Affinity = true }), 1, 1},
		{"a slice that adds nothing", slice("web-2", "web", nil), 0, 1},
		{"a NodePort", changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.Affinity = true; s.Ports = slices.Clone(web); s.Ports[0].NodePort = 30080 }), 0, 1},
		{"an external address", changed(service("web", "10.96.0.80", web...), func(s *model.Service) {
			s.Affinity, s.External.IPs = true, []netip.Addr{netip.MustParseAddr("203.0.113.1")}
		}), 1, 1},
		{"a new Service", service("new", "10.96.0.81", web...), 2, 1}, // its row, and the element of the group
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
		if got := b.compiled[model.KindService] - compiled; got != event.wakes {
			t.Errorf("%s: %d Services compiled, want %d", event.what, got, event.wakes)
		}
	}
}

// Only the first Service with a timeout of affinity, and the last, concern the subnets.
func TestAffinityTimeoutCost(t *testing.T) {
	b := harnessIn(t, "services")
	subnets := 0
	for ref := range b.objects {
		if ref.Kind == model.KindSubnet {
			subnets++
		}
	}
	other := changed(service("other", "10.96.0.81", web...), func(s *model.Service) { s.Affinity, s.AffinityTimeout = true, 5*time.Second })
	for _, event := range []struct {
		what   string
		ref    model.Ref
		object any
		wakes  int
	}{
		{"the first", refTo(remembered(20)), remembered(20), subnets},
		{"another timeout", refTo(remembered(20)), remembered(30), 0},
		{"a second", refTo(other), other, 0},
		{"one less", refTo(other), nil, 0},
		{"none", refTo(remembered(20)), nil, subnets},
	} {
		compiled := b.compiled[model.KindSubnet]
		b.set(event.ref, event.object)
		b.converge()
		if got := b.compiled[model.KindSubnet] - compiled; got != event.wakes {
			t.Errorf("%s: %d subnets compiled, want %d", event.what, got, event.wakes)
		}
	}
}

// The group of a Vpc is deleted even if a switch of another client refers to it, which the database refuses by itself;
// the switch stays.
func TestGroupGoesWithItsVpc(t *testing.T) {
	b := harnessIn(t, "services")
	byHand := fact.UUIDOf("test", "switch")
	b.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, UUID: byHand, Row: ovsdb.Row{
		"name": "by-hand", "load_balancer_group": ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: loadBalancers("ovn-cluster")}}},
	}})
	b.converge()
	b.become(state{name: "nothing"})
	b.converge()
	if b.db.Peek(nb.LoadBalancerGroupTable, loadBalancers("ovn-cluster")) != nil || balancer(b, "service/default/web/tcp") != nil {
		t.Error("the group or a load balancer is left over")
	}
	if b.db.Peek(nb.LogicalSwitchTable, byHand) == nil {
		t.Error("the switch of another client is gone")
	}
}

// A group that another client detaches and deletes is restored.
func TestGroupIsRepaired(t *testing.T) {
	b := harnessIn(t, "services")
	before := dump(b.db)
	b.transact(deletion(fact.TableOf(nb.LoadBalancerGroupTable), loadBalancers("ovn-cluster"))...)
	b.converge()
	if after := dump(b.db); after != before {
		t.Error("the group of load balancers is not as it was")
	}
}

func loadBalancers(vpc string) string {
	return fact.UUIDOf(nb.LoadBalancerGroupTable, "woven."+vpc)
}

// What exceeds the limit of a Service is left out, and the Service has a problem.
func TestServiceTooLarge(t *testing.T) {
	b := newModelHarness(t)
	b.config.Limits.ServiceBackends = 5
	b.restart()
	b.become(named(t, "services"))
	b.set(ref(model.KindEndpointSlice, "default", "web-1"), slice("web-1", "web", back, "10.16.0.5", "10.16.0.6", "10.16.0.7", "10.16.0.8"))
	b.converge()
	web := ref(model.KindService, "default", "web")
	if !hasProblem(b, web, "2 of 2 ports are served, by at most 2 backends each") {
		t.Errorf("problems are %v", b.reports[web].Problems)
	}
	lb, _ := b.db.Peek(nb.LoadBalancerTable, fact.UUIDOf(nb.LoadBalancerTable, "service/default/web/tcp")).(*nb.LoadBalancer)
	if want := "10.16.0.5:8080,10.16.0.6:8080"; lb == nil || lb.Vips["10.96.0.80:80"] != want {
		t.Errorf("the load balancer is %+v, want %s", lb, want)
	}
	b.set(ref(model.KindEndpointSlice, "default", "web-1"), slice("web-1", "web", back, "10.16.0.5", "10.16.0.6"))
	b.converge()
	if len(b.reports[web].Problems) > 0 {
		t.Errorf("problems of a Service that is within the limit: %v", b.reports[web].Problems)
	}
}
