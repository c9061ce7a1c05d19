// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func linkLocal(p netip.Prefix) bool { return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() }

// usable is the opposite of [State.Unusable].
func usable(a netlink.Addr) bool {
	bad := unix.IFA_F_DADFAILED
	if !a.IP.IsLinkLocalUnicast() {
		bad |= unix.IFA_F_TENTATIVE
	}
	return a.Flags&bad == 0 && a.Flags&unix.IFA_F_PERMANENT != 0
}

// local6 are the IPv6 addresses for which the kernel delivers packets from the link.
func (l *Linux) local6(index int) (out []netip.Addr, err error) {
	list, err := dump(func() ([]netlink.Route, error) {
		table := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL, LinkIndex: index}
		return l.nl.RouteListFiltered(netlink.FAMILY_V6, table, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_OIF)
	})
	for _, r := range list {
		if p, ok := prefix(r.Dst); ok {
			out = append(out, p.Addr())
		}
	}
	return out, err
}

// SetAddress implements [Kernel]. Duplicate address detection is off (nodad):
// the controller gives each address once, and a route may not use a source
// address that is still being probed.
func (l *Linux) SetAddress(name string, a netip.Prefix) error {
	return l.with(name, func(lk netlink.Link) error {
		if a.Addr().Is4() {
			return l.nl.AddrReplace(lk, &netlink.Addr{IPNet: ipNet(a)})
		}
		have, err := dump(func() ([]netlink.Addr, error) { return l.nl.AddrList(lk, netlink.FAMILY_V6) })
		if err != nil {
			return fmt.Errorf("list addresses: %w", err)
		}
		for _, old := range have {
			// Nothing but the removal ends a detection, or makes the local route again.
			if p, ok := prefix(old.IPNet); ok && p == a {
				if err := l.nl.AddrDel(lk, &old); err != nil {
					return fmt.Errorf("remove address: %w", err)
				}
			}
		}
		return l.add6(lk, a)
	})
}

// completion is how long the kernel may take to complete an IPv6 address.
const completion = time.Second

// add6 adds an IPv6 address and returns when the kernel has reported it, which it does after it has made the local
// route, some time after it has accepted the address (addrconf_dad_work in net/ipv6/addrconf.c).
func (l *Linux) add6(lk netlink.Link, a netip.Prefix) error {
	reports, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	defer reports.Close()
	if err := reports.SetReceiveTimeout(&unix.Timeval{Sec: int64(completion / time.Second)}); err != nil {
		return fmt.Errorf("set receive timeout: %w", err)
	}
	err = l.nl.AddrAdd(lk, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD})
	if errors.Is(err, unix.EEXIST) {
		// The kernel has just made the link-local one itself, or the address has another prefix length: the caller
		// sees.
		return nil
	}
	if err != nil {
		return err
	}
	for {
		messages, _, err := reports.Receive()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil // nothing in time, or too much: the next comparison sees what is missing
		}
		for _, m := range messages {
			if m.Header.Type == unix.RTM_NEWADDR && bytes.Contains(m.Data, a.Addr().AsSlice()) {
				return nil
			}
		}
	}
}
