// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

func podObject(ann map[string]string) *corev1.Pod {
	controller := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "db-0", UID: "u", Annotations: ann,
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "Other", Name: "x"},
				{Kind: "StatefulSet", Name: "db", UID: "s", Controller: &controller},
			},
		},
		Spec: corev1.PodSpec{NodeName: "n1"},
	}
}

func podWith(nics ...PodNIC) Pod {
	return Pod{
		Meta: Meta{Namespace: "shop", Name: "db-0", UID: "u"}, Node: "n1", NICs: nics,
		Owner: PodOwner{Kind: "StatefulSet", Name: "db", UID: "s"},
	}
}

func TestPodFrom(t *testing.T) {
	written := map[string]string{
		annotations.Allocated: "true", annotations.IPAddress: "10.0.0.5", annotations.MACAddress: "02:00:00:00:00:01",
		annotations.LogicalSwitch: "apps", annotations.Routed: "true",
	}
	withOther := map[string]string{"unrelated": "x", annotations.Routes: "[]"}
	for k, v := range written {
		withOther[k] = v
	}
	for name, tc := range map[string]struct {
		ann    map[string]string
		change func(*corev1.Pod)
		want   Pod
	}{
		"bare": {want: podWith(PodNIC{Provider: "ovn"})},
		"requests": {
			ann: map[string]string{
				annotations.IPAddress: "fd00::5, 10.0.0.5", annotations.MACAddress: "02-00-00-00-00-AB", annotations.LogicalSwitch: "apps",
			},
			want: podWith(PodNIC{Provider: "ovn", Subnet: "apps", IPs: addrs("10.0.0.5", "fd00::5"), MAC: "02:00:00:00:00:ab"}),
		},
		"empty requests": {
			ann:  map[string]string{annotations.IPAddress: "", annotations.MACAddress: "", annotations.LogicalSwitch: ""},
			want: podWith(PodNIC{Provider: "ovn"}),
		},
		"not yet allocated": {
			ann:  map[string]string{annotations.Allocated: "false", annotations.IPAddress: "10.0.0.5"},
			want: podWith(PodNIC{Provider: "ovn", IPs: addrs("10.0.0.5", "")}),
		},
		"written": {ann: withOther, want: podWith(PodNIC{Provider: "ovn", Written: written})},
		"host network": {
			ann:    map[string]string{annotations.IPAddress: "nonsense"},
			change: func(o *corev1.Pod) { o.Spec.HostNetwork = true },
			want:   func() Pod { p := podWith(); p.HostNetwork = true; return p }(),
		},
		"completed": {
			change: func(o *corev1.Pod) { o.Status.Phase = corev1.PodFailed },
			want:   func() Pod { p := podWith(); p.Completed = true; return p }(),
		},
		"running": {
			change: func(o *corev1.Pod) { o.Status.Phase, o.ResourceVersion = corev1.PodRunning, "7" },
			want:   podWith(PodNIC{Provider: "ovn"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := podObject(tc.ann)
			if tc.change != nil {
				tc.change(o)
			}
			got, list := PodFrom(o)
			if diff := cmp.Diff(tc.want, got, compareNetip); diff != "" {
				t.Error(diff)
			}
			if len(list) > 0 {
				t.Errorf("problems: %v", list)
			}
		})
	}
}

func TestPoolOrList(t *testing.T) {
	for text, name := range map[string]string{
		"front": "front", "front-2.x": "front-2.x", "1st": "1st", "fd": "fd",
		"10.16.0.10": "", "10.16.0.10,10.16.0.11": "", "10.16.0.1..10.16.0.9": "", "fd00::1": "", "10.16.0.1,fd00::1;10.16.0.2,fd00::2": "",
	} {
		pod, problems := PodFrom(podObject(map[string]string{annotations.IPPool: text}))
		if nic := pod.NICs[0]; nic.Pool != name || (len(nic.List) > 0) != (name == "") || len(problems) > 0 {
			t.Errorf("%s is pool %q, list %v, %v", text, nic.Pool, nic.List, problems)
		}
	}
}

func TestPodProblems(t *testing.T) {
	for _, tc := range []struct{ key, value, want string }{
		{annotations.IPAddress, "10.0.0.300", `metadata.annotations[ovn.kubernetes.io/ip_address]: "10.0.0.300": "10.0.0.300" is not an address: IPv4 field has value >255`},
		{annotations.IPAddress, "10.0.0.3/24", `metadata.annotations[ovn.kubernetes.io/ip_address]: "10.0.0.3/24": "10.0.0.3/24" is not an address: unexpected character (at "/24")`},
		{annotations.IPAddress, "10.0.0.3,10.0.0.4", `metadata.annotations[ovn.kubernetes.io/ip_address]: "10.0.0.3,10.0.0.4": both parts have the same IP family`},
		{annotations.IPAddress, "224.0.0.1", `metadata.annotations[ovn.kubernetes.io/ip_address]: "224.0.0.1": 224.0.0.1 is a multicast address`},
		{annotations.IPAddress, "255.255.255.255", `metadata.annotations[ovn.kubernetes.io/ip_address]: "255.255.255.255": 255.255.255.255 is a reserved or broadcast address (RFC 1112, 4)`},
		{annotations.IPAddress, "fe80::1%eth0", `metadata.annotations[ovn.kubernetes.io/ip_address]: "fe80::1%eth0": "fe80::1%eth0" is not a plain IPv4 or IPv6 address`},
		{annotations.MACAddress, "02:00", `metadata.annotations[ovn.kubernetes.io/mac_address]: "02:00": not a MAC address such as 00:00:00:6f:a1:02`},
		{annotations.MACAddress, "01:00:00:00:00:01", `metadata.annotations[ovn.kubernetes.io/mac_address]: "01:00:00:00:00:01": a group address`},
		{annotations.MACAddress, "00:00:00:00:00:00", `metadata.annotations[ovn.kubernetes.io/mac_address]: "00:00:00:00:00:00": all octets are zero`},
		{annotations.MACAddress, "02:00:00:00:00:00:00:01", `metadata.annotations[ovn.kubernetes.io/mac_address]: "02:00:00:00:00:00:00:01": not a MAC address such as 00:00:00:6f:a1:02`},
		{annotations.MACAddress, "02:00:00:00:00:0", `metadata.annotations[ovn.kubernetes.io/mac_address]: "02:00:00:00:00:0": not a MAC address such as 00:00:00:6f:a1:02`},
		{annotations.MACAddress, "02:00-00:00:00:01", `metadata.annotations[ovn.kubernetes.io/mac_address]: "02:00-00:00:00:01": not a MAC address such as 00:00:00:6f:a1:02`},
		{"ovn.kubernetes.io/ip_family", "ipv5", `metadata.annotations[ovn.kubernetes.io/ip_family]: "ipv5": not ipv4 or ipv6`},
		{annotations.IPPool, "front,back", `metadata.annotations[ovn.kubernetes.io/ip_pool]: "front,back": `},
		{annotations.IPPool, "Front", `metadata.annotations[ovn.kubernetes.io/ip_pool]: "Front": `},
		{annotations.IPPool, "10.0.0.300", `metadata.annotations[ovn.kubernetes.io/ip_pool]: "10.0.0.300": `},
		{annotations.LogicalSwitch, "a,b", `metadata.annotations[ovn.kubernetes.io/logical_switch]: "a,b": `},
	} {
		_, list := PodFrom(podObject(map[string]string{tc.key: tc.value}))
		if len(list) != 1 || !list[0].Fatal || list[0].NIC != "ovn" || Fatal(list) || list[0].Reason != ReasonPodInvalid || !strings.HasPrefix(list[0].Error(), tc.want) {
			t.Errorf("%s=%s: got %v\nwant %s", tc.key, tc.value, list, tc.want)
		}
	}
}

func TestPodAnnotationsSatisfyThemselves(t *testing.T) {
	ip := IP{Addrs: addrs("10.17.0.5", "fd00:10:17::5"), MAC: "02:00:00:00:00:05"}
	subnet := SubnetNetwork{
		Name: "apps", Vpc: "ovn-cluster", Provider: "ovn",
		CIDR: prefixes("10.17.0.0/16,fd00:10:17::/64"), Gateway: addrs("10.17.0.1", "fd00:10:17::1"),
	}
	got := PodAnnotations(podWith(), PodNIC{Provider: "ovn"}, ip, subnet)
	want := map[string]string{
		"ovn.kubernetes.io/allocated": "true", "ovn.kubernetes.io/routed": "true",
		"ovn.kubernetes.io/ip_address": "10.17.0.5,fd00:10:17::5", "ovn.kubernetes.io/mac_address": "02:00:00:00:00:05",
		"ovn.kubernetes.io/cidr": "10.17.0.0/16,fd00:10:17::/64", "ovn.kubernetes.io/gateway": "10.17.0.1,fd00:10:17::1",
		"ovn.kubernetes.io/logical_switch": "apps", "ovn.kubernetes.io/logical_router": "ovn-cluster",
		"ovn.kubernetes.io/pod_nic_type": "veth-pair",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	pod, list := PodFrom(podObject(got))
	if diff := cmp.Diff(podWith(PodNIC{Provider: "ovn", Written: want}), pod, compareNetip); diff != "" || len(list) > 0 {
		t.Errorf("what was written reads as %s %v", diff, list)
	}
	other := PodAnnotations(podWith(), PodNIC{Provider: "net1.ns1.ovn"}, ip, subnet)
	if other["net1.ns1.ovn.kubernetes.io/ip_address"] != "10.17.0.5,fd00:10:17::5" || len(other) != len(want) {
		t.Errorf("second NIC: %v", other)
	}
}

func TestNodeFrom(t *testing.T) {
	ip := IP{Addrs: addrs("100.64.0.2", ""), MAC: "02:00:00:00:00:02"}
	join := SubnetNetwork{Name: "join", Vpc: "ovn-cluster", CIDR: prefixes("100.64.0.0/16"), Gateway: addrs("100.64.0.1", "")}
	written := NodeAnnotations(Node{Meta: Meta{Name: "n1"}}, ip, join)
	want := map[string]string{
		"ovn.kubernetes.io/allocated": "true", "ovn.kubernetes.io/ip_address": "100.64.0.2",
		"ovn.kubernetes.io/mac_address": "02:00:00:00:00:02", "ovn.kubernetes.io/cidr": "100.64.0.0/16",
		"ovn.kubernetes.io/gateway": "100.64.0.1", "ovn.kubernetes.io/logical_switch": "join",
		"ovn.kubernetes.io/port_name": "node-n1",
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Error(diff)
	}
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{"other": "x"}}}
	for k, v := range written {
		o.Annotations[k] = v
	}
	o.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "n1"},
		{Type: corev1.NodeInternalIP, Address: "172.18.0.3"},
		{Type: corev1.NodeInternalIP, Address: "n1.example"},
		{Type: corev1.NodeInternalIP, Address: "::ffff:172.18.0.3"},
		{Type: corev1.NodeInternalIP, Address: "fd00::3"},
		{Type: corev1.NodeExternalIP, Address: "9.9.9.9"},
		{Type: corev1.NodeHostName, Address: "172.18.0.3"},
	}
	all := []netip.Addr{addr("9.9.9.9"), addr("172.18.0.3"), addr("fd00::3")}
	got, list := NodeFrom(o)
	if diff := cmp.Diff(Node{Meta: Meta{Name: "n1"}, InternalIPs: []netip.Addr{addr("172.18.0.3"), addr("fd00::3")}, Addresses: all, Annotations: want}, got, compareNetip); diff != "" {
		t.Error(diff)
	}
	if len(list) != 1 || list[0].Fatal || !strings.Contains(list[0].Message, `"n1.example"`) {
		t.Errorf("problems: %v", list)
	}
}

func TestVpcFrom(t *testing.T) {
	o := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster"}, Spec: v1.VpcSpec{DefaultSubnet: "ovn-default", Namespaces: []string{"a"}}}
	got, _ := VpcFrom(o)
	want := Vpc{Meta: Meta{Name: "ovn-cluster"}, Default: true, DefaultSubnet: "ovn-default", Namespaces: []string{"a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamespaceFrom(t *testing.T) {
	now := metav1.Now()
	o := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "shop", Labels: map[string]string{"team": "lab"}, DeletionTimestamp: &now,
		Annotations: map[string]string{annotations.LogicalSwitch: " b,a,, "},
	}}
	got, list := NamespaceFrom(o)
	want := Namespace{
		Meta: Meta{Name: "shop", Deleting: true}, LogicalSwitches: []string{"b", "a"}, Labels: map[string]string{"team": "lab"},
		Written: map[string]string{annotations.LogicalSwitch: " b,a,, "},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(list) > 0 {
		t.Errorf("%v %s", list, diff)
	}
	o.Annotations[annotations.BoundSwitch] = o.Annotations[annotations.LogicalSwitch]
	if got, _ := NamespaceFrom(o); got.LogicalSwitches != nil {
		t.Errorf("what the controller wrote is taken for a user's choice: %v", got.LogicalSwitches)
	}
	o.Annotations[annotations.LogicalSwitch] = "a b"
	if n, list := NamespaceFrom(o); len(list) != 1 || list[0].Fatal || !slices.Equal(n.LogicalSwitches, []string{"a b"}) || n.Labels["team"] != "lab" || !strings.Contains(list[0].Error(), `[ovn.kubernetes.io/logical_switch]: "a b" is not the name of a Subnet`) {
		t.Errorf("got %v", list)
	}
}

func TestChooseSubnets(t *testing.T) {
	ns := Namespace{LogicalSwitches: []string{"n1", "n2", "n1"}}
	for name, tc := range map[string]struct {
		nic        PodNIC
		ns         Namespace
		bound      []string
		vpc, whole string
		want       []string
	}{
		"pod":              {PodNIC{Provider: "ovn", Subnet: "p"}, ns, []string{"b"}, "v", "c", []string{"p"}},
		"namespace":        {PodNIC{Provider: "ovn"}, ns, []string{"b"}, "v", "c", []string{"n1", "n2"}},
		"bound":            {PodNIC{Provider: "ovn"}, Namespace{}, []string{"b1", "b2"}, "v", "c", []string{"b1", "b2"}},
		"vpc":              {PodNIC{Provider: "ovn"}, Namespace{}, nil, "v", "c", []string{"v"}},
		"cluster":          {PodNIC{Provider: "ovn"}, Namespace{}, nil, "", "c", []string{"c"}},
		"none":             {PodNIC{Provider: "ovn"}, Namespace{}, nil, "", "", nil},
		"second NIC":       {PodNIC{Provider: "x.y.ovn"}, ns, []string{"b"}, "v", "c", []string{"b"}},
		"second NIC, none": {PodNIC{Provider: "x.y.ovn"}, ns, nil, "v", "c", nil},
	} {
		if diff := cmp.Diff(tc.want, ChooseSubnets(tc.nic, tc.ns.LogicalSwitches, tc.bound, tc.vpc, tc.whole)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestIPObject(t *testing.T) {
	got := IPObject(IP{
		Meta: Meta{Name: "db-0.shop"}, Subnet: "apps", Provider: "ovn", Addrs: addrs("10.17.0.5", "fd00::5"), MAC: "02:00:00:00:00:05",
		PodName: "db-0", Namespace: "shop", NodeName: "n1", PodType: "StatefulSet",
	})
	want := &v1.IP{
		TypeMeta: metav1.TypeMeta{APIVersion: "kubeovn.io/v1", Kind: "IP"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "db-0.shop", Finalizers: []string{"kubeovn.io/kube-ovn-controller"},
			Labels: map[string]string{
				"ovn.kubernetes.io/subnet": "apps", "ovn.kubernetes.io/node-name": "n1", "apps": "", "ovn.kubernetes.io/ip_reserved": "false",
			},
		},
		Spec: v1.IPSpec{
			PodName: "db-0", Namespace: "shop", Subnet: "apps", NodeName: "n1", IPAddress: "10.17.0.5,fd00::5",
			V4IPAddress: "10.17.0.5", V6IPAddress: "fd00::5", MacAddress: "02:00:00:00:00:05", PodType: "StatefulSet",
			AttachSubnets: []string{}, AttachIPs: []string{}, AttachMacs: []string{},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	long := strings.Repeat("a", 64)
	if labels := IPObject(IP{Subnet: long, NodeName: long}).Labels; len(labels) != 1 {
		t.Errorf("labels that the API server refuses: %v", labels)
	}
}

func TestIPObjectRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{1,8}`)
		want := IP{
			Meta: Meta{Name: name.Draw(t, "name"), Finalized: true}, Subnet: name.Draw(t, "subnet"), Provider: "ovn",
			PodName: name.Draw(t, "pod"), Namespace: name.Draw(t, "namespace"), NodeName: name.Draw(t, "node"),
			PodType: rapid.SampledFrom([]string{"", "StatefulSet"}).Draw(t, "type"), Reserved: rapid.Bool().Draw(t, "reserved"),
			Labelled: true, MAC: rapid.SampledFrom([]string{"", "02:00:00:00:00:01"}).Draw(t, "MAC"),
			Addrs: rapid.SampledFrom([]Addrs{
				addrs("10.0.0.1", ""), addrs("", "fd00::1"), addrs("10.0.0.1", "fd00::1"),
			}).Draw(t, "addresses"),
		}
		got, list := IPFrom(IPObject(want))
		if diff := cmp.Diff(want, got, compareNetip); diff != "" || len(list) > 0 {
			t.Fatalf("%v %s", list, diff)
		}
	})
}

func TestIPFrom(t *testing.T) {
	byUser := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "db-0.shop"}, Spec: v1.IPSpec{
		Subnet: "apps", PodName: "db-0", Namespace: "shop", IPAddress: "10.17.0.30,FD00::30", MacAddress: "00:00:00:6F:A1:02",
	}}
	got, list := IPFrom(byUser)
	want := IP{
		Meta: Meta{Name: "db-0.shop"}, Subnet: "apps", Provider: "ovn", Addrs: addrs("10.17.0.30", "fd00::30"), MAC: "00:00:00:6f:a1:02",
		PodName: "db-0", Namespace: "shop", Reserved: true,
	}
	if diff := cmp.Diff(want, got, compareNetip); diff != "" || len(list) > 0 {
		t.Errorf("%v %s", list, diff)
	}
	for name, tc := range map[string]struct {
		spec v1.IPSpec
		want string
	}{
		"no subnet":    {v1.IPSpec{IPAddress: "10.0.0.1"}, "spec.subnet: it is empty: an address belongs to a Subnet"},
		"nothing":      {v1.IPSpec{Subnet: "s"}, "spec.ipAddress: it is empty, and so are v4IpAddress, v6IpAddress and macAddress: nothing to reserve"},
		"bad text":     {v1.IPSpec{Subnet: "s", IPAddress: "x"}, `spec.ipAddress: "x": "x" is not an address: unable to parse IP`},
		"wrong family": {v1.IPSpec{Subnet: "s", V4IPAddress: "fd00::1"}, "spec.v4IpAddress: fd00::1 is an IPv6 address"},
		"wrong other":  {v1.IPSpec{Subnet: "s", V6IPAddress: "10.0.0.1"}, "spec.v6IpAddress: 10.0.0.1 is an IPv4 address"},
		"contradicts":  {v1.IPSpec{Subnet: "s", IPAddress: "10.0.0.1", V4IPAddress: "10.0.0.2"}, "spec.v4IpAddress: 10.0.0.2 contradicts spec.ipAddress, which is 10.0.0.1"},
		"bad MAC":      {v1.IPSpec{Subnet: "s", MacAddress: "x"}, `spec.macAddress: "x": not a MAC address such as 00:00:00:6f:a1:02`},
	} {
		_, list := IPFrom(&v1.IP{Spec: tc.spec})
		if len(list) != 1 || !list[0].Fatal || list[0].Error() != tc.want {
			t.Errorf("%s: got %v\nwant %s", name, list, tc.want)
		}
	}
}

func TestPortName(t *testing.T) {
	for provider, want := range map[Provider]string{"": "p.ns", "ovn": "p.ns", "net1.ns1.ovn": "p.ns.net1.ns1.ovn"} {
		if got := PortName("p", "ns", provider); got != want {
			t.Errorf("provider %q: got %s, want %s", provider, got, want)
		}
	}
}

func TestHeartbeatsLeaveProjectionsEqual(t *testing.T) {
	pod := podObject(map[string]string{"a": "1"})
	before, _ := PodFrom(pod)
	pod.ResourceVersion, pod.Annotations["a"] = "9", "2"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}}
	if after, _ := PodFrom(pod); !Equal(before, after) {
		t.Errorf("a status change wakes: %s", cmp.Diff(before, after, compareNetip))
	}
	subnet := subnetObject(v1.SubnetSpec{CIDRBlock: "10.0.0.0/24"})
	first, _ := SubnetFrom(subnet)
	if second, _ := SubnetFrom(SubnetDefaults(subnet)); !Equal(first, second) {
		t.Errorf("writing defaults back wakes: %s", cmp.Diff(first, second, compareNetip))
	}
}

func FuzzPodAnnotations(f *testing.F) {
	f.Add("10.0.0.5,fd00::5", "02:00:00:00:00:01", "apps", "")
	f.Add("fe80::1%a", "", "a,b", "true")
	f.Fuzz(func(t *testing.T, ip, mac, subnet, allocated string) {
		pod, list := PodFrom(podObject(map[string]string{
			annotations.IPAddress: ip, annotations.MACAddress: mac, annotations.LogicalSwitch: subnet, annotations.Allocated: allocated,
		}))
		nic := pod.NICs[0]
		if allocated == "true" {
			if len(list) > 0 || nic.Subnet != "" || nic.MAC != "" || nic.IPs != (Addrs{}) {
				t.Fatalf("what the controller wrote is read as a request: %+v %v", nic, list)
			}
			return
		}
		if nic.Written != nil || nic.Invalid != (len(list) > 0) || Fatal(list) {
			t.Fatalf("requests are read as written, or have a problem that is not fatal to the NIC: %v, %v", nic.Written, list)
		}
		if len(list) == 0 && ip != "" {
			checkRequestedAddrs(t, nic.IPs)
		}
	})
}

func checkRequestedAddrs(t *testing.T, got Addrs) {
	t.Helper()
	for _, a := range Families(got) {
		if a.IsMulticast() || a.IsLoopback() || a.Zone() != "" || a.Is4In6() {
			t.Fatalf("accepted %s", a)
		}
	}
	if again, err := ParseAddrs(AddrsText(got)); err != nil || again != got {
		t.Fatalf("%v is written as %q and read as %v, %v", got, AddrsText(got), again, err)
	}
}

func FuzzNamespaceAnnotations(f *testing.F) {
	f.Add("a, b,", "", "", "", "", "")
	f.Add("lab", "10.44.0.9/24", "10.44.0.254", "10.44.0.1..10.44.0.9", "true", "10.16.0.0/16")
	f.Fuzz(func(t *testing.T, switches, cidr, gateway, exclude, private, allow string) {
		n, list := NamespaceFrom(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Annotations: map[string]string{
			annotations.LogicalSwitch: switches, annotations.CIDR: cidr, annotations.Gateway: gateway,
			annotations.ExcludeIPs: exclude, annotations.Private: private, annotations.Allow: allow,
		}}})
		if Fatal(list) {
			return
		}
		for _, name := range n.LogicalSwitches {
			if notAName(name) != "" {
				t.Fatalf("accepted %q", name)
			}
		}
		if n.Request == nil || Fatal(n.Request.Problems) {
			return
		}
		s, problems := SubnetFrom(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: n.LogicalSwitches[0]}, Spec: n.Request.Spec})
		if Fatal(problems) || s.CIDR == (Prefixes{}) {
			t.Fatalf("makes a Subnet of %+v: %v", n.Request.Spec, problems)
		}
	})
}

func FuzzIPFrom(f *testing.F) {
	f.Add("10.0.0.1,fd00::1", "10.0.0.1", "fd00::1", "02:00:00:00:00:01")
	f.Fuzz(func(t *testing.T, all, v4, v6, mac string) {
		ip, list := IPFrom(&v1.IP{Spec: v1.IPSpec{Subnet: "s", IPAddress: all, V4IPAddress: v4, V6IPAddress: v6, MacAddress: mac}})
		if Fatal(list) {
			return
		}
		again, more := IPFrom(IPObject(ip))
		if len(more) > 0 || again.Addrs != ip.Addrs || again.MAC != ip.MAC {
			t.Fatalf("%+v is written and read as %+v, %v", ip, again, more)
		}
	})
}
