// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// testInfrastructure is that of a dual-stack cluster; the ServiceCIDR "late" was added at 50.
func testInfrastructure() Infrastructure {
	return InfrastructureConfig{
		NodeSubnet: "join", APIServers: addrList("192.0.2.1", "2001:db8::1"), ServiceRange: prefixes("10.111.0.0/16"),
		Databases:  DatabaseAddresses("ssl:192.0.2.7:6642, tcp:[2001:db8::7]:6642", "unix:/run/ovn/ovnnb_db.sock,ssl:ovn.example:6641"),
		HostSource: prefixes("169.254.64.0/18,fd69:254:64::/112"),
	}.With([]*ServiceCIDR{
		{Meta: Meta{Name: "kubernetes", Created: 1}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("fd00:10:96::/112")}},
		{Meta: Meta{Name: "late", Created: 50}, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.97.0.0/16")}},
	}, prefixes("100.64.0.0/16,fd00:100:64::/112"), []*EndpointSlice{{Ready: addrList("192.0.2.2"), Draining: addrList("192.0.2.1")}})
}

func addrList(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

func TestOverlapsReserved(t *testing.T) {
	infrastructure := testInfrastructure()
	if want := addrList("192.0.2.1", "192.0.2.2", "2001:db8::1"); !slices.Equal(infrastructure.APIServers, want) {
		t.Errorf("API servers are %v", infrastructure.APIServers)
	}
	for _, c := range []struct {
		name, cidr string
		provider   Provider
		created    int64
		want       string // of the message, empty for none
		warning    bool
	}{
		{"s", "10.96.7.0/24", "ovn", 20, "10.96.0.0/16, ServiceCIDR kubernetes", false},
		{"s", "10.0.0.0/8", "ovn", 0, "10.96.0.0/16, ServiceCIDR kubernetes", true}, // it is older than every object
		{"s", "fd00:10:96::/64", "ovn", 20, "ServiceCIDR kubernetes", false},
		{"s", "10.97.0.0/24", "ovn", 20, "ServiceCIDR late, which was added later", true},
		{"s", "10.97.0.0/24", "ovn", 50, "ServiceCIDR late", false},
		{"s", "10.111.0.0/24", "ovn", 20, "", false}, // the flag counts without ServiceCIDRs only
		{"s", "169.254.64.0/31", "ovn", 20, "--node-service-cidr", false},
		{"s", "fd69:254:64::/112", "net.default.ovn", 20, "--node-service-cidr", false},
		{"s", "fd69:254:64::/112", "macvlan.default", 20, "", false}, // its packets are not OVN's
		{"s", "fd00:100:64::/120", "ovn", 20, "Subnet join of the nodes", false},
		{"join", "100.64.0.0/16,fd00:100:64::/112", "ovn", 20, "", false},
		{"s", "10.16.0.0/16,fd00:10:16::/112", "ovn", 20, "", false},
	} {
		for _, vpc := range []string{DefaultVpc, "red"} {
			s := Subnet{Meta: Meta{Name: c.name, Created: c.created}, Vpc: vpc, Provider: c.provider, CIDR: prefixes(c.cidr)}
			var got []Problem
			for _, r := range infrastructure.Ranges {
				if p, ok := OverlapsReserved(s, r); ok {
					got = append(got, p)
				}
			}
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || !strings.Contains(got[0].Message, c.want) || got[0].Fatal == c.warning) {
				t.Errorf("%s of %q in Vpc %s: %+v, want %q", c.cidr, c.provider, vpc, got, c.want)
			}
		}
	}
	if got := clusterIPRanges(nil, prefixes("10.111.0.0/16")); len(got) != 1 || got[0].Created != 0 {
		t.Errorf("without ServiceCIDRs: %v", got)
	}
}

// claims is an [AddressView].
type claims struct {
	nodes, subnets map[netip.Addr]string
	clusterIPs     map[netip.Addr]*Service
}

func (claims) Infrastructure() Infrastructure { return testInfrastructure() }

func (c claims) NodeAt(a netip.Addr) (string, bool) { n, ok := c.nodes[a]; return n, ok }

func (c claims) SubnetAt(a netip.Addr) (string, bool) { n, ok := c.subnets[a]; return n, ok }

func (c claims) ClusterIPAt(a netip.Addr) (*Service, bool) { s, ok := c.clusterIPs[a]; return s, ok }

func TestWithoutConflicts(t *testing.T) {
	view := claims{
		nodes:      map[netip.Addr]string{addr("192.168.77.11"): "n1", addr("fd00:77::b"): "n1"},
		subnets:    map[netip.Addr]string{addr("10.16.0.9"): "ovn-default"},
		clusterIPs: map[netip.Addr]*Service{addr("10.96.0.80"): {Meta: Meta{Namespace: "shop", Name: "web"}}},
	}
	for a, want := range map[string]string{
		"203.0.113.9": "", "2001:db8::9": "",
		"192.0.2.1": "an address of the API server", "2001:db8::1": "an address of the API server", "192.0.2.2": "an address of the API server",
		"192.0.2.7": "an address of OVN's databases", "2001:db8::7": "an address of OVN's databases",
		"192.168.77.11": "an address of Node n1", "fd00:77::b": "an address of Node n1",
		"10.96.0.80": "the ClusterIP of Service shop/web", "10.96.0.81": "in 10.96.0.0/16, ServiceCIDR kubernetes", "fd00:10:96::7": "in fd00:10:96::/112, ServiceCIDR kubernetes",
		"10.16.0.9": "in Subnet ovn-default", "100.64.0.2": "in 100.64.0.0/16, Subnet join of the nodes", "fd69:254:64::": "(--node-service-cidr)",
		"127.0.0.1": "loopback", "::1": "loopback", "224.0.0.5": "multicast", "0.0.0.0": "unspecified", "255.255.255.255": "multicast", "fe80::1": "link-local",
	} {
		for field, set := range map[string]func(*External, ...netip.Addr){
			"spec.externalIPs":            func(e *External, a ...netip.Addr) { e.IPs = a },
			"status.loadBalancer.ingress": func(e *External, a ...netip.Addr) { e.Ingress = a },
		} {
			s := Service{ClusterIPs: Addrs{V4: addr("10.96.0.1"), V6: addr("fd00:10:96::1")}, Ports: []ServicePort{{Protocol: TCP, Port: 80}}}
			set(&s.External, addr(a), addr("203.0.113.7"))
			got, list := WithoutConflicts(&s, view)
			kept := slices.Contains(got.External.Addresses(), addr(a))
			if kept != (want == "") || !slices.Contains(got.External.Addresses(), addr("203.0.113.7")) {
				t.Errorf("%s: left are %v", a, got.External)
			}
			if want != "" && (len(list) != 1 || list[0].Fatal || list[0].Field != field || list[0].Reason != ReasonAddressConflict || !strings.Contains(list[0].Message, want) || !strings.Contains(list[0].Message, a)) {
				t.Errorf("%s %s: problems %v, want %q", field, a, list, want)
			}
			if want == "" && len(list) > 0 {
				t.Errorf("%s: problems %v", a, list)
			}
		}
	}
}

// Nodes do not forward the port of their tunnels at any address.
func TestExternalPortOfTunnels(t *testing.T) {
	s := Service{ClusterIPs: Addrs{V4: addr("10.96.0.1")}, Ports: []ServicePort{{Protocol: UDP, Port: 6081}, {Protocol: TCP, Port: 6081}}}
	if _, list := WithoutConflicts(&s, claims{}); len(list) > 0 {
		t.Errorf("inside: %v", list)
	}
	s.External.IPs = addrList("203.0.113.9")
	if got, list := WithoutConflicts(&s, claims{}); len(list) != 1 || list[0].Field != "spec.ports.port" || len(got.External.IPs) != 1 {
		t.Errorf("outside: %v", list)
	}
}

// What is reached at an address all the same is no problem.
func TestReachedAnyway(t *testing.T) {
	view := claims{nodes: map[netip.Addr]string{addr("192.168.77.11"): "n1"}, clusterIPs: map[netip.Addr]*Service{addr("10.96.0.80"): {}}}
	s := Service{ClusterIPs: Addrs{V4: addr("10.96.0.80")}, Ports: []ServicePort{{Protocol: TCP, Port: 30080, NodePort: 30080}}}
	s.External.IPs = addrList("10.96.0.80", "192.168.77.11")
	if got, list := WithoutConflicts(&s, view); len(list) > 0 || len(got.External.IPs) > 0 {
		t.Errorf("%v, %v", got.External, list)
	}
	s.Ports = append(s.Ports, ServicePort{Protocol: TCP, Port: 10250, NodePort: 30081})
	if _, list := WithoutConflicts(&s, view); len(list) != 1 {
		t.Errorf("a port that is no NodePort: %v", list)
	}
}

func TestPortsOfNodes(t *testing.T) {
	s := Service{Ports: []ServicePort{
		{Protocol: TCP, Port: 80, NodePort: 10250},
		{Protocol: TCP, Port: 81, NodePort: 6443},
		{Protocol: TCP, Port: 82, NodePort: 6641},
		{Protocol: UDP, Port: 83, NodePort: 6081},
		{Protocol: UDP, Port: 84, NodePort: 10250},
		{Protocol: TCP, Port: 85, NodePort: 30080},
	}}
	s.External.HealthPort = 6642
	got, list := WithoutConflicts(&s, claims{})
	var left []uint16
	for _, p := range got.Ports {
		left = append(left, p.NodePort)
	}
	if !slices.Equal(left, []uint16{0, 0, 0, 0, 10250, 30080}) || got.External.HealthPort != 0 || len(list) != 5 {
		t.Errorf("left are %v, %d, problems %v", left, got.External.HealthPort, list)
	}
	if s.Ports[0].NodePort != 10250 || s.External.HealthPort != 6642 {
		t.Error("the Service itself is changed")
	}
}

func TestNodePrecedence(t *testing.T) {
	node := func(name string, created int64, ready bool, chassis string) *Node {
		return &Node{Meta: Meta{Name: name, Created: created}, InternalIPs: addrList("192.168.77.12", "fd00:77::c"), Ready: ready, Chassis: chassis}
	}
	for _, c := range []struct {
		what   string
		nodes  []*Node
		holder string
	}{
		{"the old object of a renamed machine", []*Node{node("ghost", 1, false, "c2"), node("n2", 9, true, "c2")}, "n2"},
		{"a Ready one without a chassis", []*Node{node("ghost", 1, true, ""), node("n2", 9, true, "c2")}, "n2"},
		{"both work", []*Node{node("a", 2, true, "c2"), node("n2", 1, true, "c2")}, "n2"},
		{"none works", []*Node{node("b", 1, false, ""), node("a", 1, false, "")}, "a"},
	} {
		for _, n := range c.nodes {
			held, list := HeldInternalIPs(n, nil, nil, func(netip.Addr) []*Node { return c.nodes })
			if has := len(held) == 2 && len(list) == 0; has != (n.Name == c.holder) || !has && (len(held) > 0 || len(list) != 2 || !strings.Contains(list[0].Message, "is that of Node "+c.holder)) {
				t.Errorf("%s: %s has %v, problems %v", c.what, n.Name, held, list)
			}
			if has, problem := HoldsChassis(n, c.nodes); n.Chassis != "" && (has != (n.Name == c.holder) || has != (problem == nil)) {
				t.Errorf("%s: %s has the chassis: %v, %v", c.what, n.Name, has, problem)
			}
		}
	}
	leaving := node("a", 1, true, "c2")
	leaving.Deleting = true
	if held, _ := HeldInternalIPs(node("b", 2, true, "c3"), nil, nil, func(netip.Addr) []*Node { return []*Node{leaving} }); len(held) != 2 {
		t.Error("a Node that is being deleted keeps its address")
	}
	assigned := []netip.Prefix{netip.MustParsePrefix("fd00:77::/64")}
	held, list := HeldInternalIPs(node("b", 2, true, "c3"), nil, assigned, func(netip.Addr) []*Node { return nil })
	if len(held) != 1 || len(list) != 1 || !strings.Contains(list[0].Message, "InternalIP fd00:77::c is in fd00:77::/64") {
		t.Errorf("an InternalIP in a range of ours: %v, %v", held, list)
	}
}
