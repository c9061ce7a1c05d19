// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// MaxExternalAddresses is how many external addresses one Service may have.
const MaxExternalAddresses = 1000

// Service returns what of a Service and of its endpoints is within the limit, and a problem if that is not all. A
// tenant chooses the number of ports, external addresses, source ranges and endpoints, and OVN and the nodes need their
// product. In this order, what exceeds the limit is left out: all external addresses, the last ports, the last
// endpoints in the order of their addresses.
func (l Limits) Service(s *Service, endpoints []*EndpointSlice) (*Service, []*EndpointSlice, []Problem) {
	external := len(s.External.IPs) + len(s.External.Ingress)
	size := ServiceSize(s, endpoints)
	if l.ServiceBackends <= 0 || size <= l.ServiceBackends && external <= MaxExternalAddresses {
		return s, endpoints, nil
	}
	out, limit := *s, l.ServiceBackends
	if external > MaxExternalAddresses || ServiceSize(s, nil) > limit {
		out.External.IPs, out.External.Ingress = nil, nil
	}
	if most := limit / max(1, len(Families(s.ClusterIPs))); len(out.Ports) > most {
		out.Ports = out.Ports[:most]
	}
	v4, v6 := out.frontends()
	perPort := limit / max(1, v4+v6)
	message := fmt.Sprintf("the Service has %d pairs of a port and a backend, at most %d are allowed, and %d external addresses, at most %d are allowed: ",
		size, limit, external, MaxExternalAddresses)
	if external > 0 && len(out.External.IPs)+len(out.External.Ingress) == 0 {
		message += "it has no external addresses; "
	}
	message += fmt.Sprintf("%d of %d ports are served, by at most %d backends each", len(out.Ports), len(s.Ports), perPort)
	return &out, firstEndpoints(endpoints, perPort), []Problem{{Reason: ReasonServiceTooLarge, Message: message}}
}

// frontends is the number of pairs of an address and a port, by IP family of the address; NodePorts do not count.
func (s *Service) frontends() (v4, v6 int) {
	for _, a := range slices.Concat(Families(s.ClusterIPs), s.External.IPs, s.External.Ingress) {
		if a.Is4() {
			v4 += len(s.Ports)
		} else {
			v6 += len(s.Ports)
		}
	}
	return v4, v6
}

// ServiceSize is the number of pairs of a frontend (an address and a port) and a backend; a frontend without backends
// counts as one pair. With loadBalancerSourceRanges, each range counts as a backend of the addresses of load balancers.
func ServiceSize(s *Service, endpoints []*EndpointSlice) (total int) {
	if len(s.Ports) == 0 {
		return 0
	}
	v4, v6 := s.frontends()
	backends := endpointCounts(endpoints)
	for _, port := range s.Ports {
		at := endpointKey{port.Name, port.Protocol, true}
		total += v4 / len(s.Ports) * max(1, backends[at])
		at.is4 = false
		total += v6 / len(s.Ports) * max(1, backends[at])
	}
	for _, a := range s.External.Ingress {
		for _, source := range s.External.Sources {
			if source.Addr().Is4() == a.Is4() {
				total += len(s.Ports)
			}
		}
	}
	return total
}

// endpointKey identifies the endpoints of one port and IP family.
type endpointKey struct {
	name     string
	protocol Protocol
	is4      bool
}

func endpointCounts(endpoints []*EndpointSlice) map[endpointKey]int {
	out := map[endpointKey]int{}
	for _, e := range endpoints {
		for _, list := range [][]netip.Addr{e.Ready, e.Draining} {
			if len(list) == 0 {
				continue
			}
			for _, port := range e.Ports {
				out[endpointKey{port.Name, port.Protocol, list[0].Is4()}] += len(list)
			}
		}
	}
	return out
}

// firstEndpoints returns copies of slices with the first n addresses of each IP family.
func firstEndpoints(endpoints []*EndpointSlice, n int) []*EndpointSlice {
	var v4, v6 []endpointIn
	out := make([]*EndpointSlice, len(endpoints))
	for i, e := range endpoints {
		slice := *e
		slice.Ready, slice.Draining = nil, nil
		out[i] = &slice
		for _, list := range []struct {
			addrs    []netip.Addr
			draining bool
		}{{e.Ready, false}, {e.Draining, true}} {
			for _, a := range list.addrs {
				if a.Is4() {
					v4 = append(v4, endpointIn{a, e.Name, list.draining, &slice})
				} else {
					v6 = append(v6, endpointIn{a, e.Name, list.draining, &slice})
				}
			}
		}
	}
	for _, family := range [][]endpointIn{v4, v6} {
		slices.SortFunc(family, endpointIn.compare)
		for _, at := range family[:min(n, len(family))] {
			if at.draining {
				at.slice.Draining = append(at.slice.Draining, at.addr)
			} else {
				at.slice.Ready = append(at.slice.Ready, at.addr)
			}
		}
	}
	return out
}

// endpointIn is an endpoint and its slice. Those that get new connections come first.
type endpointIn struct {
	addr     netip.Addr
	name     string // of the slice
	draining bool
	slice    *EndpointSlice
}

func (e endpointIn) compare(other endpointIn) int {
	if e.draining != other.draining {
		if e.draining {
			return 1
		}
		return -1
	}
	return cmp.Or(e.addr.Compare(other.addr), cmp.Compare(e.name, other.name))
}
