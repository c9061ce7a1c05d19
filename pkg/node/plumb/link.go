// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/step"
	"github.com/wovensdn/woven/pkg/podnet"
)

// addrGenNone is IN6_ADDR_GEN_MODE_NONE: the link gets no link-local address.
const addrGenNone = 1

// veth makes the pair with the pod's end directly in the pod's namespace and under its final name, so that there is
// no moment at which half a pair lies in the node's namespace under a temporary name.
func (a *add) veth(context.Context) (step.Undo, error) {
	name := a.name
	if err := a.reuse(name); err != nil || a.hostLink != nil {
		return nil, err
	}
	if _, err := a.pod.handle.LinkByName(a.req.IfName); err == nil {
		return nil, fmt.Errorf("interface %q exists already in %q and is not the peer of %q", a.req.IfName, a.req.NetNS, name)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, a.p.mtu(a.req.Network)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr = a.req.IfName, a.req.Network.MAC
	veth.PeerNamespace, veth.PeerMTU = netlink.NsFd(a.pod.ns.Fd()), uint32(attrs.MTU) //nolint:gosec // an MTU fits
	if err := a.host.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("add link %q with peer %q in %q: %w", name, a.req.IfName, a.req.NetNS, err)
	}
	back := func(context.Context) error { return deleteLink(a.host, name, a.req.Attachment) }
	return back, a.find(name)
}

// find reads both ends.
func (a *add) find(name string) (err error) {
	if a.hostLink, err = a.host.LinkByName(name); err != nil {
		return fmt.Errorf("find link %q: %w", name, err)
	}
	if a.podLink, err = a.pod.handle.LinkByName(a.req.IfName); err != nil {
		return fmt.Errorf("find link %q in %q: %w", a.req.IfName, a.req.NetNS, err)
	}
	return nil
}

// reuse takes the pair of an earlier ADD of the same attachment if it is whole, and else removes what is left of it.
func (a *add) reuse(name string) error {
	host, err := a.host.LinkByName(name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %q: %w", name, err)
	}
	if !ours(host, a.req.Attachment) {
		return fmt.Errorf("link %q exists already and is not Woven's for %s (type %s, alias %q)", name, a.req.Attachment, host.Type(), host.Attrs().Alias)
	}
	pod, err := a.pod.handle.LinkByName(a.req.IfName)
	if err == nil && arePeers(host, pod) {
		a.hostLink, a.podLink = host, pod
		return nil
	}
	return deleteLink(a.host, name, a.req.Attachment)
}

// ours reports whether the node's end belongs to the attachment: a veth whose alias names it, or that has no alias yet
// because ADD was killed between two steps; its name is derived from the whole container id.
func ours(link netlink.Link, a Attachment) bool {
	whose, marked := attachmentOf(link.Attrs().Alias)
	return link.Type() == "veth" && (marked && whose == a || link.Attrs().Alias == "")
}

func arePeers(host, pod netlink.Link) bool {
	return host.Type() == "veth" && pod.Type() == "veth" &&
		host.Attrs().ParentIndex == pod.Attrs().Index && pod.Attrs().ParentIndex == host.Attrs().Index
}

// hostEnd configures the node's end. It carries no address, so it gets no link-local one either: the kernel would
// otherwise send router solicitations and multicast reports of the node into the pod's network.
func (a *add) hostEnd(context.Context) (step.Undo, error) {
	mtu := a.p.mtu(a.req.Network)
	if err := a.host.LinkSetAlias(a.hostLink, alias(a.req.Attachment, a.req.Network.Namespace, a.req.Network.Name)); err != nil {
		return nil, fmt.Errorf("set alias: %w", err)
	}
	err := a.host.LinkSetIP6AddrGenMode(a.hostLink, addrGenNone)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("set addr_gen_mode: %w", err)
	}
	if a.hostLink.Attrs().MTU != mtu {
		if err := a.host.LinkSetMTU(a.hostLink, mtu); err != nil {
			return nil, fmt.Errorf("set mtu %d: %w", mtu, err)
		}
	}
	if err := a.host.LinkSetUp(a.hostLink); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	return nil, nil
}

// podEnd needs no undo: the link goes.
func (a *add) podEnd(context.Context) (step.Undo, error) {
	h, link, mtu := a.pod.handle, a.podLink, a.p.mtu(a.req.Network)
	if link.Attrs().MTU != mtu {
		if err := h.LinkSetMTU(link, mtu); err != nil {
			return nil, fmt.Errorf("set mtu %d: %w", mtu, err)
		}
	}
	if !bytes.Equal(link.Attrs().HardwareAddr, a.req.Network.MAC) {
		if err := h.LinkSetHardwareAddr(link, a.req.Network.MAC); err != nil {
			return nil, fmt.Errorf("set MAC address %s: %w", a.req.Network.MAC, err)
		}
	}
	if err := syncAddresses(h, link, a.req.Network.Addresses); err != nil {
		return nil, err
	}
	if err := h.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	return nil, syncRoutes(h, link, a.req.Network, routes(a.req))
}

// syncAddresses leaves exactly the wanted addresses on the link, link-local ones aside.
func syncAddresses(h *netlink.Handle, link netlink.Link, want []netip.Prefix) error {
	have, err := h.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, old := range have {
		if old.IP.IsLinkLocalUnicast() || slices.Contains(want, toPrefix(old.IPNet)) {
			continue
		}
		if err := h.AddrDel(link, &old); err != nil {
			return fmt.Errorf("delete address %s: %w", old.IPNet, err)
		}
	}
	for _, w := range want {
		addr := &netlink.Addr{IPNet: toIPNet(w)}
		if w.Addr().Is6() {
			// OVN hands out addresses: there is no duplicate to detect, and a tentative address cannot be used yet.
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.AddrReplace(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", w, err)
		}
	}
	return nil
}

// syncRoutes leaves exactly the wanted routes on the link, those of the kernel and of router advertisements aside.
func syncRoutes(h *netlink.Handle, link netlink.Link, n podnet.Network, want []podnet.Route) error {
	have, err := h.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, old := range have {
		if old.Protocol == unix.RTPROT_KERNEL || old.Protocol == unix.RTPROT_RA ||
			slices.ContainsFunc(want, func(r podnet.Route) bool { return isRoute(old, r) }) {
			continue
		}
		if err := h.RouteDel(&old); err != nil {
			return fmt.Errorf("delete route %s: %w", old, err)
		}
	}
	for _, w := range want {
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Dst: toIPNet(w.Dst), Gw: w.Gateway.AsSlice(),
			Protocol: hostplan.RouteProtocol, Flags: reach(n, w.Gateway),
		}
		if err := h.RouteReplace(route); err != nil {
			return fmt.Errorf("add route %s via %s: %w", w.Dst, w.Gateway, err)
		}
	}
	return nil
}

// reach are the flags of a route: a gateway outside of the NIC's networks is on the link nevertheless.
func reach(n podnet.Network, gateway netip.Addr) int {
	if slices.ContainsFunc(n.Addresses, func(a netip.Prefix) bool { return a.Contains(gateway) }) {
		return 0
	}
	return int(netlink.FLAG_ONLINK)
}

func isRoute(have netlink.Route, want podnet.Route) bool {
	gw, ok := netip.AddrFromSlice(have.Gw)
	if !ok || gw.Unmap() != want.Gateway {
		return false
	}
	if have.Dst == nil {
		return want.Dst == anyOf(want.Gateway)
	}
	return toPrefix(have.Dst) == want.Dst
}

// deleteLink removes the node's end and with it the pod's; it is no error if there is none, or another attachment's.
func deleteLink(h *netlink.Handle, name string, a Attachment) error {
	link, err := h.LinkByName(name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %q: %w", name, err)
	}
	if whose, marked := attachmentOf(link.Attrs().Alias); marked && whose != a {
		return nil
	}
	if !ours(link, a) {
		return fmt.Errorf("delete link %q: it is not Woven's for %s (type %s, alias %q)", name, a, link.Type(), link.Attrs().Alias)
	}
	if err := h.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete link %q: %w", name, err)
	}
	return nil
}

func isNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound)
}

// anyOf is the default destination of the family of addr.
func anyOf(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// toPrefix is the zero Prefix for nil.
func toPrefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones)
}
