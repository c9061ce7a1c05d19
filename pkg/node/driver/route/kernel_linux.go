// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Linux is the real [Kernel], in the network namespace of the thread that made it.
type Linux struct{ nl *netlink.Handle }

// NewLinux opens the socket. Close it after use.
func NewLinux() (*Linux, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	return &Linux{nl: nl}, nil
}

// Close releases the socket.
func (l *Linux) Close() { l.nl.Close() }

// List implements [Kernel].
func (l *Linux) List() ([]hostplan.Route, error) {
	node := 0
	if lk, err := l.nl.LinkByName(hostplan.NodeLink); err == nil {
		node = lk.Attrs().Index
	} else if !errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("find link %s: %w", hostplan.NodeLink, err)
	}
	var out []hostplan.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rs, err := l.nl.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE) // of all tables
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			h := fromKernel(r, family == netlink.FAMILY_V4)
			switch {
			case r.LinkIndex == node && attached(r):
				h.Type, h.Link = attachedTypes[r.Type], hostplan.NodeLink
			case r.Protocol != hostplan.RouteProtocol:
				continue
			case h.Table == 0:
				if h.Link, err = l.name(r.LinkIndex); err != nil {
					return nil, fmt.Errorf("read link of route %s: %w", h.Dst, err)
				}
			}
			out = append(out, h)
		}
	}
	return out, nil
}

// attachedTypes are the types of routes that the kernel makes for an address, except those to networks as a whole
// (broadcast, anycast, multicast): nothing on the join network uses them. Local routes of IPv6 are left to package
// link.
var attachedTypes = map[int]hostplan.RouteType{unix.RTN_UNICAST: hostplan.Connected, unix.RTN_LOCAL: hostplan.Local}

// attached reports whether the route is one that the kernel makes for an address of the link.
func attached(r netlink.Route) bool {
	return r.Protocol == unix.RTPROT_KERNEL && len(r.Gw) == 0 && len(r.MultiPath) == 0 &&
		(r.Type == unix.RTN_UNICAST && r.Table == unix.RT_TABLE_MAIN ||
			r.Type == unix.RTN_LOCAL && r.Table == unix.RT_TABLE_LOCAL && r.Family == unix.AF_INET)
}

// fromKernel leaves out what it does not understand (several next hops, say), so that such a route differs from every
// wanted one. The link is left to the caller.
func fromKernel(r netlink.Route, is4 bool) hostplan.Route {
	h := hostplan.Route{Gateway: addr(r.Gw), Source: addr(r.Src)}
	if r.Type == unix.RTN_THROW {
		h.Type = hostplan.Throw
	}
	switch {
	case r.Dst != nil:
		ones, _ := r.Dst.Mask.Size()
		h.Dst = netip.PrefixFrom(addr(r.Dst.IP), ones)
	case is4:
		h.Dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	default:
		h.Dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if r.Table != unix.RT_TABLE_MAIN {
		h.Table = uint32(r.Table) //nolint:gosec // it is 32 bits wide in the kernel
	}
	return h
}

// name is the name of a link; empty if it has gone since, and its routes with it.
func (l *Linux) name(index int) (string, error) {
	lk, err := l.nl.LinkByIndex(index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return lk.Attrs().Name, nil
}

// Add implements [Kernel].
func (l *Linux) Add(r hostplan.Route) error {
	if r.Attached() {
		if err := l.with(r, l.nl.RouteAppend); !errors.Is(err, unix.EEXIST) { // the kernel may have made it meanwhile
			return err
		}
		return nil
	}
	err := l.with(r, l.nl.RouteAdd)
	if errors.Is(err, unix.EEXIST) {
		return ErrExists
	}
	return err
}

// Replace implements [Kernel].
func (l *Linux) Replace(r hostplan.Route) error { return l.with(r, l.nl.RouteReplace) }

// Delete implements [Kernel].
func (l *Linux) Delete(r hostplan.Route) error { return l.with(r, l.nl.RouteDel) }

func (l *Linux) with(r hostplan.Route, do func(*netlink.Route) error) error {
	k := &netlink.Route{
		Dst:      &net.IPNet{IP: r.Dst.Addr().AsSlice(), Mask: net.CIDRMask(r.Dst.Bits(), r.Dst.Addr().BitLen())},
		Gw:       r.Gateway.AsSlice(),
		Src:      r.Source.AsSlice(),
		Protocol: hostplan.RouteProtocol,
		Table:    unix.RT_TABLE_MAIN,
	}
	if r.Table != 0 {
		k.Table = int(r.Table)
	}
	switch r.Type {
	case hostplan.Throw:
		k.Type = unix.RTN_THROW
	case hostplan.Connected:
		k.Protocol, k.Scope, k.Priority = unix.RTPROT_KERNEL, unix.RT_SCOPE_LINK, connectedMetric(r)
	case hostplan.Local:
		k.Type, k.Protocol, k.Scope = unix.RTN_LOCAL, unix.RTPROT_KERNEL, unix.RT_SCOPE_HOST
	}
	if r.Link != "" {
		lk, err := l.nl.LinkByName(r.Link)
		if err != nil {
			return fmt.Errorf("find link %s: %w", r.Link, err)
		}
		k.LinkIndex = lk.Attrs().Index
	}
	return do(k)
}

// connectedMetric is the metric that the kernel gives a connected route: IP6_RT_PRIO_ADDRCONF of net/ip6_route.h, and
// for IPv4 none.
func connectedMetric(r hostplan.Route) int {
	if r.Dst.Addr().Is6() {
		return 256
	}
	return 0
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// Watch calls notify once it listens and after every change of a route, until ctx ends (then it
// returns nil) or the kernel's stream breaks (then it returns an error: changes
// may have been missed, and the caller watches again).
func Watch(ctx context.Context, notify func()) error {
	done := make(chan struct{})
	defer close(done)
	routes := make(chan netlink.RouteUpdate, 64)
	broken := make(chan error, 1)
	report := func(err error) {
		select {
		case broken <- err:
		default:
		}
	}
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: report}); err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
	}
	notify()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return fmt.Errorf("receive route changes: %w", err)
		case _, ok := <-routes:
			if !ok {
				return errors.New("receive route changes: stream ended")
			}
			notify()
		}
	}
}
