// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// inputsReachable knows what its node must reach: itself, an API server and a database, in both families.
func inputsReachable() Inputs {
	w := inputsExternal()
	w.Node.InternalIPs = addrList("192.168.77.11", "2001:db8::11")
	w.Node.Services = prefixList("169.254.64.2/18", "fd69:254:64::2/112")
	w.Services = prefixList("10.96.0.0/16", "fd00:10:96::/112")
	w.Infrastructure = model.Infrastructure{APIServers: addrList("192.168.77.1", "2001:db8::a", "10.96.0.1"), Databases: addrList("192.168.78.1", "2001:db8:78::1")}
	w.APIServerClusterIPs = addrList("10.96.0.1")
	return w
}

// takes lists what of the plan takes traffic of the node itself: routes to what it needs, rules and NAT for what it
// sends.
func takes(p Plan) (out []string) {
	needed := vital(inputsReachable())
	sources := append(needed, addrList("100.64.0.2", "100.64.0.1", "fd00:100:64::2", "fd00:100:64::1")...)
	if p.Routes != nil {
		for _, r := range p.Routes.Want {
			if a, taken := Taken(r.Dst, needed); taken && r.Table == 0 {
				out = append(out, fmt.Sprintf("route to %s takes %s", r.Dst, a))
			}
		}
	}
	if p.PolicyRules != nil {
		for _, r := range p.PolicyRules.Want {
			if a, taken := Taken(r.From, sources); taken || !r.From.IsValid() {
				out = append(out, fmt.Sprintf("rule from %s takes %s", r.From, a))
			}
		}
	}
	for _, l := range p.Links {
		for _, address := range l.Addresses {
			if a, taken := Taken(address.Masked(), needed); taken {
				out = append(out, fmt.Sprintf("network %s of %s takes %s", address.Masked(), l.Name, a))
			}
		}
	}
	for _, s := range p.Table.Sets {
		for _, e := range s.Elements {
			prefix, err := netip.ParsePrefix(e)
			if err != nil {
				a := netip.MustParseAddr(e)
				prefix = netip.PrefixFrom(a, a.BitLen())
			}
			if a, taken := Taken(prefix, needed); taken && !strings.HasPrefix(s.Name, "nodes") {
				out = append(out, fmt.Sprintf("set %s takes %s", s.Name, a))
			}
		}
	}
	return out
}

// Whatever its inputs say, a node keeps its way to its API server, to OVN's database, and to itself.
func TestNodeKeepsItsWay(t *testing.T) {
	if got := takes(Make(inputsReachable())); len(got) > 0 || len(Make(inputsReachable()).Routes.Want) < 10 {
		t.Fatalf("unharmed: %v", got)
	}
	subnet := func(w *Inputs, cidr, gateway string) {
		s := Subnet{Name: "evil", Vpc: "ovn-cluster", CIDRs: prefixList(cidr), NATOutgoing: true, Centralized: true, ActiveGateways: []string{"n1"}}
		s.Egress.External = &model.ExternalEgress{Table: 1100, Priority: 1500}
		if a := netip.MustParseAddr(gateway); a.Is4() {
			s.Egress.External.Gateways.V4 = a
		} else {
			s.Egress.External.Gateways.V6 = a
		}
		w.Subnets = append(w.Subnets, s)
	}
	pod := func(w *Inputs, address string) {
		w.Pods = append(w.Pods, Pod{Subnet: "local", Addresses: addrList(address)})
	}
	for name, c := range map[string]struct {
		change  func(w *Inputs)
		problem string
	}{
		"Subnet of the node":              {func(w *Inputs) { subnet(w, "192.168.77.0/28", "10.16.0.5") }, "192.168.77.0/28 contains 192.168.77.1,"},
		"Subnet of everything":            {func(w *Inputs) { subnet(w, "0.0.0.0/0", "10.16.0.5") }, "0.0.0.0/0 contains 192.168.77.1,"},
		"Subnet of the node, IPv6":        {func(w *Inputs) { subnet(w, "2001:db8::/64", "fd00:10:16::5") }, "2001:db8::/64 contains 2001:db8::a,"},
		"Subnet of the database":          {func(w *Inputs) { subnet(w, "192.168.78.0/24", "10.16.0.5") }, "192.168.78.0/24 contains 192.168.78.1,"},
		"Subnet of the nodes' addresses":  {func(w *Inputs) { subnet(w, "100.64.0.0/16", "10.16.0.5") }, "no routing rule from 100.64.0.0/16"},
		"Subnet of the sources, IPv6":     {func(w *Inputs) { subnet(w, "fd69:254:64::/64", "fd00:10:16::5") }, "no routing rule from fd69:254:64::/64"},
		"pod with the node's address":     {func(w *Inputs) { pod(w, "192.168.77.11") }, ""},
		"pod with the node's, IPv6":       {func(w *Inputs) { pod(w, "2001:db8::11") }, ""},
		"pod with ovn0's address":         {func(w *Inputs) { pod(w, "100.64.0.2") }, ""},
		"pod with the join gateway's":     {func(w *Inputs) { pod(w, "fd00:100:64::1") }, ""},
		"pod with the API server's":       {func(w *Inputs) { pod(w, "192.168.77.1") }, ""},
		"ServiceCIDR of the API server":   {func(w *Inputs) { w.Services = append(w.Services, prefixList("192.168.0.0/16")...) }, "ServiceCIDR: 192.168.0.0/16 contains"},
		"ServiceCIDR of the API server 6": {func(w *Inputs) { w.Services = append(w.Services, prefixList("2001:db8::/108")...) }, "ServiceCIDR: 2001:db8::/108 contains"},
		"forged range towards Services":   {func(w *Inputs) { w.Node.Services = prefixList("192.168.77.200/16") }, "range of its address towards Services: 192.168.0.0/16 contains"},
		"forged address of the node":      {func(w *Inputs) { w.Node.Addresses = prefixList("192.168.77.5/24") }, "network of its address in the nodes' Subnet: 192.168.77.0/24 contains"},
	} {
		t.Run(name, func(t *testing.T) {
			w := inputsReachable()
			c.change(&w)
			p := Make(w)
			if got := takes(p); len(got) > 0 {
				t.Errorf("%v", got)
			}
			if c.problem != "" && !slices.ContainsFunc(p.Problems, func(s string) bool { return strings.Contains(s, c.problem) }) {
				t.Errorf("no %q in %v", c.problem, p.Problems)
			}
		})
	}
}

// A routing rule names addresses of its own subnet only.
func TestRulesStayInTheirSubnet(t *testing.T) {
	w := inputsReachable()
	want := len(Make(w).PolicyRules.Want)
	w.Pods = append(w.Pods, Pod{Subnet: "local", Addresses: addrList("10.16.0.8", "fd00:10:16::8")}) // of ovn-default
	if got := Make(w).PolicyRules.Want; len(got) != want {
		t.Errorf("rules %v", got)
	}
}

// Guarding twice is guarding once, and the ClusterIP of the API server does not count as outside of OVN.
func TestGuard(t *testing.T) {
	w := inputsReachable()
	once, problems := Guard(w)
	if len(problems) > 0 || !slices.Equal(once.Services, w.Services) {
		t.Errorf("%v, ServiceCIDRs %v", problems, once.Services)
	}
	w.APIServerClusterIPs = nil
	once, problems = Guard(w)
	if len(problems) != 1 || slices.Contains(once.Services, netip.MustParsePrefix("10.96.0.0/16")) {
		t.Errorf("an API server in a ServiceCIDR: %v", problems)
	}
	if _, again := Guard(once); len(again) > 0 {
		t.Errorf("guarded twice: %v", again)
	}
}
