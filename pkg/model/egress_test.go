// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
)

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestEgressFrom(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	rule := func(src, dst string, action v1.NATAction) v1.NatOutgoingPolicyRule {
		return v1.NatOutgoingPolicyRule{Match: v1.NatOutgoingPolicyMatch{SrcIPs: src, DstIPs: dst}, Action: action}
	}
	for name, c := range map[string]struct {
		spec     v1.SubnetSpec
		want     Egress
		problems []string
	}{
		"nothing": {},
		"nodes": {
			spec: v1.SubnetSpec{GatewayNode: "n1:172.18.0.9, n2 ,n1:fd00::9,n3:fd00::a"},
			want: Egress{GatewayNodes: []GatewayNode{
				{Name: "n1", Source: Addrs{V4: addr("172.18.0.9"), V6: addr("fd00::9")}},
				{Name: "n2"},
				{Name: "n3", Source: Addrs{V6: addr("fd00::a")}},
			}},
		},
		"bad nodes": {
			spec: v1.SubnetSpec{GatewayNode: "N_1:172.18.0.9,n2:nowhere,n3:172.18.0.1,n3:172.18.0.2"},
			want: Egress{GatewayNodes: []GatewayNode{{Name: "n2"}, {Name: "n3", Source: Addrs{V4: addr("172.18.0.1")}}}},
			problems: []string{
				`spec.gatewayNode: "N_1" is not the name of a node`, `spec.gatewayNode: node n2: "nowhere" is not an address`,
				"spec.gatewayNode: node n3: 172.18.0.2 is a second address of the same IP family as 172.18.0.1",
			},
		},
		"rules": {
			spec: v1.SubnetSpec{NatOutgoing: true, NatOutgoingPolicyRules: []v1.NatOutgoingPolicyRule{
				rule("10.16.0.7/24, 10.16.1.1", " 8.8.8.8", "forward"), rule("", "", "nat"), rule("fd00::1", "", "forward"),
			}},
			want: Egress{NATRules: []NATRule{
				{Sources: []netip.Prefix{prefix("10.16.0.0/24"), prefix("10.16.1.1/32")}, Destinations: []netip.Prefix{prefix("8.8.8.8/32")}},
				{NAT: true},
				{Sources: []netip.Prefix{prefix("fd00::1/128")}},
			}},
		},
		"rules without natOutgoing": {
			spec: v1.SubnetSpec{NatOutgoingPolicyRules: []v1.NatOutgoingPolicyRule{rule("", "", "nat")}},
		},
		"bad rules are left out": {
			spec: v1.SubnetSpec{NatOutgoing: true, NatOutgoingPolicyRules: []v1.NatOutgoingPolicyRule{
				rule("10.0.0.x", "", "nat"), rule("10.0.0.1", "fd00::/64", "nat"), rule("", "", "drop"), rule("", "1.1.1.1", "nat"),
			}},
			want: Egress{NATRules: []NATRule{{Destinations: []netip.Prefix{prefix("1.1.1.1/32")}, NAT: true}}},
			problems: []string{
				`spec.natOutgoingPolicyRules.match.srcIPs: "10.0.0.x" is not an address`,
				`spec.natOutgoingPolicyRules.match: srcIPs "10.0.0.1" and dstIPs "fd00::/64" mix IPv4 and IPv6`,
				`spec.natOutgoingPolicyRules.action: "drop" is neither nat nor forward`,
			},
		},
		"external": {
			spec: v1.SubnetSpec{ExternalEgressGateway: "192.168.0.1,fd01::1", PolicyRoutingTableID: 1000, PolicyRoutingPriority: 1500},
			want: Egress{External: &ExternalEgress{
				Gateways: Addrs{V4: addr("192.168.0.1"), V6: addr("fd01::1")}, Table: 1000, Priority: 1500,
			}},
		},
		"external with a mistake": {
			spec:     v1.SubnetSpec{ExternalEgressGateway: "192.168.0.1", PolicyRoutingTableID: 254, PolicyRoutingPriority: 1500},
			problems: []string{"spec.policyRoutingTableID: 254 belongs to the kernel"},
		},
		"external with NAT": {
			spec:     v1.SubnetSpec{ExternalEgressGateway: "192.168.0.1", PolicyRoutingTableID: 1000, PolicyRoutingPriority: 1500, NatOutgoing: true},
			problems: []string{"cannot be used while natOutgoing is true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := EgressFrom(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: c.spec})
			if d := cmp.Diff(c.want, got, byValue); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if !slices.EqualFunc(problems, c.problems, func(p Problem, want string) bool { return strings.Contains(p.Error(), want) && !p.Fatal }) {
				t.Errorf("problems %v; want %q", problems, c.problems)
			}
		})
	}
}

func FuzzEgressFrom(f *testing.F) {
	f.Add("n1:172.18.0.2,n2", "10.0.0.0/8,10.0.0.1", "fd00::1")
	f.Fuzz(func(t *testing.T, nodes, src, dst string) {
		e, _ := EgressFrom(&v1.Subnet{Spec: v1.SubnetSpec{
			GatewayNode: nodes, NatOutgoing: true,
			NatOutgoingPolicyRules: []v1.NatOutgoingPolicyRule{{Match: v1.NatOutgoingPolicyMatch{SrcIPs: src, DstIPs: dst}, Action: "nat"}},
		}})
		seen := map[string]bool{}
		for _, n := range e.GatewayNodes {
			if seen[n.Name] || notAName(n.Name) != "" || n.Source.V4.IsValid() && !n.Source.V4.Is4() || n.Source.V6.IsValid() && !n.Source.V6.Is6() {
				t.Errorf("nodes %q give %+v", nodes, e.GatewayNodes)
			}
			seen[n.Name] = true
		}
		for _, r := range e.NATRules {
			for _, p := range slices.Concat(r.Sources, r.Destinations) {
				if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
					t.Errorf("prefix %v of %q, %q", p, src, dst)
				}
			}
		}
	})
}
