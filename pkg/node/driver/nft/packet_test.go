// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// packetTimeout bounds the wait for a packet.
const packetTimeout = 10 * time.Second

// wire is a pod behind a node, and a host outside that answers everybody which
// source address it sees. The host outside knows the way to the pod, so that
// packets that were not translated are answered, too.
type wire struct {
	t                  *testing.T
	pod, node, outside *nstest.Namespace
}

// The addresses of the wire. Those of egress are on no interface; the host
// outside has a route to them through the node.
var (
	pods4, pods6       = netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00:10:20::/64")
	podAddr4, podAddr6 = netip.MustParseAddr("10.20.0.5"), netip.MustParseAddr("fd00:10:20::5")
	nodeOut4, nodeOut6 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	outside4, outside6 = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	other4             = netip.MustParseAddr("192.0.2.3")
	egress4, egress6   = netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8:e::9")
)

const echoPort = 9000

func newWire(t *testing.T) *wire {
	w := &wire{t: t, pod: nstest.New(t), node: nstest.New(t), outside: nstest.New(t)}
	outside := w.outside
	with := func(bits4, bits6 int, addrs ...netip.Addr) (out []netip.Prefix) {
		for _, a := range addrs {
			bits := bits4
			if a.Is6() {
				bits = bits6
			}
			out = append(out, netip.PrefixFrom(a, bits))
		}
		return out
	}
	gateway4, gateway6 := netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd00:10:20::1")
	w.node.Connect("ovn0", with(16, 64, gateway4, gateway6), w.pod, "eth0", with(16, 64, podAddr4, podAddr6))
	w.node.Connect("eth0", with(24, 64, nodeOut4, nodeOut6), outside, "eth0", with(24, 64, outside4, outside6, other4))
	w.node.Forward()
	w.pod.Route(netip.MustParsePrefix("0.0.0.0/0"), gateway4)
	w.pod.Route(netip.MustParsePrefix("::/0"), gateway6)
	for _, p := range []netip.Prefix{pods4, netip.PrefixFrom(egress4, 32)} {
		outside.Route(p, nodeOut4)
	}
	for _, p := range []netip.Prefix{pods6, netip.PrefixFrom(egress6, 128)} {
		outside.Route(p, nodeOut6)
	}
	for _, a := range []netip.Addr{outside4, outside6, other4} {
		w.serve(outside, a)
	}
	return w
}

// serve answers each packet with the source address that it has.
func (w *wire) serve(ns *nstest.Namespace, a netip.Addr) {
	ns.ServeUDP(netip.AddrPortFrom(a, echoPort), netip.Addr.String)
}

// seen sends a packet of a new connection from the pod and returns the source address that a host outside saw.
func (w *wire) seen(to netip.Addr) string {
	return w.pod.AskUDP(netip.Addr{}, netip.AddrPortFrom(to, echoPort))
}

// apply makes the node's table that of a world with one subnet.
func (w *wire) apply(d *nft.Driver, s hostplan.Subnet) {
	w.t.Helper()
	s.Name, s.Vpc, s.CIDRs = "pods", "ovn-cluster", []netip.Prefix{pods4, pods6}
	world := hostplan.Inputs{Node: hostplan.Node{Name: "n1"}, DefaultVpc: "ovn-cluster", Subnets: []hostplan.Subnet{s}}
	w.node.Do(func() {
		if _, err := d.Apply(w.t.Context(), hostplan.Make(world).Table); err != nil {
			w.t.Error(err)
		}
	})
}

func gatewayNode(name string) model.Egress {
	return model.Egress{GatewayNodes: []model.GatewayNode{{Name: name, Source: model.Addrs{V4: egress4, V6: egress6}}}}
}

func ruled(rules ...model.NATRule) hostplan.Subnet {
	return hostplan.Subnet{NATOutgoing: true, Egress: model.Egress{NATRules: rules}}
}

func one(a netip.Addr) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())} }

// What a host outside sees of a pod, and that its answer comes back.
func TestSourceOnTheWire(t *testing.T) {
	w := newWire(t)
	d := &nft.Driver{}
	for _, c := range []struct {
		name       string
		subnet     hostplan.Subnet
		out4, out6 netip.Addr
	}{
		{"no NAT", hostplan.Subnet{}, podAddr4, podAddr6},
		{"distributed", hostplan.Subnet{NATOutgoing: true}, nodeOut4, nodeOut6},
		{"centralized here", hostplan.Subnet{NATOutgoing: true, Centralized: true, Egress: gatewayNode("n1")}, egress4, egress6},
		{"centralized elsewhere", hostplan.Subnet{NATOutgoing: true, Centralized: true, Egress: gatewayNode("n2")}, nodeOut4, nodeOut6},
		{"rules that say nothing", ruled(model.NATRule{Sources: one(netip.MustParseAddr("10.20.0.9"))}), nodeOut4, nodeOut6},
		{"forward by source", ruled(model.NATRule{Sources: []netip.Prefix{pods4}}), podAddr4, nodeOut6},
		{"forward all", ruled(model.NATRule{}), podAddr4, podAddr6},
		{"forward by destination", ruled(model.NATRule{Destinations: append(one(other4), one(outside4)...)}), podAddr4, nodeOut6},
		{"forward to another", ruled(model.NATRule{Destinations: one(other4)}), nodeOut4, nodeOut6},
		{"both must match", ruled(model.NATRule{Sources: []netip.Prefix{pods4}, Destinations: one(other4)}), nodeOut4, nodeOut6},
		{"first match decides", ruled(
			model.NATRule{Sources: one(podAddr4), Destinations: one(outside4), NAT: true}, model.NATRule{},
		), nodeOut4, podAddr6},
		{"all of a family", ruled(model.NATRule{Sources: []netip.Prefix{netip.MustParsePrefix("::/0")}}), nodeOut4, podAddr6},
		{"rules of a gateway", func() hostplan.Subnet {
			s := ruled(model.NATRule{Sources: one(podAddr4), NAT: true}, model.NATRule{})
			s.Centralized, s.Egress.GatewayNodes = true, gatewayNode("n1").GatewayNodes
			return s
		}(), egress4, podAddr6},
		{"centralized without NAT", hostplan.Subnet{Centralized: true, Egress: gatewayNode("n1")}, podAddr4, podAddr6},
	} {
		w.apply(d, c.subnet)
		if got := w.seen(outside4); got != c.out4.String() {
			t.Errorf("%s: IPv4 seen as %s; want %s", c.name, got, c.out4)
		}
		if got := w.seen(outside6); got != c.out6.String() {
			t.Errorf("%s: IPv6 seen as %s; want %s", c.name, got, c.out6)
		}
	}
}

// While the address of a gateway comes and goes, no packet leaves with a pod's address and none is lost.
func TestNoMomentWithoutNAT(t *testing.T) {
	w := newWire(t)
	d := &nft.Driver{}
	with := hostplan.Subnet{NATOutgoing: true, Centralized: true, Egress: gatewayNode("n1")}
	without := hostplan.Subnet{NATOutgoing: true}
	w.apply(d, with)
	stop, ended := make(chan struct{}), make(chan map[string]int)
	go func() {
		seen := map[string]int{}
		defer func() { ended <- seen }()
		for {
			select {
			case <-stop:
				return
			default:
				seen[w.seen(outside4)]++
			}
		}
	}()
	for range 10 {
		w.apply(d, without)
		w.apply(d, with)
		w.apply(d, ruled(model.NATRule{Destinations: one(other4)}))
		w.apply(d, ruled(model.NATRule{Sources: one(podAddr4), NAT: true}, model.NATRule{}))
		// Something foreign in the table has the whole of it replaced.
		w.node.Do(func() { run(t, "add", "chain", "inet", "woven", "extra") })
		w.apply(d, with)
	}
	close(stop)
	seen := <-ended
	if seen[egress4.String()] == 0 || seen[egress4.String()]+seen[nodeOut4.String()] != total(seen) {
		t.Errorf("sources seen: %v", seen)
	}
	t.Logf("sources seen: %v", seen)
}

func total(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}
