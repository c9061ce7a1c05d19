// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func numberedAddr(v4 bool, i int) netip.Addr {
	if v4 {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	return netip.AddrFrom16([16]byte{0xfd, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
}

func anyService(t *rapid.T) (*Service, []*EndpointSlice) {
	s := &Service{ClusterIPs: Addrs{V4: numberedAddr(true, 1)}}
	if rapid.Bool().Draw(t, "dual stack") {
		s.ClusterIPs.V6 = numberedAddr(false, 1)
	}
	var ports []ServicePort
	for i := range rapid.IntRange(1, 30).Draw(t, "ports") {
		ports = append(ports, ServicePort{Name: fmt.Sprintf("p%02d", i), Protocol: TCP, Port: uint16(i + 1)})
	}
	s.Ports = ports
	for i := range rapid.IntRange(0, 20).Draw(t, "external") {
		s.External.IPs = append(s.External.IPs, numberedAddr(i%2 == 0, 1000+i))
		s.External.Ingress = append(s.External.Ingress, numberedAddr(i%3 == 0, 2000+i))
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "sources") {
		s.External.Sources = append(s.External.Sources, netip.PrefixFrom(numberedAddr(i%2 == 0, 3000+i), 24))
	}
	var list []*EndpointSlice
	for i := range rapid.IntRange(0, 5).Draw(t, "slices") {
		e := &EndpointSlice{Meta: Meta{Name: fmt.Sprint("s", i)}, Ports: ports}
		for n := range rapid.IntRange(0, 20).Draw(t, "endpoints") {
			a := numberedAddr(i%2 == 0, n+i/2*10) // some are in two slices
			if rapid.IntRange(0, 4).Draw(t, "draining") == 0 {
				e.Draining = append(e.Draining, a)
			} else {
				e.Ready = append(e.Ready, a)
			}
		}
		list = append(list, e)
	}
	return s, list
}

// TestServiceLimit: what is left is within the limit and a part of the Service, and there is a problem exactly if
// something is left out.
func TestServiceLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, endpoints := anyService(t)
		limits := Limits{ServiceBackends: rapid.IntRange(1, 3000).Draw(t, "limit")}
		out, left, problems := limits.Service(s, endpoints)
		if fits := ServiceSize(s, endpoints) <= limits.ServiceBackends; fits != (len(problems) == 0) {
			t.Fatalf("it fits: %t, problems %v", fits, problems)
		}
		pairs := 0
		for _, port := range out.Ports {
			if !slices.Contains(s.Ports, port) {
				t.Fatalf("there is no port %v", port)
			}
			for _, a := range slices.Concat(Families(out.ClusterIPs), out.External.IPs, out.External.Ingress) {
				chosen, before := Backends(port, a, left, ""), Backends(port, a, endpoints, "")
				pairs += max(1, len(chosen))
				if len(chosen) < len(before) && len(problems) == 0 {
					t.Fatalf("port %s: %v of %v", port.Name, chosen, before)
				}
				for _, b := range chosen {
					if !slices.Contains(before, b) {
						t.Fatalf("%v is no backend", b)
					}
				}
			}
		}
		if pairs > limits.ServiceBackends {
			t.Fatalf("%d pairs", pairs)
		}
	})
}

// A Service as large as clusters have them is within the default limit.
func TestServiceLimitAdmitsLargeServices(t *testing.T) {
	s := &Service{ClusterIPs: Addrs{V4: numberedAddr(true, 1), V6: numberedAddr(false, 1)}, Ports: []ServicePort{{Name: "a", Protocol: TCP, Port: 80}, {Name: "b", Protocol: TCP, Port: 443}}}
	s.External.Ingress = []netip.Addr{numberedAddr(true, 2), numberedAddr(false, 2)}
	var endpoints []*EndpointSlice
	for i := range 100 {
		e := &EndpointSlice{Ports: s.Ports}
		for n := range 100 {
			e.Ready = append(e.Ready, numberedAddr(i%2 == 0, 100*(i/2)+n))
		}
		endpoints = append(endpoints, e)
	}
	if out, left, problems := DefaultLimits.Service(s, endpoints); len(problems) > 0 || out != s || &left[0] != &endpoints[0] {
		t.Errorf("5,000 backends of each family: %v", problems)
	}
}

// Too many external addresses are left out, whatever else the Service has.
func TestExternalAddressesLimit(t *testing.T) {
	s := &Service{ClusterIPs: Addrs{V6: numberedAddr(false, 1)}, Ports: []ServicePort{{Protocol: UDP, Port: 53}}}
	for i := range MaxExternalAddresses + 1 {
		s.External.IPs = append(s.External.IPs, numberedAddr(false, 10+i))
	}
	out, _, problems := DefaultLimits.Service(s, nil)
	if len(out.External.IPs) > 0 || len(out.Ports) != 1 || len(problems) != 1 || problems[0].Reason != ReasonServiceTooLarge {
		t.Errorf("%d addresses and %d ports are left, problems %v", len(out.External.IPs), len(out.Ports), problems)
	}
}
