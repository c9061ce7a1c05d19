// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// routed reports whether hosts reach the subnet through ovn0.
func routed(in Inputs, s Subnet) bool {
	return s.Vpc == in.DefaultVpc && !s.Underlay && s.Invalid == ""
}

// makeRoutes gives one route per CIDR of each subnet that hosts reach through
// ovn0. The join subnet itself is connected and needs none.
func makeRoutes(in Inputs, p *Plan) *Routes {
	r := &Routes{Never: vital(in)}
	seen := map[netip.Prefix]bool{}
	for _, s := range in.Subnets {
		if s.Invalid != "" {
			r.KeepOthers = true
			p.Problems = append(p.Problems, fmt.Sprintf("subnet %s: %s", s.Name, s.Invalid))
			continue
		}
		if !routed(in, s) {
			continue
		}
		for _, problem := range s.Problems {
			r.KeepOthers = true
			p.Problems = append(p.Problems, fmt.Sprintf("subnet %s: %s", s.Name, problem))
		}
		for _, c := range s.CIDRs {
			if seen[c] || connected(in.Node, c) {
				continue
			}
			if route, ok := via(in.Node, c); ok {
				seen[c] = true
				r.Want = append(r.Want, route)
			}
		}
	}
	serviceRoutes(in, r, seen)
	slices.SortFunc(r.Want, func(a, b Route) int { return a.Dst.Compare(b.Dst) })
	return r
}

// via is the route to dst through the join gateway of dst's family; ok is false
// if the node has no address of that family.
func via(n Node, dst netip.Prefix) (r Route, ok bool) {
	same := func(a netip.Addr) bool { return a.Is4() == dst.Addr().Is4() }
	g := slices.IndexFunc(n.Gateways, same)
	a := slices.IndexFunc(n.Addresses, func(p netip.Prefix) bool { return same(p.Addr()) })
	if g < 0 || a < 0 {
		return Route{}, false
	}
	return Route{Dst: dst, Gateway: n.Gateways[g], Source: n.Addresses[a].Addr(), Link: NodeLink}, true
}

// attachedRoutes are the routes that the kernel makes when a link gets its addresses. It does not make them again when
// somebody removes one, so they are wanted like all others. The local ones come first: the kernel takes a source
// address only if it is local. Those of IPv6 are left out: the kernel makes them some time after the address, and only
// with the address (see package link).
func attachedRoutes(l Link) []Route {
	var local, connected []Route
	for _, p := range slices.Concat(l.Addresses, []netip.Prefix{l.LinkLocal}) {
		if !p.IsValid() {
			continue
		}
		a, source := p.Addr(), netip.Addr{}
		if a.Is4() {
			source = a // the kernel gives routes of IPv6 none
			local = append(local, Route{Type: Local, Table: TableLocal, Dst: netip.PrefixFrom(a, a.BitLen()), Source: a, Link: l.Name})
		}
		if !p.IsSingleIP() {
			connected = append(connected, Route{Type: Connected, Dst: p.Masked(), Source: source, Link: l.Name})
		}
	}
	return append(local, connected...)
}

// linkLocal is the IPv6 link-local address that the kernel derives from a MAC by default (RFC 4291, appendix A). The
// host resolves neighbours from it when it forwards packets. The zero Prefix is returned for a text that is no MAC.
func linkLocal(mac string) netip.Prefix {
	m, err := net.ParseMAC(mac)
	if err != nil || len(m) != 6 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(model.LinkLocal([6]byte(m)), 64)
}

// connected reports whether c is a network of ovn0 itself.
func connected(n Node, c netip.Prefix) bool {
	return slices.ContainsFunc(n.Addresses, func(a netip.Prefix) bool { return a.Masked() == c })
}
