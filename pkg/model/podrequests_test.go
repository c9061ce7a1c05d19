// SPDX-License-Identifier: Apache-2.0

package model

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// Whatever a pod requests besides an address, each problem names its annotation, and what is accepted has the form that
// the core relies on.
func FuzzPodRequests(f *testing.F) {
	f.Add("dual", "ipv4", "10.16.0.10,10.16.0.12..10.16.0.15", "10.16.0.254", "lease_time=60")
	f.Add("", "IPv6", "10.16.0.10,fd00::10;10.16.0.11,fd00::11", "10.16.0.254,fd00::fe", "")
	f.Add("a/b", "ipv4,ipv6", "front", "fe80::1%x", "}{")
	f.Fuzz(func(t *testing.T, subnet, family, pool, north, dhcp string) {
		pod, list := PodFrom(podObject(map[string]string{
			annotations.LogicalSwitch: subnet,
			annotations.Key(annotations.DefaultProvider, annotations.SuffixIPFamily): family,
			annotations.IPPool:       pool,
			annotations.NorthGateway: north,
			annotations.Key(annotations.DefaultProvider, annotations.SuffixDHCPv4Options): dhcp,
		}))
		for _, p := range list {
			if p.Reason == "" || p.Field == "" || p.Message == "" {
				t.Fatalf("problem says too little: %+v", p)
			}
		}
		if Fatal(list) {
			return
		}
		nic := pod.NICs[0]
		if nic.Family > IPv6 {
			t.Fatalf("family %q gives %q", family, nic.Family)
		}
		if nic.Pool != "" && (notAName(nic.Pool) != "" || len(nic.List) > 0) || nic.Subnet != "" && notAName(nic.Subnet) != "" {
			t.Fatalf("accepted %+v", nic)
		}
		count := 0
		for a := range nic.List.All() {
			checkRequestedAddrs(t, a)
			if count++; count > 65_536 {
				t.Fatalf("%q is a list of more than 65,536 addresses", pool)
			}
		}
		if pod.NorthGateway != (Addrs{}) {
			checkRequestedAddrs(t, pod.NorthGateway)
		}
	})
}

// Addresses of a node are valid, and appear once.
func FuzzNodeFrom(f *testing.F) {
	f.Add("172.18.0.1", "fd00::1", "::ffff:172.18.0.1")
	f.Add("fe80::1%eth0", "", "x")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		o := &corev1.Node{}
		for _, text := range []string{a, b, c} {
			o.Status.Addresses = append(o.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: text})
		}
		n, list := NodeFrom(o)
		if len(n.InternalIPs)+len(list) > 3 {
			t.Fatalf("%q, %q, %q give %v and %v", a, b, c, n.InternalIPs, list)
		}
		for i, ip := range n.InternalIPs {
			if !ip.IsValid() || ip.Zone() != "" || ip.Is4In6() || slices.Contains(n.InternalIPs[:i], ip) {
				t.Fatalf("%q, %q, %q give %v", a, b, c, n.InternalIPs)
			}
		}
	})
}

// Only a status that has exactly the addresses of the annotations confirms them.
func TestStatusConfirmsAddresses(t *testing.T) {
	for status, want := range map[string]bool{
		"10.16.0.9,fd00::9": true, "fd00::9,10.16.0.9": true, "10.16.0.9": false, "": false, "10.16.0.8,fd00::9": false,
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "d", Annotations: map[string]string{
			annotations.Allocated: "true", annotations.IPAddress: "10.16.0.9,fd00::9", annotations.MACAddress: "02:00:00:00:00:01",
		}}}
		for _, ip := range csv(status) {
			pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		if projected, _ := PodFrom(pod); projected.NICs[0].Confirmed != want {
			t.Errorf("status %q: confirmed is %t", status, projected.NICs[0].Confirmed)
		}
	}
}
