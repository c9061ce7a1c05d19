// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"
	"pgregory.net/rapid"
)

// What the API server accepts is read, and means the same as for kube-proxy.
func TestTextThatTheAPIServerAccepts(t *testing.T) {
	part := rapid.SampledFrom([]string{"10", "0", "010", "255", "256", ".", ":", "::", "/", "fd00", "FD00", "ffff", "::ffff:", "8", "24", "64", "104", "33", "129", " ", "1.2.3.4", "%eth0", "08", "-1", "+1", ""})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "parts"), "")
		addr, err := parseAPIAddr(text)
		if accepted := len(validation.IsValidIPForLegacyField(nil, text, false, nil)) == 0; accepted != (err == nil) {
			t.Fatalf("address %q: the API server accepts it: %v, we say %v", text, accepted, err)
		}
		if err == nil && addr.String() != netutils.ParseIPSloppy(text).String() {
			t.Fatalf("address %q is read as %s", text, addr)
		}
		prefix, err := parseAPIPrefix(text)
		trimmed := strings.TrimSpace(text)
		if accepted := len(validation.IsValidCIDRForLegacyField(nil, trimmed, false, nil)) == 0; accepted != (err == nil) {
			t.Fatalf("CIDR %q: the API server accepts it: %v, we say %v", text, accepted, err)
		}
		if err != nil {
			return
		}
		_, network, _ := netutils.ParseCIDRSloppy(trimmed)
		for _, probe := range []string{"10.0.0.1", "1.2.3.4", "fd00::1", "0.0.0.0", "::", "255.255.255.255", "ffff::"} {
			if got, want := prefix.Contains(netip.MustParseAddr(probe)), network.Contains(netutils.ParseIPSloppy(probe)); got != want {
				t.Fatalf("CIDR %q contains %s: %v, want %v", text, probe, got, want)
			}
		}
	})
}

func TestOddTextOfKubernetesKinds(t *testing.T) {
	const addr = "::ffff:10.0.0.1"
	service, problems := ServiceFrom(&corev1.Service{
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.096.0.1", "FD00:0::1"}, ExternalIPs: []string{addr, "010.0.0.2"},
			LoadBalancerSourceRanges: []string{" 10.0.0.0/8 ", "\t192.168.0.7/24", "FD00::/8", "::ffff:172.16.0.0/108"},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: addr}}}},
	})
	if len(problems) > 0 {
		t.Error(problems)
	}
	if got, want := AddrsText(service.ClusterIPs)+text(service.External.IPs)+text(service.External.Ingress), "10.96.0.1,fd00::110.0.0.1,10.0.0.210.0.0.1"; got != want {
		t.Errorf("addresses are %s, want %s", got, want)
	}
	if got, want := text(service.External.Sources), "10.0.0.0/8,172.16.0.0/12,192.168.0.0/24,fd00::/8"; got != want {
		t.Errorf("sources are %s, want %s", got, want)
	}
	slice, problems := EndpointSliceFrom(&discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{addr}}, {Addresses: []string{"FD00::1"}}}})
	if got, want := text(slice.Ready), "10.0.0.1,fd00::1"; got != want || len(problems) > 0 {
		t.Errorf("endpoints are %s, want %s, problems are %v", got, want, problems)
	}
	policy, problems := NetworkPolicyFrom(&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{
		From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "::ffff:10.0.0.0/104", Except: []string{"010.1.0.0/16", "10.2.0.9/16"}}}},
	}}}})
	if len(problems) > 0 || len(policy.Ingress.Rules) != 1 {
		t.Fatalf("rules are %v, problems are %v", policy.Ingress.Rules, problems)
	}
	block := policy.Ingress.Rules[0].Blocks[0]
	if got, want := block.CIDR.String()+" "+text(block.Except), "10.0.0.0/8 10.1.0.0/16,10.2.0.0/16"; got != want {
		t.Errorf("the block is %s, want %s", got, want)
	}
	node, problems := NodeFrom(&corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "010.0.0.1"}, {Type: corev1.NodeInternalIP, Address: addr}}}})
	if got, want := text(node.InternalIPs), "10.0.0.1"; got != want || len(problems) > 0 {
		t.Errorf("the node's addresses are %s, want %s, problems are %v", got, want, problems)
	}
}
