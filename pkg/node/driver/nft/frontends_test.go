// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

var (
	virtual4, virtual6 = netip.MustParseAddr("10.96.0.80"), netip.MustParseAddr("fd00:10:96::80")
	pod2v4, pod2v6     = netip.MustParseAddr("10.20.0.6"), netip.MustParseAddr("fd00:10:20::6")
	ingress4           = netip.MustParseAddr("198.51.100.80")
)

// externalWire is a wire whose pod's end has two pods' addresses, and those of a Service in OVN's stead.
type externalWire struct {
	*wire
	driver nft.Driver
	world  hostplan.Inputs
}

func newExternalWire(t *testing.T) *externalWire {
	o := &externalWire{wire: newWire(t)}
	o.world = hostplan.Inputs{
		Node: hostplan.Node{
			Name: "n1", InternalIPs: []netip.Addr{nodeOut4, nodeOut6},
			Services: []netip.Prefix{netip.MustParsePrefix("169.254.64.2/18"), netip.MustParsePrefix("fd69:254:64::2/112")},
		},
		NodeAddresses: []netip.Addr{nodeOut4, nodeOut6}, DefaultVpc: "ovn-cluster",
		Subnets: []hostplan.Subnet{{Name: "pods", Vpc: "ovn-cluster", CIDRs: []netip.Prefix{pods4, pods6}}},
	}
	for _, a := range []netip.Addr{virtual4, virtual6, pod2v4, pod2v6} {
		o.pod.Address("eth0", netip.PrefixFrom(a, a.BitLen()))
		if a == virtual4 || a == virtual6 {
			gateway := podAddr4
			if a.Is6() {
				gateway = podAddr6
			}
			o.node.Route(netip.PrefixFrom(a, a.BitLen()), gateway)
		}
	}
	for _, a := range []netip.Addr{podAddr4, podAddr6, pod2v4, pod2v6, virtual4, virtual6} {
		o.serve(o.pod, a)
	}
	o.outside.Route(netip.PrefixFrom(ingress4, 32), nodeOut4)
	return o
}

// become makes the node serve one Service.
func (o *externalWire) become(s *model.Service, endpoints ...*model.EndpointSlice) {
	o.t.Helper()
	var frontends hostplan.FrontendTable
	frontends.Set(model.Ref{Namespace: "shop", Name: "web"}, 0, hostplan.ServiceContextOf(o.world).RulesFor(s, endpoints).Forwards)
	table := hostplan.ServiceTable(o.world, frontends.AffinityTimeouts())
	table.Fill(frontends.Entries())
	o.node.Do(func() {
		for _, again := range []bool{false, true} {
			did, err := o.driver.Apply(o.t.Context(), table)
			if err != nil || again && did != "" {
				o.t.Errorf("apply (again: %t): %q, %v", again, did, err)
			}
		}
	})
}

// from sends a packet from the host outside; the source port is free.
func (o *externalWire) from(source netip.Addr, to netip.AddrPort) string {
	return o.outside.AskUDP(source, to)
}

func externalService(change func(*model.Service)) *model.Service {
	s := &model.Service{
		Meta:       model.Meta{Namespace: "shop", Name: "web"},
		ClusterIPs: model.Addrs{V4: virtual4, V6: virtual6},
		Ports:      []model.ServicePort{{Protocol: model.UDP, Port: echoPort, NodePort: 30080}},
		External:   model.External{Ingress: []netip.Addr{ingress4}},
	}
	change(s)
	return s
}

func endpointsAt(node string, addresses ...netip.Addr) *model.EndpointSlice {
	e := &model.EndpointSlice{
		Meta: model.Meta{Namespace: "shop", Name: node}, Service: "web", Ports: []model.ServicePort{{Protocol: model.UDP, Port: echoPort}},
		Ready: addresses, Nodes: map[netip.Addr]string{},
	}
	for _, a := range addresses {
		e.Nodes[a] = node
	}
	return e
}

// behind4 is what clients are seen as behind the node: its address towards Services.
var behind4 = netip.MustParseAddr("169.254.64.2")

// TestExternalOnTheWire: who answers at a NodePort, and as whom the client is seen.
func TestExternalOnTheWire(t *testing.T) {
	o := newExternalWire(t)
	node4, node6 := netip.AddrPortFrom(nodeOut4, 30080), netip.AddrPortFrom(nodeOut6, 30080)
	here := []*model.EndpointSlice{endpointsAt("n1", podAddr4), endpointsAt("n1", podAddr6)}
	seen := func(what string, source netip.Addr, to netip.AddrPort, want netip.Addr) {
		t.Helper()
		if got := o.from(source, to); got != want.String() {
			t.Errorf("%s: %s at %s is seen as %s, want %s", what, source, to, got, want)
		}
	}
	o.become(externalService(func(*model.Service) {}), here...)
	seen("cluster", outside4, node4, outside4) // OVN's load balancer gets it
	seen("cluster", outside6, node6, outside6)
	seen("cluster", outside4, netip.AddrPortFrom(ingress4, echoPort), outside4)

	o.become(externalService(func(s *model.Service) { s.External.Local = true }), here...)
	seen("local", outside4, node4, outside4)
	seen("local", outside6, node6, outside6)
	seen("local, of a load balancer", other4, netip.AddrPortFrom(ingress4, echoPort), other4)

	o.world.Subnets[0].Centralized = true
	o.become(externalService(func(s *model.Service) { s.External.Local = true }), here...)
	seen("local, centralized elsewhere", outside4, node4, behind4)
	o.world.Subnets[0].ActiveGateways = []string{"n1"}
	o.become(externalService(func(s *model.Service) { s.External.Local = true }), here...)
	seen("local, centralized here", outside4, node4, outside4)

	o.world.NodeAddresses = append(o.world.NodeAddresses, outside4)
	o.become(externalService(func(s *model.Service) { s.External.Local = true }), here...)
	seen("local, of another node", outside4, node4, outside4)
	o.world.Subnets[0].NoLoadBalancer = true
	o.become(externalService(func(s *model.Service) { s.External.Local = true }), here...)
	seen("local, of another node, whose answers OVN does not know", outside4, node4, behind4)
	seen("local, of somebody else", other4, node4, other4)
}

func (o *externalWire) silent(what string, source netip.Addr, to netip.AddrPort) {
	o.t.Helper()
	before := o.dropped()
	var conn *net.UDPConn
	var err error
	o.outside.Do(func() {
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), net.UDPAddrFromAddrPort(to))
	})
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte("?"))
	for deadline := time.Now().Add(packetTimeout); o.dropped() == before; {
		if time.Now().After(deadline) {
			o.t.Fatalf("%s: no packet was dropped", what)
		}
	}
}

// dropped counts the packets that rules have dropped.
func (o *externalWire) dropped() (sum int) {
	o.node.Do(func() {
		text := run(o.t, "list", "table", "inet", hostplan.ServiceTableName)
		for _, m := range counters.FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(m[1])
			sum += n
		}
	})
	return sum
}

// TestExternalDrops: what must not be answered is dropped by a rule.
func TestExternalDrops(t *testing.T) {
	o := newExternalWire(t)
	node4, at := netip.AddrPortFrom(nodeOut4, 30080), netip.AddrPortFrom(ingress4, echoPort)
	o.become(externalService(func(s *model.Service) { s.External.Local = true }), endpointsAt("n2", podAddr4))
	o.silent("no backend here", outside4, node4)
	o.become(externalService(func(s *model.Service) {
		s.External.Sources = []netip.Prefix{netip.PrefixFrom(other4, 32), netip.MustParsePrefix("203.0.113.0/24")}
	}), endpointsAt("n1", podAddr4))
	o.silent("not admitted", outside4, at)
	if got := o.from(other4, at); got != other4.String() {
		t.Errorf("admitted: seen as %s", got)
	}
	if got := o.from(outside4, node4); got != outside4.String() {
		t.Errorf("source ranges are for load balancers, not for NodePorts: seen as %s", got)
	}
}

// TestClientKeepsItsBackend: affinity of a NodePort goes by the client, also beside another one.
func TestClientKeepsItsBackend(t *testing.T) {
	o := newExternalWire(t)
	node4 := netip.AddrPortFrom(nodeOut4, 30080)
	affine := externalService(func(s *model.Service) { s.Affinity, s.AffinityTimeout, s.External.Local = true, 3*time.Hour, true })
	o.become(affine, endpointsAt("n1", podAddr4, pod2v4))
	learned := func() (out []hostplan.Entry) {
		o.node.Do(func() {
			var err error
			if out, err = o.driver.Learned(t.Context(), hostplan.ServiceTableName, "clients4"); err != nil {
				t.Error(err)
			}
		})
		return out
	}
	for range 8 {
		o.from(outside4, node4)
	}
	first := learned()
	if len(first) != 1 || !strings.HasSuffix(first[0].Key, " . 192.0.2.2") || !slices.Contains([]string{"10.20.0.5", "10.20.0.6"}, first[0].Value) {
		t.Fatalf("learned %v", first)
	}
	o.from(other4, node4)
	if all := learned(); len(all) != 2 {
		t.Errorf("learned %v", all)
	}
	// What is learned stays while other things change.
	o.become(affine, endpointsAt("n1", podAddr4, pod2v4, netip.MustParseAddr("10.20.0.7")))
	if now := learned(); len(now) != 2 {
		t.Error(cmp.Diff(first, now))
	}
}

var counters = regexp.MustCompile(`counter packets (\d+) bytes \d+ drop`)
