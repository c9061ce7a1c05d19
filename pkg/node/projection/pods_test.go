// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Only ports of this node's Open vSwitch say which addresses run here, and only inside valid subnets.
func TestPodsAreThePortsOfTheNode(t *testing.T) {
	port := func(bridge, id, ip, subnet string) ovs.Port {
		p := ovs.Port{Bridge: bridge, Name: id, ExternalIDs: map[string]string{ovs.KeyIfaceID: id, ovs.KeyIP: ip}}
		if subnet != "" {
			p.ExternalIDs[ovs.KeyLogicalSwitch] = subnet
		}
		return p
	}
	prefixes := func(texts ...string) (out []netip.Prefix) {
		for _, text := range texts {
			out = append(out, netip.MustParsePrefix(text))
		}
		return out
	}
	subnets := []hostplan.Subnet{
		{Name: "ext", Vpc: "ovn-cluster", CIDRs: prefixes("10.16.0.0/24", "fd00:10:16::/112")},
		{Name: "bad", Vpc: "ovn-cluster", CIDRs: prefixes("10.17.0.0/24"), Invalid: "overlaps"},
		{Name: "blue", Vpc: "blue", CIDRs: prefixes("10.18.0.0/24")},
	}
	got := PodsOf([]ovs.Port{
		port("br-int", "a.red", "10.16.0.5,fd00:10:16::5", "ext"),
		port("br-int", "older.red", "10.16.0.6", ""),
		port("br-int", "older.blue", "10.18.0.6", ""),
		port("br-int", "b.blue", "10.18.0.7", "blue"),
		port("br-int", "node.red", "192.168.77.11", "ext"),
		port("br-int", "half.red", "10.16.0.9,fd00:99::9", "ext"),
		port("br-int", "invalid.red", "10.17.0.5", "bad"),
		port("br-int", "lost.red", "10.16.0.8", "gone"),
		port("br-int", "none.red", "", "ext"),
		port("br-ext", "else.red", "10.16.0.7", "ext"),
	}, subnets, "ovn-cluster")
	addrs := func(texts ...string) (out []netip.Addr) {
		for _, text := range texts {
			out = append(out, netip.MustParseAddr(text))
		}
		return out
	}
	want := []hostplan.Pod{
		{Subnet: "ext", Addresses: addrs("10.16.0.5", "fd00:10:16::5")},
		{Subnet: "ext", Addresses: addrs("10.16.0.6")},
		{Subnet: "blue", Addresses: addrs("10.18.0.7")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
