// SPDX-License-Identifier: Apache-2.0

package rule_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

const answerPort = 9000

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// Packets of a pod go to the router that its subnet names, those of others take
// the node's default route, and what is inside stays inside.
func TestPacketsTakeTheirRouter(t *testing.T) {
	node, ovn, usual, outside := nstest.New(t), nstest.New(t), nstest.New(t), nstest.New(t)
	addr := netip.MustParseAddr
	// ovn stands for all pods and OVN's router between them.
	node.Connect("ovn0", prefixes("100.64.0.2/16", "fd00:100:64::2/112"), ovn, "eth0", prefixes(
		"100.64.0.1/16", "fd00:100:64::1/112", "10.16.0.5/32", "10.40.0.5/32", "10.40.0.6/32", "fd00:10:16::5/128", "fd00:10:40::5/128"))
	node.Connect("eth0", prefixes("192.0.2.1/24", "2001:db8::1/64"), usual, "eth0", prefixes("192.0.2.2/24", "2001:db8::2/64", "203.0.113.1/32", "2001:db8:f::1/128"))
	node.Connect("eth1", prefixes("198.51.100.1/24", "2001:db8:1::1/64"), outside, "eth0", prefixes("198.51.100.2/24", "2001:db8:1::2/64", "203.0.113.1/32", "2001:db8:f::1/128"))
	node.Forward()
	all4, all6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	node.Route(all4, addr("192.0.2.2"))
	node.Route(all6, addr("2001:db8::2"))
	for ns, gateways := range map[*nstest.Namespace][2]string{
		ovn: {"100.64.0.2", "fd00:100:64::2"}, usual: {"192.0.2.1", "2001:db8::1"}, outside: {"198.51.100.1", "2001:db8:1::1"},
	} {
		ns.Route(all4, addr(gateways[0]))
		ns.Route(all6, addr(gateways[1]))
	}
	target4, target6 := addr("203.0.113.1"), addr("2001:db8:f::1")
	for _, a := range []netip.Addr{target4, target6} {
		at := netip.AddrPortFrom(a, answerPort)
		usual.ServeUDP(at, func(netip.Addr) string { return "usual" })
		outside.ServeUDP(at, func(netip.Addr) string { return "outside" })
	}

	external := hostplan.Subnet{Name: "external", Vpc: "v", CIDRs: prefixes("10.40.0.0/24", "fd00:10:40::/64")}
	external.Egress.External = &model.ExternalEgress{
		Gateways: model.Addrs{V4: addr("198.51.100.2"), V6: addr("2001:db8:1::2")}, Table: 1000, Priority: 1500,
	}
	world := hostplan.Inputs{
		Node: hostplan.Node{
			Name: "n1", MAC: "02:00:00:00:00:01", Addresses: prefixes("100.64.0.2/16", "fd00:100:64::2/112"),
			Gateways: []netip.Addr{addr("100.64.0.1"), addr("fd00:100:64::1")},
		},
		DefaultVpc: "v",
		Pods:       []hostplan.Pod{{Subnet: "external", Addresses: []netip.Addr{addr("10.40.0.5"), addr("fd00:10:40::5")}}},
	}
	apply := func(s hostplan.Subnet) {
		world.Subnets = []hostplan.Subnet{{Name: "usual", Vpc: "v", CIDRs: prefixes("10.16.0.0/16", "fd00:10:16::/64")}, s}
		plan := hostplan.Make(world)
		node.Do(func() {
			routes, err1 := route.NewLinux()
			rules, err2 := rule.NewLinux()
			if err1 != nil || err2 != nil {
				t.Error(err1, err2)
				return
			}
			defer routes.Close()
			defer rules.Close()
			for round := range 2 {
				changes, err := route.Apply(routes, *plan.Routes)
				more, err2 := rule.Apply(rules, *plan.PolicyRules)
				if err != nil || err2 != nil || round == 1 && len(changes)+len(more) > 0 {
					t.Errorf("%v, %v, %v, %v", changes, err, more, err2)
				}
			}
		})
	}
	central := external
	central.Centralized, central.ActiveGateways = true, []string{"n1"}
	plain := external
	plain.Egress.External = nil
	for _, c := range []struct {
		name         string
		subnet       hostplan.Subnet
		own4, other4 string
	}{
		{"distributed", external, "outside", "usual"}, // 10.40.0.6 is no pod of this node
		{"centralized", central, "outside", "outside"},
		{"none", plain, "usual", "usual"},
	} {
		apply(c.subnet)
		for _, q := range []struct{ from, to, want string }{
			{"10.40.0.5", "203.0.113.1", c.own4},
			{"fd00:10:40::5", "2001:db8:f::1", c.own4},
			{"10.40.0.6", "203.0.113.1", c.other4},
			{"10.16.0.5", "203.0.113.1", "usual"},
			{"fd00:10:16::5", "2001:db8:f::1", "usual"},
		} {
			if got := ovn.AskUDP(addr(q.from), netip.AddrPortFrom(addr(q.to), answerPort)); got != q.want {
				t.Errorf("%s: %s to %s is answered by %s; want %s", c.name, q.from, q.to, got, q.want)
			}
		}
	}
	// A packet to a pod that the node itself has to route, as after a redirection, stays inside.
	apply(central)
	node.Do(func() {
		out := ip(t, "route get 10.16.0.5 from 10.40.0.5 iif ovn0")
		if want := "via 100.64.0.1 dev ovn0"; !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	})
}
