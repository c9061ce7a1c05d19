// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// FuzzNodeOf: what is accepted of a node's annotations has the form that the plan
// relies on: at most one address for each family, in plain notation.
func FuzzNodeOf(f *testing.F) {
	f.Add("100.64.0.2,fd00:100:64::2", "100.64.0.0/16,fd00:100:64::/112", "100.64.0.1,fd00:100:64::1", "0A:00:00:00:00:05", "172.18.0.2")
	f.Add("::ffff:100.64.0.2", "::/0", "fe80::1%ovn0", "x", "")
	f.Add("100.64.0.2 100.64.0.3", "100.64.0.0/16", "100.64.0.1,100.64.0.9", "", "::ffff:1.2.3.4")
	f.Fuzz(func(t *testing.T, ip, cidr, gateway, mac, internal string) {
		o := &corev1.Node{}
		o.Annotations = map[string]string{
			annotations.IPAddress: ip, annotations.CIDR: cidr, annotations.Gateway: gateway, annotations.MACAddress: mac,
		}
		o.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: internal}}
		projected := NodeOf(o, "")
		n, err := HostOf(&projected)
		if err != nil {
			return
		}
		if hw, err := net.ParseMAC(n.MAC); n.MAC != "" && (err != nil || hw.String() != n.MAC) {
			t.Fatalf("accepted MAC %q", mac)
		}
		families := map[bool]int{}
		for _, a := range n.Addresses {
			if families[a.Addr().Is4()]++; families[a.Addr().Is4()] > 1 || a.Addr().Is4In6() || a.Addr().Zone() != "" || !a.IsValid() {
				t.Fatalf("%q, %q give %v", ip, cidr, n.Addresses)
			}
		}
		families = map[bool]int{}
		for _, g := range n.Gateways {
			if families[g.Is4()]++; families[g.Is4()] > 1 || g.Is4In6() || g.Zone() != "" {
				t.Fatalf("%q gives gateways %v", gateway, n.Gateways)
			}
		}
		for _, a := range n.InternalIPs {
			if a.Is4In6() {
				t.Fatalf("%q gives %v", internal, n.InternalIPs)
			}
		}
	})
}

func TestServicesOfANode(t *testing.T) {
	o := &corev1.Node{}
	o.Annotations = map[string]string{annotations.ServiceSource: "169.254.64.2/18,fd69:254:64::2/112"}
	services := func() (string, error) {
		projected := NodeOf(o, "")
		n, err := HostOf(&projected)
		return fmt.Sprint(n.Services), err
	}
	if got, err := services(); err != nil || got != "[169.254.64.2/18 fd69:254:64::2/112]" {
		t.Errorf("%v, %v", got, err)
	}
	o.Annotations[annotations.ServiceSource] = "169.254.64.2"
	if _, err := services(); err == nil || !strings.Contains(err.Error(), annotations.ServiceSource) {
		t.Errorf("an address without a length gives %v", err)
	}
	cidrs := ServiceCIDRs([]networkingv1.ServiceCIDR{{Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16", "x", "fd00:10:96::/112"}}}})
	if len(cidrs) != 1 || fmt.Sprint(cidrs[0].CIDRs) != "[10.96.0.0/16 fd00:10:96::/112]" {
		t.Errorf("networks of Services: %v", cidrs)
	}
}
