// SPDX-License-Identifier: Apache-2.0

// Package conntrack removes connections that the kernel or Open vSwitch would go on translating by a former NAT rule:
// rules are evaluated once for each connection.
package conntrack

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Flow is a connection: the source and the destination of its first packet, and the address that replies.
type Flow struct {
	Source         netip.Addr
	Asked, Answers netip.AddrPort
}

// Linux is the connection tracking of the kernel, in the network namespace of the calling thread.
type Linux struct{}

// ForgetUDP removes the connections of UDP that stale names, and returns how many.
// Connections of TCP and SCTP end by themselves when there is no reply.
func (Linux) ForgetUDP(stale func(Flow) bool) (int, error) {
	count := 0
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter(stale))
		count += int(n)
		if err != nil {
			return count, fmt.Errorf("forget connections of UDP: %w", err)
		}
	}
	return count, nil
}

type filter func(Flow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f filter) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	return c.Forward.Protocol == unix.IPPROTO_UDP && f(Flow{
		Source: addrPort(c.Forward.SrcIP, 0).Addr(),
		Asked:  addrPort(c.Forward.DstIP, c.Forward.DstPort), Answers: addrPort(c.Reverse.SrcIP, c.Reverse.SrcPort),
	})
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}
