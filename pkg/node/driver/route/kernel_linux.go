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
	ours := &netlink.Route{Protocol: hostplan.RouteProtocol, Table: unix.RT_TABLE_UNSPEC} // of all tables
	var out []hostplan.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rs, err := l.nl.RouteListFiltered(family, ours, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			h, err := l.fromKernel(r, family == netlink.FAMILY_V4)
			if err != nil {
				return nil, err
			}
			out = append(out, h)
		}
	}
	return out, nil
}

// fromKernel leaves out what it does not understand (several next hops, say), so
// that such a route differs from every wanted one.
func (l *Linux) fromKernel(r netlink.Route, is4 bool) (hostplan.Route, error) {
	h := hostplan.Route{Gateway: addr(r.Gw), Source: addr(r.Src), Throw: r.Type == unix.RTN_THROW}
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
		return h, nil
	}
	lk, err := l.nl.LinkByIndex(r.LinkIndex)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return h, nil // gone since, and its route with it
	}
	if err != nil {
		return h, fmt.Errorf("read link of route %s: %w", h.Dst, err)
	}
	h.Link = lk.Attrs().Name
	return h, nil
}

// Add implements [Kernel].
func (l *Linux) Add(r hostplan.Route) error {
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
	if r.Throw {
		k.Type = unix.RTN_THROW
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
