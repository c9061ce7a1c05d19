// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Nothing is made on the node for subnets that have addresses of the infrastructure, and Services get the same table of
// reserved addresses. A node that names the address of an API server counts as one only on the control plane.
func TestInfrastructure(t *testing.T) {
	own := testNode("n1", "192.168.77.11", "100.64.0.2")
	own.Annotations[annotations.LogicalSwitch], own.Annotations[annotations.ServiceSource] = "join", "169.254.64.2/18"
	pretender, server := testNode("n2", "192.168.77.12", "100.64.0.3"), testNode("n3", "192.168.77.13", "100.64.0.4")
	server.Labels = map[string]string{model.LabelControlPlane: ""}
	pretender.Status.Addresses = append(pretender.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.168.77.13"})
	h := newHost(t, own, pretender, server,
		testSubnet("join", "100.64.0.0/16", false), testSubnet("ovn-default", "10.16.0.0/16", true),
		testSubnet("hosts", "169.254.0.0/16", false), testSubnet("clusterips", "10.96.3.0/24", false), testSubnet("nodes", "100.64.8.0/24", false), testSubnet("servers", "192.168.77.13/32", false),
		&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}},
		&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.168.77.13"}}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.5"}}},
		})
	var in hostplan.Inputs
	h.state.e.Publish = func(got hostplan.Inputs) { in = got }
	if _, err := h.pass(); err == nil || !strings.Contains(err.Error(), "Subnet clusterips overlaps 10.96.0.0/16, ServiceCIDR kubernetes") {
		t.Errorf("problems: %v", err)
	}
	emitted := map[string]int{}
	for len(h.events.Events) > 0 {
		emitted[<-h.events.Events]++
	}
	if len(emitted) != 4 {
		t.Errorf("events of 4 refused subnets: %v", emitted)
	}
	for text, times := range emitted {
		if times != 1 || !strings.HasPrefix(text, "Warning HostNetworkIncomplete subnet ") {
			t.Errorf("%d events %q", times, text)
		}
	}
	if got := h.routeList(); !slices.Equal(got, []string{"10.16.0.0/16", "10.96.0.0/16", "169.254.64.0/18"}) {
		t.Errorf("routes %v", got)
	}
	address := netip.MustParseAddr("192.168.77.13")
	if got := in.Infrastructure.APIServers; !slices.Equal(got, []netip.Addr{address}) {
		t.Errorf("API servers %v", got)
	}
	if got := in.Infrastructure.Databases; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.168.77.2")}) { // of the fake
		t.Errorf("databases %v", got)
	}
	if got := slices.DeleteFunc(slices.Clone(in.NodeAddresses), func(a netip.Addr) bool { return a != address }); len(got) != 1 {
		t.Errorf("addresses of nodes are %v", in.NodeAddresses)
	}
	if len(in.Infrastructure.Ranges) != 3 || in.NodeNames[address] == "" {
		t.Errorf("ranges %v, nodes %v", in.Infrastructure.Ranges, in.NodeNames)
	}
}
