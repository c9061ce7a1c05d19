// SPDX-License-Identifier: Apache-2.0

package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

func serviceObject(change func(*corev1.Service)) *corev1.Service {
	o := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	change(o)
	return o
}

func withAffinity(o *corev1.Service, seconds int32) {
	o.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	o.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
}

func TestServiceFrom(t *testing.T) {
	web := []ServicePort{{Name: "http", Protocol: TCP, Port: 80}}
	for name, tc := range map[string]struct {
		change func(*corev1.Service)
		want   Service
	}{
		"plain": {func(*corev1.Service) {}, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web}},
		"of a Vpc": {
			func(o *corev1.Service) {
				o.Annotations = map[string]string{annotations.LogicalRouter: "red", annotations.LogicalSwitch: "blue", annotations.Vpc: "green"}
			},
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Router: "red", Switch: "blue", Vpc: "green"},
		},
		"two families": {
			func(o *corev1.Service) { o.Spec.ClusterIPs = []string{"fd00::5", "10.96.0.5"} },
			Service{ClusterIPs: addrs("10.96.0.5", "fd00::5"), Ports: web},
		},
		"of an old API server": {func(o *corev1.Service) { o.Spec.ClusterIPs = nil }, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web}},
		"a node port is a ClusterIP as well": {
			func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeNodePort },
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web},
		},
		"protocols": {
			func(o *corev1.Service) {
				o.Spec.Ports = []corev1.ServicePort{{Port: 1}, {Port: 2, Protocol: corev1.ProtocolUDP}, {Port: 65535, Protocol: corev1.ProtocolSCTP}}
			},
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: []ServicePort{{Protocol: TCP, Port: 1}, {Protocol: UDP, Port: 2}, {Protocol: SCTP, Port: 65535}}},
		},
		"affinity":                {func(o *corev1.Service) { o.Spec.SessionAffinity = "ClientIP" }, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Affinity: true, AffinityTimeout: 3 * time.Hour}},
		"affinity with a timeout": {func(o *corev1.Service) { withAffinity(o, 20) }, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Affinity: true, AffinityTimeout: 20 * time.Second}},
		"the API server's timeout": {
			func(o *corev1.Service) { withAffinity(o, corev1.DefaultClientIPServiceAffinitySeconds) },
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Affinity: true, AffinityTimeout: 3 * time.Hour},
		},
		"a timeout longer than OVN's": {func(o *corev1.Service) { withAffinity(o, 65536) }, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Affinity: true, AffinityTimeout: 65536 * time.Second}},
		"OVN's longest timeout": {
			func(o *corev1.Service) { withAffinity(o, 65535) },
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web, Affinity: true, AffinityTimeout: 65535 * time.Second},
		},
		"a timeout without affinity": {
			func(o *corev1.Service) { withAffinity(o, 20); o.Spec.SessionAffinity = "None" },
			Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web},
		},
		"no affinity":      {func(o *corev1.Service) { o.Spec.SessionAffinity = "None" }, Service{ClusterIPs: addrs("10.96.0.5", ""), Ports: web}},
		"headless":         {func(o *corev1.Service) { o.Spec.ClusterIP, o.Spec.ClusterIPs = "None", []string{"None"} }, Service{}},
		"without address":  {func(o *corev1.Service) { o.Spec.ClusterIP, o.Spec.ClusterIPs = "", nil }, Service{}},
		"external name":    {func(o *corev1.Service) { o.Spec.Type = corev1.ServiceTypeExternalName }, Service{}},
		"of another proxy": {func(o *corev1.Service) { o.Labels = map[string]string{LabelProxyName: ""} }, Service{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := ServiceFrom(serviceObject(tc.change))
			tc.want.Meta = Meta{Namespace: "shop", Name: "web"}
			got.DNS = ServiceName{} // see TestServiceNames
			if diff := cmp.Diff(tc.want, got, compareNetip); diff != "" || len(problems) > 0 {
				t.Error(diff, problems)
			}
		})
	}
}

func TestServiceProblems(t *testing.T) {
	for want, change := range map[string]func(*corev1.Service){
		`spec.clusterIPs: it is ignored: "10.96" is not an address`: func(o *corev1.Service) { o.Spec.ClusterIPs = []string{"10.96"} },
		"spec.ports: port 80/ICMP is ignored":                       func(o *corev1.Service) { o.Spec.Ports[0].Protocol = "ICMP" },
		"spec.ports: port 70000/TCP is ignored":                     func(o *corev1.Service) { o.Spec.Ports[0].Port = 70000 },
	} {
		_, problems := ServiceFrom(serviceObject(change))
		if len(problems) != 1 || problems[0].Fatal || problems[0].Reason != ReasonServiceInvalid || !strings.HasPrefix(problems[0].Error(), want) {
			t.Errorf("got %v, want %s", problems, want)
		}
	}
}

func endpoint(address string, ready, serving, terminating string) discoveryv1.Endpoint {
	condition := map[string]*bool{"": nil, "yes": new(bool), "no": new(bool)}
	*condition["yes"] = true
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{
		Ready: condition[ready], Serving: condition[serving], Terminating: condition[terminating],
	}}
}

func sliceObject(endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	name, udp := "dns", corev1.ProtocolUDP
	port, tooGreat := int32(53), int32(70000)
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints,
		Ports: []discoveryv1.EndpointPort{{Name: &name, Protocol: &udp, Port: &port}, {Port: &port}, {}, {Port: &tooGreat}},
	}
}

func TestEndpointSliceFrom(t *testing.T) {
	got, problems := EndpointSliceFrom(sliceObject(
		endpoint("10.0.0.9", "yes", "yes", "no"),
		endpoint("10.0.0.2", "", "", ""),
		endpoint("10.0.0.3", "no", "no", "no"),
		endpoint("10.0.0.4", "no", "yes", "yes"),
		endpoint("10.0.0.5", "no", "", "yes"),
		endpoint("10.0.0.6", "no", "no", "yes"),
		endpoint("10.0.0.7", "yes", "yes", "yes"), // publishNotReadyAddresses
		endpoint("10.0.0.2", "yes", "", ""),
		discoveryv1.Endpoint{},
	))
	want := EndpointSlice{
		Meta: Meta{Namespace: "shop", Name: "web-1"}, Service: "web",
		Ports:    []ServicePort{{Protocol: TCP, Port: 53}, {Name: "dns", Protocol: UDP, Port: 53}},
		Ready:    []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.9")},
		Draining: []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.0.0.5")},
	}
	if diff := cmp.Diff(want, got, compareNetip); diff != "" || len(problems) > 0 {
		t.Error(diff, problems)
	}
	pods := sliceObject(endpoint("10.0.0.2", "", "", ""), endpoint("10.0.0.3", "false", "", ""), endpoint("10.0.0.4", "", "", ""), endpoint("10.0.0.5", "", "", ""))
	for i, kind := range []string{"Pod", "Pod", "VirtualMachineInstance"} {
		pods.Endpoints[i].TargetRef = &corev1.ObjectReference{Kind: kind, Namespace: pods.Namespace, Name: fmt.Sprint("p", i)}
	}
	pods.Endpoints[3].TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "elsewhere", Name: "p"}
	behind := map[netip.Addr]string{netip.MustParseAddr("10.0.0.2"): "p0", netip.MustParseAddr("10.0.0.3"): "p1"}
	if got, _ := EndpointSliceFrom(pods); !maps.Equal(got.Pods, behind) {
		t.Errorf("pods are %v, want %v, also of one that is not ready", got.Pods, behind)
	}
	names := sliceObject(endpoint("a.example", "", "", ""))
	names.AddressType = discoveryv1.AddressTypeFQDN
	if got, problems := EndpointSliceFrom(names); len(got.Ready)+len(problems) > 0 {
		t.Errorf("names are not addresses: %v %v", got, problems)
	}
	headless := sliceObject(endpoint("10.0.0.2", "", "", ""))
	headless.Labels["service.kubernetes.io/headless"] = ""
	if got, _ := EndpointSliceFrom(headless); len(got.Ports) > 0 || len(got.Ready) != 1 {
		t.Errorf("it is for the DNS, and not for proxies: %v", got)
	}
	_, problems = EndpointSliceFrom(sliceObject(endpoint("10.0.0", "", "", "")))
	if len(problems) != 1 || problems[0].Fatal || !strings.HasPrefix(problems[0].Error(), `endpoints: an endpoint is ignored: "10.0.0" is not an address`) {
		t.Errorf("problems: %v", problems)
	}
}

// Whatever is in a slice, the projection is sorted and has no duplicates, and every port is valid.
func FuzzEndpointSlice(f *testing.F) {
	f.Add([]byte(`{"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true,"terminating":true}}],"ports":[{"port":80}]}`))
	f.Add([]byte(`{"endpoints":[{"addresses":["fd00::1","x"]},{"addresses":[]},{"addresses":["fd00::1"]}],"ports":[{"port":-1,"protocol":"ICMP"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o discoveryv1.EndpointSlice
		if json.Unmarshal(raw, &o) != nil {
			t.Skip("not the JSON of a slice")
		}
		s, problems := EndpointSliceFrom(&o)
		if Fatal(problems) {
			t.Errorf("one bad endpoint stops all: %v", problems)
		}
		for _, list := range [][]netip.Addr{s.Ready, s.Draining} {
			if !slices.IsSortedFunc(list, netip.Addr.Compare) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Errorf("not sorted: %v", list)
			}
		}
		for _, p := range s.Ports {
			if p.Port == 0 || p.Protocol == "" {
				t.Errorf("no port: %v", p)
			}
		}
	})
}

func TestRemembered(t *testing.T) {
	for seconds, want := range map[int]uint16{20: 20, 65535: 65535, 65536: 0, int(corev1.DefaultClientIPServiceAffinitySeconds): 0} {
		if got := (&Service{Affinity: true, AffinityTimeout: time.Duration(seconds) * time.Second}).Remembered(); got != want {
			t.Errorf("%d s: OVN remembers %d s, want %d", seconds, got, want)
		}
	}
}
