// SPDX-License-Identifier: Apache-2.0

package state

import (
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// What a pod asks for on one NIC is that NIC's concern: the others are connected, and follow.
func TestNICsAreApart(t *testing.T) {
	const first, second = "two.default", "two.default.net1.default.ovn"
	b := harnessIn(t, "a second NIC that asks for nonsense")
	if port(b, first) == nil || port(b, second) != nil || b.objects[ref(model.KindIP, "", second)] != nil {
		t.Fatalf("ports: %v, %v", port(b, first), port(b, second))
	}
	r := ref(model.KindPod, "default", "two")
	b.put(ref(model.KindSubnet, "", "ovn-default"), changed(subnet("ovn-default", "10.16.0.0/16"), func(s *model.Subnet) { s.DHCP.V4 = map[string]string{} }))
	b.put(r, changed(twoNICs(model.PodNIC{Invalid: true}), func(p *model.Pod) {
		p.NICs[0].DHCP.V4 = map[string]string{"lease_time": "60"}
	}))
	b.converge()
	own := port(b, first).Dhcpv4Options
	if other := port(b, "a.default").Dhcpv4Options; own == nil || other == nil || *own == *other {
		t.Errorf("the first NIC has the DHCP options %v, another pod %v", own, other)
	}
	b.compare("with options on the first NIC")

	// A request that can be read is granted, and one that cannot does not take away what is recorded.
	b.put(r, twoNICs(model.PodNIC{Subnet: "net1"}))
	b.converge()
	address := addressOf(t, b, second)
	pod, _ := b.objects[r].(*model.Pod)
	b.set(r, changed(pod, func(p *model.Pod) {
		p.NICs = []model.PodNIC{p.NICs[0], {Provider: p.NICs[1].Provider, Invalid: true}}
	}))
	b.converge()
	if port(b, second) == nil || addressOf(t, b, second) != address {
		t.Errorf("the second NIC had %s and has %s, port %v", address, addressOf(t, b, second), port(b, second))
	}
	b.compare("without a readable request")
}

// A pod is annotated once, however many NICs it has.
func TestNICsAreAnnotatedTogether(t *testing.T) {
	b := harnessIn(t, "a second NIC")
	pod, _ := b.objects[ref(model.KindPod, "default", "two")].(*model.Pod)
	for _, nic := range pod.NICs {
		if nic.Written[nic.Provider.Key("allocated")] != "true" {
			t.Errorf("NIC %s: %v", nic.Provider, nic.Written)
		}
	}
	fresh := changed(pod, func(p *model.Pod) {
		p.NICs = []model.PodNIC{{Provider: p.NICs[0].Provider}, {Provider: p.NICs[1].Provider, Subnet: "net1"}}
	})
	b.set(ref(model.KindPod, "default", "two"), fresh)
	b.written = nil
	b.converge()
	if len(b.written) != 1 || !strings.HasPrefix(b.written[0], "compile.Annotate") || strings.Count(b.written[0], "/mac_address") != 2 {
		t.Errorf("written: %q", b.written)
	}
}
