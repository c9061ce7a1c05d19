// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CopyAddress implements [Kernel]. The address is in use on the same network already, so duplicate address detection
// is off (nodad).
func (l *Linux) CopyAddress(from, to string, a netip.Prefix) error {
	source, err := l.find(from)
	if err != nil {
		return err
	}
	as, err := dump(func() ([]netlink.Addr, error) { return l.nl.AddrList(source, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses of %s: %w", from, err)
	}
	i := slices.IndexFunc(as, func(have netlink.Addr) bool { p, ok := prefix(have.IPNet); return ok && p == a })
	if i < 0 {
		return fmt.Errorf("address %s of %s: %w", a, from, ErrAbsent)
	}
	addr := as[i]
	addr.Flags &= unix.IFA_F_NOPREFIXROUTE
	addr.Label = "" // it begins with the name of the link
	if a.Addr().Is6() {
		addr.Flags |= unix.IFA_F_NODAD
	}
	return l.with(to, func(lk netlink.Link) error { return l.nl.AddrAdd(lk, &addr) })
}

// Routes implements [Kernel].
func (l *Linux) Routes(name string) ([]Route, error) {
	lk, err := l.find(name)
	if err != nil {
		return nil, err
	}
	list, err := l.routes(lk.Attrs().Index)
	if err != nil {
		return nil, err
	}
	var out []Route
	for _, r := range list {
		out = append(out, routeOf(r, name))
	}
	slices.SortFunc(out, compareRoutes)
	return out, nil
}

// MoveRoute implements [Kernel]. Next hops over other links stay.
func (l *Linux) MoveRoute(r Route, to string) error {
	from, err := l.find(r.Link)
	if err != nil {
		return err
	}
	target, err := l.find(to)
	if err != nil {
		return err
	}
	index := from.Attrs().Index
	list, err := l.routes(index)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(have netlink.Route) bool { return routeOf(have, r.Link) == r })
	if i < 0 {
		return fmt.Errorf("route %s: %w", r, ErrAbsent)
	}
	moved := list[i]
	moved.Flags &= unix.RTNH_F_ONLINK // the kernel refuses flags that are its own, such as "linkdown"
	if moved.LinkIndex == index {
		moved.LinkIndex = target.Attrs().Index
	}
	for _, hop := range moved.MultiPath {
		hop.Flags &= unix.RTNH_F_ONLINK
		if hop.LinkIndex == index {
			hop.LinkIndex = target.Attrs().Index
		}
	}
	return l.nl.RouteReplace(&moved)
}

// routes lists the routes with a next hop over a link. A route that comes from a router advertisement is left out: the
// kernel asks for another one when a link comes up.
func (l *Linux) routes(index int) (out []netlink.Route, err error) {
	allTables := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := dump(func() ([]netlink.Route, error) {
			return l.nl.RouteListFiltered(family, allTables, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range list {
			over := r.LinkIndex == index || slices.ContainsFunc(r.MultiPath, func(h *netlink.NexthopInfo) bool { return h.LinkIndex == index })
			if !over || r.Protocol == unix.RTPROT_KERNEL || r.Protocol == unix.RTPROT_RA {
				continue
			}
			if r.Dst == nil { // as some versions of the library report a default route
				r.Dst = ipNet(netip.PrefixFrom(unspecified(family), 0))
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func unspecified(family int) netip.Addr {
	if family == netlink.FAMILY_V4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func routeOf(r netlink.Route, link string) Route {
	out := Route{Link: link, Table: r.Table, Metric: r.Priority}
	out.Dst, _ = prefix(r.Dst)
	if gateway, ok := netip.AddrFromSlice(r.Gw); ok {
		out.Gateway = gateway.Unmap()
	}
	return out
}
