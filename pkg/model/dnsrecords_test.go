// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestServiceNames(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Service)
		want   ServiceName
	}{
		"plain":                  {func(*corev1.Service) {}, ServiceName{Addrs: addrs("10.96.0.5", "")}},
		"two families":           {func(o *corev1.Service) { o.Spec.ClusterIPs = []string{"10.96.0.5", "fd00::5"} }, ServiceName{Addrs: addrs("10.96.0.5", "fd00::5")}},
		"of another proxy":       {func(o *corev1.Service) { o.Labels = map[string]string{LabelProxyName: "x"} }, ServiceName{Addrs: addrs("10.96.0.5", "")}},
		"headless":               {func(o *corev1.Service) { o.Spec.ClusterIP, o.Spec.ClusterIPs = "None", []string{"None"} }, ServiceName{Headless: true}},
		"without an address yet": {func(o *corev1.Service) { o.Spec.ClusterIP, o.Spec.ClusterIPs = "", nil }, ServiceName{}},
		"external name":          {func(o *corev1.Service) { o.Spec.Type, o.Spec.ExternalName = "ExternalName", "example.org" }, ServiceName{}},
	} {
		got, _ := ServiceFrom(serviceObject(tc.change))
		if diff := cmp.Diff(tc.want, got.DNS, compareNetip); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNamedEndpoints(t *testing.T) {
	with := func(e discoveryv1.Endpoint, hostname string) discoveryv1.Endpoint {
		e.Hostname = &hostname
		return e
	}
	got, problems := EndpointSliceFrom(&discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{
		with(endpoint("10.16.0.7", "yes", "", ""), "b"), with(endpoint("10.16.0.5", "", "", ""), "A"),
		with(endpoint("10.16.0.6", "no", "yes", "yes"), "c"), with(endpoint("10.16.0.7", "yes", "", ""), "b"),
		endpoint("10.16.0.8", "yes", "", ""), with(endpoint("10.16.0.9", "yes", "", ""), ""),
	}})
	want := []NamedEndpoint{{"a", netip.MustParseAddr("10.16.0.5")}, {"b", netip.MustParseAddr("10.16.0.7")}}
	if diff := cmp.Diff(want, got.Named, compareNetip); diff != "" || len(problems) > 0 {
		t.Error(diff, problems)
	}
}
