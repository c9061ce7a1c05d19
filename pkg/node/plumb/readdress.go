// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Metrics of IPv6 routes: connectedMetric6 is that of the kernel's own for addresses, userMetric6 the one that others
// have by default (IP6_RT_PRIO_ADDRCONF and IP6_RT_PRIO_USER of net/ip6_route.h and uapi/linux/ipv6_route.h).
const connectedMetric6, userMetric6 = 256, 1024

// networkList is a text of the networks of addresses, for the port of a NIC.
func networkList(addresses []netip.Prefix) string {
	var out []string
	for _, a := range addresses {
		out = append(out, a.Masked().String())
	}
	return strings.Join(out, ",")
}

// addNetworks gives the pod's end the networks of the wanted addresses, beside the old ones: an IPv4 address may have
// several prefix lengths, and the network of an IPv6 address comes as a route.
func (a *add) addNetworks() error {
	have, err := a.pod.handle.AddrList(a.podLink, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, want := range a.req.Network.Addresses {
		if slices.ContainsFunc(have, func(h netlink.Addr) bool { return toPrefix(h.IPNet) == want }) {
			continue
		}
		if want.Addr().Is4() {
			err = a.pod.handle.AddrAdd(a.podLink, &netlink.Addr{IPNet: toIPNet(want)})
		} else {
			// Just what the kernel makes with the address; it takes this one then.
			err = a.pod.handle.RouteAppend(&netlink.Route{
				LinkIndex: a.podLink.Attrs().Index, Dst: toIPNet(want.Masked()), Scope: unix.RT_SCOPE_LINK, Protocol: unix.RTPROT_KERNEL, Priority: connectedMetric6,
			})
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add network of %s: %w", want, err)
		}
	}
	return nil
}

// dropNetworks removes the wanted addresses with other prefix lengths. Addresses of the pod's own stay.
func (a *add) dropNetworks() error {
	have, err := a.pod.handle.AddrList(a.podLink, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	rest := have
	for _, want := range a.req.Network.Addresses {
		isOld := func(h netlink.Addr) bool {
			p := toPrefix(h.IPNet)
			return p.Addr() == want.Addr() && p != want
		}
		old := slices.DeleteFunc(slices.Clone(have), func(h netlink.Addr) bool { return !isOld(h) })
		rest = slices.DeleteFunc(slices.Clone(rest), isOld)
		if want.Addr().Is6() {
			err = a.replace6(old, want)
		} else {
			err = a.deleteAddresses(old)
		}
		if err != nil {
			return err
		}
	}
	return a.restoreAddresses(rest)
}

// replace6 replaces an address: IPv6 has each with one prefix length only, and changes it in no other way. In between,
// a local route makes the pod take packets to the address. It stays, beside the one that the kernel makes for the new
// address, some time after the address (addrconf_dad_work in net/ipv6/addrconf.c).
func (a *add) replace6(old []netlink.Addr, want netip.Prefix) error {
	h := a.pod.handle
	have, err := h.AddrList(a.podLink, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	if slices.ContainsFunc(have, func(h netlink.Addr) bool { return toPrefix(h.IPNet) == want }) {
		return nil
	}
	local := &netlink.Route{
		LinkIndex: a.podLink.Attrs().Index, Dst: toIPNet(netip.PrefixFrom(want.Addr(), want.Addr().BitLen())),
		Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Protocol: hostplan.RouteProtocol,
		Priority: userMetric6, // the kernel's own route has 0
	}
	if err := h.RouteReplace(local); err != nil {
		return fmt.Errorf("add local route to %s: %w", want.Addr(), err)
	}
	if err := a.deleteAddresses(old); err != nil {
		return err
	}
	if err := h.AddrReplace(a.podLink, &netlink.Addr{IPNet: toIPNet(want), Flags: unix.IFA_F_NODAD}); err != nil {
		return fmt.Errorf("add address %s: %w", want, err)
	}
	return nil
}

func (a *add) deleteAddresses(list []netlink.Addr) error {
	for _, old := range list {
		if err := a.pod.handle.AddrDel(a.podLink, &old); err != nil {
			return fmt.Errorf("delete address %s: %w", old.IPNet, err)
		}
	}
	return nil
}

// restoreAddresses adds those that are not there any more: with the first IPv4 address of a network the kernel removes
// the others of that network, unless promote_secondaries is set (ip-sysctl).
func (a *add) restoreAddresses(list []netlink.Addr) error {
	now, err := a.pod.handle.AddrList(a.podLink, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, lost := range list {
		p := toPrefix(lost.IPNet)
		if p.Addr().Is6() || slices.ContainsFunc(now, func(h netlink.Addr) bool { return toPrefix(h.IPNet) == p }) {
			continue
		}
		if err := a.pod.handle.AddrAdd(a.podLink, &lost); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add address %s again: %w", p, err)
		}
	}
	return nil
}
