// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

var dropped = regexp.MustCompile(`counter packets (\d+) bytes \d+ drop`)

// drops returns how many packets each rule of the chain dropped.
func (w *wire) drops() (counts []string) {
	w.node.Do(func() {
		out, err := exec.CommandContext(w.t.Context(), "nft", "list", "chain", "inet", "woven", "entry").CombinedOutput()
		if err != nil {
			w.t.Errorf("%v: %s", err, out)
		}
		for _, m := range dropped.FindAllStringSubmatch(string(out), -1) {
			counts = append(counts, m[1])
		}
	})
	return counts
}

// send sends a packet from the pod and returns when the node's kernel has decided on it: what was sent after it has
// been answered.
func (w *wire) send(source netip.Addr, to netip.AddrPort) {
	w.t.Helper()
	w.pod.Do(func() {
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), net.UDPAddrFromAddrPort(to))
		if err != nil {
			w.t.Errorf("from %s to %s: %v", source, to, err)
			return
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("!")); err != nil {
			w.t.Errorf("from %s to %s: %v", source, to, err)
		}
	})
	w.honest(outside4, outside6)
}

// honest asks hosts with the pod's own address.
func (w *wire) honest(hosts ...netip.Addr) {
	w.t.Helper()
	for _, to := range hosts {
		source := podAddr4
		if to.Is6() {
			source = podAddr6
		}
		if got := w.pod.AskUDP(source, netip.AddrPortFrom(to, echoPort)); got != source.String() {
			w.t.Errorf("pod to %s: %s", to, got)
		}
	}
}

// What comes out of OVN claims no node's address and enters no tunnel.
func TestNobodyIsANodeOutOfOVN(t *testing.T) {
	w := newWire(t)
	node4, node6 := netip.MustParseAddr("203.0.113.12"), netip.MustParseAddr("2001:db8:c::12") // another node's
	for _, a := range []netip.Addr{node4, node6} {
		w.pod.Address("eth0", netip.PrefixFrom(a, a.BitLen()))
	}
	for _, a := range []netip.Addr{nodeOut4, nodeOut6} {
		w.serve(w.node, a)
	}
	d := nft.Driver{}
	plan := hostplan.Make(hostplan.Inputs{
		Node: hostplan.Node{Name: "n1", InternalIPs: []netip.Addr{nodeOut4, nodeOut6}}, DefaultVpc: "ovn-cluster",
		// A lying node names the pod's address.
		NodeAddresses: []netip.Addr{nodeOut4, nodeOut6, node4, node6, podAddr4, podAddr6},
		Subnets:       []hostplan.Subnet{{Name: "pods", Vpc: "ovn-cluster", CIDRs: []netip.Prefix{pods4, pods6}}},
	})
	w.node.Do(func() {
		if _, err := d.Apply(t.Context(), plan.Table); err != nil {
			t.Fatal(err)
		}
	})
	want := func(after string, counts ...string) {
		t.Helper()
		if got := w.drops(); strings.Join(got, " ") != strings.Join(counts, " ") {
			t.Errorf("%s: dropped %v, want %v", after, got, counts)
		}
	}
	w.honest(nodeOut4, nodeOut6, outside4, outside6)
	want("honest packets", "0", "0", "0", "0", "0", "0")
	for _, to := range []netip.Addr{nodeOut4, outside4} {
		w.send(node4, netip.AddrPortFrom(to, echoPort))
	}
	for _, to := range []netip.Addr{nodeOut6, outside6} {
		w.send(node6, netip.AddrPortFrom(to, echoPort))
	}
	want("another node's source", "2", "0", "2", "0", "0", "0")
	for _, to := range []netip.Addr{nodeOut4, outside4} {
		w.send(podAddr4, netip.AddrPortFrom(to, model.GenevePort))
	}
	for _, to := range []netip.Addr{nodeOut6, outside6} {
		w.send(podAddr6, netip.AddrPortFrom(to, model.GenevePort))
	}
	want("into the tunnel", "2", "1", "2", "1", "0", "0")
	w.send(podAddr4, netip.AddrPortFrom(netip.MustParseAddr("10.20.0.1"), model.GenevePort)) // the node's, but of ovn0
	w.send(podAddr6, netip.AddrPortFrom(netip.MustParseAddr("fd00:10:20::1"), model.GenevePort))
	want("into the tunnel at ovn0", "2", "1", "2", "1", "0", "2")
}
