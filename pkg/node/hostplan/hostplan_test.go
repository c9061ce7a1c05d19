// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func prefixList(ps ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func addrList(as ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range as {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func inputsV4() Inputs {
	return Inputs{
		Node: Node{
			Name: "n1", MAC: "0a:00:00:40:00:02", Addresses: prefixList("100.64.0.2/16"),
			Gateways: addrList("100.64.0.1"), InternalIPs: addrList("192.168.77.11"),
		},
		Subnets: []Subnet{
			{Name: "join", Vpc: "ovn-cluster", CIDRs: prefixList("100.64.0.0/16")},
			{Name: "ovn-default", Vpc: "ovn-cluster", CIDRs: prefixList("10.16.0.0/16"), NATOutgoing: true},
			{Name: "quiet", Vpc: "ovn-cluster", CIDRs: prefixList("10.17.0.0/24")},
			{Name: "tenant", Vpc: "blue", CIDRs: prefixList("10.16.0.0/16"), NATOutgoing: true},
			{Name: "vlan", Vpc: "ovn-cluster", CIDRs: prefixList("172.18.0.0/24"), Underlay: true, NATOutgoing: true},
		},
		NodeAddresses: addrList("192.168.77.12", "192.168.77.11"),
		DefaultVpc:    "ovn-cluster", MTU: 1400, Userspace: true, MirrorLink: "mirror0",
		PodPorts: []string{"b_h", "a_h", "b_h"},
	}
}

func inputsV6() Inputs {
	w := inputsV4()
	w.Node.Addresses, w.Node.Gateways = prefixList("fd00:100:64::2/112"), addrList("fd00:100:64::1")
	w.Subnets = []Subnet{
		{Name: "join", Vpc: "ovn-cluster", CIDRs: prefixList("fd00:100:64::/112")},
		{Name: "ovn-default", Vpc: "ovn-cluster", CIDRs: prefixList("fd00:10:16::/112"), NATOutgoing: true},
	}
	w.NodeAddresses = addrList("2001:db8::11", "2001:db8::12")
	w.Userspace = false
	return w
}

func inputsDual() Inputs {
	w := inputsV4()
	w.Node.Addresses = prefixList("100.64.0.2/16", "fd00:100:64::2/112")
	w.Node.Gateways = addrList("100.64.0.1", "fd00:100:64::1")
	w.Subnets = []Subnet{
		{Name: "ovn-default", Vpc: "ovn-cluster", CIDRs: prefixList("10.16.0.0/16", "fd00:10:16::/112"), NATOutgoing: true},
		{Name: "join", Vpc: "ovn-cluster", CIDRs: prefixList("100.64.0.0/16", "fd00:100:64::/112")},
		{Name: "six", Vpc: "ovn-cluster", CIDRs: prefixList("fd00:10:17::/112")},
	}
	w.NodeAddresses = addrList("192.168.77.11", "2001:db8::11")
	w.MirrorLink = ""
	return w
}

// worldGateway is a gateway node of centralized subnets.
func inputsGateway() Inputs {
	w := inputsDual()
	source := func(v4, v6 string) (a model.Addrs) {
		a.V4, _ = netip.ParseAddr(v4)
		a.V6, _ = netip.ParseAddr(v6)
		return a
	}
	w.Subnets = append(w.Subnets,
		Subnet{
			Name: "named", Vpc: "ovn-cluster", CIDRs: prefixList("10.20.0.0/16", "fd00:10:20::/112"), NATOutgoing: true, Centralized: true,
			Egress: model.Egress{GatewayNodes: []model.GatewayNode{{Name: "n2", Source: source("172.18.0.8", "")}, {Name: "n1", Source: source("172.18.0.9", "2001:db8::9")}}},
		},
		Subnet{
			Name: "one-family", Vpc: "ovn-cluster", CIDRs: prefixList("10.21.0.0/24", "fd00:10:21::/112"), NATOutgoing: true, Centralized: true,
			Egress: model.Egress{GatewayNodes: []model.GatewayNode{{Name: "n1", Source: source("172.18.0.10", "")}}},
		},
		Subnet{
			Name: "elsewhere", Vpc: "ovn-cluster", CIDRs: prefixList("10.22.0.0/24"), NATOutgoing: true, Centralized: true,
			Egress: model.Egress{GatewayNodes: []model.GatewayNode{{Name: "n2", Source: source("172.18.0.8", "")}}},
		},
		Subnet{
			Name: "no-nat", Vpc: "ovn-cluster", CIDRs: prefixList("10.23.0.0/24"), Centralized: true,
			Egress: model.Egress{GatewayNodes: []model.GatewayNode{{Name: "n1", Source: source("172.18.0.11", "")}}},
		},
		Subnet{
			Name: "distributed", Vpc: "ovn-cluster", CIDRs: prefixList("10.24.0.0/24"), NATOutgoing: true,
			Egress: model.Egress{GatewayNodes: []model.GatewayNode{{Name: "n1", Source: source("172.18.0.12", "")}}},
		},
	)
	return w
}

// worldPolicy has subnets with NAT rules.
func inputsPolicy() Inputs {
	w := inputsDual()
	rules := []model.NATRule{
		{Sources: prefixList("10.25.0.128/25", "10.25.0.7/32"), Destinations: prefixList("8.8.8.8/32")},
		{Sources: prefixList("fd00:10:25::7/128"), NAT: true},
		{Destinations: prefixList("192.0.2.0/24", "192.0.2.7/32"), NAT: true},
		{Sources: prefixList("0.0.0.0/0"), Destinations: prefixList("198.51.100.0/24")},
		{Destinations: prefixList("::/0"), NAT: true},
		{},
	}
	w.Subnets = append(w.Subnets,
		Subnet{
			Name: "rules.a", Vpc: "ovn-cluster", CIDRs: prefixList("10.25.0.0/24", "fd00:10:25::/112"), NATOutgoing: true,
			Egress: model.Egress{NATRules: rules},
		},
		Subnet{
			Name: strings.Repeat("long", 63), Vpc: "ovn-cluster", CIDRs: prefixList("10.26.0.0/24"), NATOutgoing: true,
			Egress: model.Egress{NATRules: rules[:1]},
		},
		Subnet{Name: "other-vpc", Vpc: "blue", CIDRs: prefixList("10.27.0.0/24"), NATOutgoing: true, Egress: model.Egress{NATRules: rules}},
		// In conflict with the subnet of its CIDR; the first by name has the rules.
		Subnet{Name: "rules.b", Vpc: "ovn-cluster", CIDRs: prefixList("10.25.0.0/24"), NATOutgoing: true, Egress: model.Egress{NATRules: rules[:1]}},
	)
	return w
}

// worldExternal has subnets that leave through routers outside the cluster.
func inputsExternal() Inputs {
	w := inputsDual()
	to := func(table uint32, v4, v6 string) model.Egress {
		e := &model.ExternalEgress{Table: table, Priority: 1500}
		e.Gateways.V4, _ = netip.ParseAddr(v4)
		e.Gateways.V6, _ = netip.ParseAddr(v6)
		return model.Egress{External: e}
	}
	standby := to(1001, "192.168.77.253", "")
	standby.GatewayNodes = []model.GatewayNode{{Name: "n2"}, {Name: "n1"}}
	w.Subnets = append(w.Subnets,
		Subnet{Name: "local", Vpc: "ovn-cluster", CIDRs: prefixList("10.40.0.0/24", "fd00:10:40::/112"), Egress: to(1000, "192.168.77.254", "2001:db8::fe")},
		Subnet{Name: "standby", Vpc: "ovn-cluster", CIDRs: prefixList("10.41.0.0/24", "fd00:10:41::/112"), Centralized: true, Egress: standby},
		Subnet{Name: "active", Vpc: "ovn-cluster", CIDRs: prefixList("10.42.0.0/24"), Centralized: true, ActiveGateways: []string{"n2", "n1"}, Egress: to(1002, "192.168.77.252", "")},
		Subnet{Name: "elsewhere", Vpc: "ovn-cluster", CIDRs: prefixList("10.43.0.0/24"), Centralized: true, ActiveGateways: []string{"n2"}, Egress: to(1003, "192.168.77.252", "")},
		Subnet{Name: "table-taken", Vpc: "ovn-cluster", CIDRs: prefixList("10.44.0.0/24"), Centralized: true, ActiveGateways: []string{"n1"}, Egress: to(1000, "192.168.77.252", "")},
		Subnet{Name: "empty", Vpc: "ovn-cluster", CIDRs: prefixList("10.45.0.0/24"), Egress: to(1005, "192.168.77.254", "")},
		Subnet{Name: "other-vpc", Vpc: "blue", CIDRs: prefixList("10.46.0.0/24"), Egress: to(1006, "192.168.77.254", "")},
	)
	w.Pods = []Pod{
		{Subnet: "local", Addresses: addrList("10.40.0.7", "fd00:10:40::7")},
		{Subnet: "local", Addresses: addrList("10.40.0.5")},
		{Subnet: "local", Addresses: addrList("10.40.0.5")},
		{Subnet: "standby", Addresses: addrList("10.41.0.5")},
		{Subnet: "other-vpc", Addresses: addrList("10.46.0.5")},
		{Subnet: "ovn-default", Addresses: addrList("10.16.0.5")},
		{Subnet: "no-such-subnet", Addresses: addrList("10.47.0.5")},
	}
	return w
}

// A mistake in how a subnet leaves keeps its rules and routes, whatever they are.
func TestMistakeKeepsRules(t *testing.T) {
	w := inputsExternal()
	for i := range w.Subnets {
		if s := &w.Subnets[i]; s.Name == "local" {
			s.Egress.External, s.Problems = nil, []string{"spec.policyRoutingTableID: 254 belongs to the kernel"}
		}
	}
	p := Make(w)
	if !p.PolicyRules.KeepOthers || !p.Routes.KeepOthers || !slices.Contains(p.Problems, "subnet local: spec.policyRoutingTableID: 254 belongs to the kernel") {
		t.Errorf("%+v %+v %v", p.PolicyRules, p.Routes, p.Problems)
	}
}

func TestGolden(t *testing.T) {
	for name, w := range map[string]Inputs{
		"v4": inputsV4(), "v6": inputsV6(), "dual": inputsDual(), "gateway": inputsGateway(), "policy": inputsPolicy(), "external": inputsExternal(), "empty": {Node: Node{Name: "n1"}, MirrorLink: "mirror0"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(Make(w), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("-want +got (run with -update to accept)\n%s", d)
			}
		})
	}
}

// The order in which objects are listed changes nothing.
func TestOrder(t *testing.T) {
	for _, w := range []Inputs{inputsV4(), inputsV6(), inputsDual(), inputsGateway(), inputsPolicy(), inputsExternal()} {
		v := w
		v.Pods = slices.Clone(w.Pods)
		slices.Reverse(v.Pods)
		v.Subnets, v.NodeAddresses, v.PodPorts = slices.Clone(w.Subnets), slices.Clone(w.NodeAddresses), slices.Clone(w.PodPorts)
		slices.Reverse(v.Subnets)
		slices.Reverse(v.NodeAddresses)
		slices.Reverse(v.PodPorts)
		a, _ := json.Marshal(Make(w))
		b, _ := json.Marshal(Make(v))
		if d := cmp.Diff(string(a), string(b)); d != "" {
			t.Error(d)
		}
	}
}

func TestRoutes(t *testing.T) {
	dst := func(p Plan) (out []string) {
		for _, r := range p.Routes.Want {
			if !r.Attached() {
				out = append(out, r.Dst.String())
			}
		}
		return out
	}
	for _, c := range []struct {
		name     string
		change   func(*Inputs)
		want     []string
		keep     bool
		problems int
	}{
		{name: "as is", change: func(*Inputs) {}, want: []string{"10.16.0.0/16", "10.17.0.0/24"}},
		{name: "no subnets", change: func(w *Inputs) { w.Subnets = nil }},
		{
			name: "same CIDR twice", change: func(w *Inputs) { w.Subnets[2].CIDRs = w.Subnets[1].CIDRs },
			want: []string{"10.16.0.0/16"},
		},
		{
			name: "cannot be understood", change: func(w *Inputs) {
				w.Subnets[2] = Subnet{Name: "quiet", Vpc: "ovn-cluster", Invalid: "spec.cidrBlock: bad"}
			},
			want: []string{"10.16.0.0/16"}, keep: true, problems: 1,
		},
		{
			name: "family that the node lacks", change: func(w *Inputs) { w.Subnets[2].CIDRs = prefixList("fd00::/112") },
			want: []string{"10.16.0.0/16"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := inputsV4()
			c.change(&w)
			p := Make(w)
			if got := dst(p); !slices.Equal(got, c.want) || p.Routes.KeepOthers != c.keep || len(p.Problems) != c.problems {
				t.Errorf("routes %v keep %v problems %v; want %v, %v, %d", got, p.Routes.KeepOthers, p.Problems, c.want, c.keep, c.problems)
			}
		})
	}
}

// A node that the controller has not answered yet is left as it is, but for what does not depend on it.
func TestWaiting(t *testing.T) {
	for _, c := range []struct {
		change func(*Node)
		want   string
	}{
		{func(n *Node) { n.Addresses = nil }, "no join address"},
		{func(n *Node) { n.MAC = "" }, "no MAC"},
		{func(n *Node) { n.Gateways = nil }, "no join gateway"},
	} {
		w := inputsV4()
		c.change(&w.Node)
		p := Make(w)
		if len(p.Waiting) != 1 || !strings.Contains(p.Waiting[0], c.want) || p.Routes != nil || p.Mirror == nil {
			t.Errorf("%s: %+v", c.want, p)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"10.16.1.0/24", "10.16.0.0/16", "10.16.0.0/16", "fd00::/8"}, []string{"10.16.0.0/16"}},
		{[]string{"10.0.0.0/24", "10.0.1.0/24"}, []string{"10.0.0.0/24", "10.0.1.0/24"}},
		{[]string{"192.0.2.1/32", "10.0.0.7/8"}, []string{"10.0.0.0/8", "192.0.2.1"}},
	} {
		if got := prefixes(prefixList(c.in...), model.IPv4); !slices.Equal(got, c.want) {
			t.Errorf("prefixes(%v) = %v; want %v", c.in, got, c.want)
		}
	}
}

func TestMTU(t *testing.T) {
	for _, c := range []struct {
		configured, underlay int
		six                  bool
		want                 int
	}{
		{0, 1500, false, 1400},
		{0, 1500, true, 1380},
		{0, 9000, false, 8900},
		{1442, 1500, true, 1442},
		{0, 0, false, 1400},
		{0, 1300, false, 1280},
	} {
		if got := MTU(c.configured, c.underlay, c.six); got != c.want {
			t.Errorf("MTU(%d, %d, %v) = %d; want %d", c.configured, c.underlay, c.six, got, c.want)
		}
	}
}
