// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"net/netip"
	"slices"
)

// Backends returns the endpoints of a Service's port that get new connections, of the IP family of an address, sorted.
// If none is ready, terminating endpoints that still serve are used (KEP-1669, as kube-proxy does). With the name of a
// node, only its endpoints are considered.
func Backends(port ServicePort, like netip.Addr, slicesOfService []*EndpointSlice, node string) []netip.AddrPort {
	out := backends(port, like, slicesOfService, node, func(e *EndpointSlice) []netip.Addr { return e.Ready })
	if len(out) == 0 {
		out = backends(port, like, slicesOfService, node, func(e *EndpointSlice) []netip.Addr { return e.Draining })
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return slices.Compact(out) // one endpoint may be in two slices for a while
}

func backends(port ServicePort, like netip.Addr, list []*EndpointSlice, node string, of func(*EndpointSlice) []netip.Addr) (out []netip.AddrPort) {
	for _, e := range list {
		first, _ := slices.BinarySearchFunc(e.Ports, port, func(p, port ServicePort) int {
			return cmp.Or(cmp.Compare(p.Name, port.Name), cmp.Compare(p.Protocol, port.Protocol))
		})
		for _, p := range e.Ports[first:] {
			if p.Name != port.Name || p.Protocol != port.Protocol {
				break
			}
			for _, a := range of(e) {
				if a.Is4() == like.Is4() && (node == "" || e.Nodes[a] == node) {
					out = append(out, netip.AddrPortFrom(a, p.Port))
				}
			}
		}
	}
	return out
}
