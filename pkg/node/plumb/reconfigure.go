// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/podnet"
)

// ErrBusy is returned by [Plumber.Reconfigure] while another operation works on the NIC.
var ErrBusy = errors.New("another operation is under way")

// NIC is what the OVS port of a running pod remembers of it.
type NIC struct {
	Attachment
	// Port is the name of the OVS port.
	Port string
	// Ref names the pod and its NIC.
	Ref podnet.Ref

	netNS, bridge, kind, ifaceID string
	// subnet and addresses are those that ADD gave the NIC; empty if an earlier version did not record them.
	subnet, addresses string
	// gateways are those that routes of ours may go through, networks is a [networkList] of the addresses; empty if not
	// known.
	gateways []netip.Addr
	networks string
	// mtu is in bytes; 0 if not known.
	mtu int
}

// NICOf reads what an OVS port remembers; ok is false for ports that are no pod's.
func NICOf(port ovs.Port) (n NIC, ok bool) {
	n.Attachment, ok = portAttachment(port)
	ids := port.ExternalIDs
	n.Port, n.bridge, n.kind, n.netNS = port.Name, port.Bridge, port.Type, ids[keyPodNetNS]
	n.Ref = podnet.Ref{Namespace: ids[keyPodNamespace], Name: ids[keyPodName], UID: ids[ovs.KeyIfaceIDVer], IfName: n.IfName}
	n.Ref.Provider, n.ifaceID = ids[keyPodProvider], ids[ovs.KeyIfaceID]
	n.subnet, n.addresses = ids[ovs.KeyLogicalSwitch], ids[ovs.KeyIP]
	n.networks = ids[keyCIDR]
	n.mtu, _ = strconv.Atoi(ids[keyMTU])
	for _, text := range strings.Split(ids[keyGateway], ",") {
		if a, err := netip.ParseAddr(text); err == nil {
			n.gateways = append(n.gateways, a)
		}
	}
	return n, ok
}

// Is reports whether the network is that of the NIC: tenants can write the annotations that it was read from.
func (n NIC) Is(network podnet.Network) bool {
	return (n.subnet == "" || n.subnet == network.LogicalSwitch) && (n.addresses == "" || n.addresses == model.AddrsText(network.Addrs()))
}

// Fits reports whether the NIC has the gateways, the prefix lengths and the MTU of the network, as far as its port
// remembers.
func (n NIC) Fits(want podnet.Network) bool {
	return slices.Equal(n.gateways, want.Gateways) && n.networks == networkList(want.Addresses) && (want.MTU == 0 || n.mtu == want.MTU)
}

// Reconfigure gives the NIC of a running pod the gateways, the prefix lengths and the MTU of the network, in place: at
// no moment is there no route. It changes only routes that Woven made and that go through a gateway which the NIC had,
// and the prefix lengths of the network's own addresses; all others stay. A sandbox that is not there any more is no
// error, since its DEL will come.
func (p *Plumber) Reconfigure(ctx context.Context, nic NIC, want podnet.Network) error {
	unlock, free := p.locks.try(nic.key())
	if !free {
		return fmt.Errorf("reconfigure %s: %w", nic.Attachment, ErrBusy)
	}
	defer unlock()
	nic, ok, err := p.current(nic)
	if err != nil || !ok || nic.Fits(want) {
		return err
	}
	if want.MTU == 0 {
		want.MTU = nic.mtu
	}
	var gone ns.NSPathNotExistErr
	a, err := p.newAdd(Request{Attachment: nic.Attachment, NetNS: nic.netNS, Network: want})
	if errors.As(err, &gone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reconfigure %s: %w", nic.Attachment, err)
	}
	defer a.close()
	// The old gateways are forgotten only when no route goes through them, so that who dies half way can go on.
	both := slices.Concat(nic.gateways, slices.DeleteFunc(slices.Clone(want.Gateways), func(g netip.Addr) bool { return slices.Contains(nic.gateways, g) }))
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"note the gateways", func() error { return p.remember(ctx, nic, both, nic.networks, nic.mtu) }},
		{"find the pair", func() error { return a.findPair(nic.Port) }},
		{"change MTU", func() error { return a.changeMTU(want.MTU) }},
		{"add networks", a.addNetworks},
		{"change routes", func() error { return a.moveRoutes(both) }},
		{"remove old networks", a.dropNetworks},
		{"note what was done", func() error {
			return p.remember(ctx, nic, want.Gateways, networkList(want.Addresses), want.MTU)
		}},
	} {
		if err := s.do(); err != nil {
			return fmt.Errorf("reconfigure %s: %s: %w", nic.Attachment, s.what, err)
		}
	}
	p.cfg.Log.Info("interface of a running pod changed", "pod", nic.Ref.Namespace+"/"+nic.Ref.Name, "interface", nic.IfName,
		"addresses", want.Addresses, "gateways", want.Gateways, "mtu", want.MTU)
	return nil
}

// current reads the NIC again; ok is false if its port is another sandbox's by now, or gone.
func (p *Plumber) current(nic NIC) (now NIC, ok bool, err error) {
	ports, err := p.cfg.Switch.Ports()
	if err != nil {
		return NIC{}, false, fmt.Errorf("list OVS ports: %w", err)
	}
	for _, port := range ports {
		if now, ok := NICOf(port); ok && now.Port == nic.Port && now.Attachment == nic.Attachment && now.Ref == nic.Ref {
			return now, true, nil
		}
	}
	return NIC{}, false, nil
}

// remember writes gateways, networks and MTU to the NIC's port.
func (p *Plumber) remember(ctx context.Context, nic NIC, gateways []netip.Addr, networks string, mtu int) error {
	return p.cfg.Switch.EnsurePort(ctx, ovs.Port{Bridge: nic.bridge, Name: nic.Port, Type: nic.kind, ExternalIDs: map[string]string{
		ovs.KeyIfaceID:    nic.ifaceID,
		ovs.KeyIfaceIDVer: nic.Ref.UID,
		keyGateway:        addressList(gateways),
		keyCIDR:           networks,
		keyMTU:            strconv.Itoa(mtu),
	}})
}

func addressList(as []netip.Addr) string {
	var out []string
	for _, a := range as {
		out = append(out, a.String())
	}
	return strings.Join(out, ",")
}

func (a *add) findPair(name string) error {
	if err := a.find(name); err != nil {
		return err
	}
	if !arePeers(a.hostLink, a.podLink) {
		return fmt.Errorf("link %q in %q is not the peer of %q", a.req.IfName, a.req.NetNS, name)
	}
	return nil
}

// changeMTU makes both ends take packets of the greater size before either sends them.
func (a *add) changeMTU(mtu int) error {
	ends := []struct {
		handle *netlink.Handle
		link   netlink.Link
	}{{a.host, a.hostLink}, {a.pod.handle, a.podLink}}
	if mtu < a.podLink.Attrs().MTU {
		slices.Reverse(ends)
	}
	for _, end := range ends {
		if mtu == 0 || end.link.Attrs().MTU == mtu {
			continue
		}
		if err := end.handle.LinkSetMTU(end.link, mtu); err != nil {
			return fmt.Errorf("link %q: set mtu %d: %w", end.link.Attrs().Name, mtu, err)
		}
	}
	return nil
}

// moveRoutes sends what goes through one of the old gateways, on a route of ours, through the new one of its family.
func (a *add) moveRoutes(old []netip.Addr) error {
	have, err := a.pod.handle.RouteList(a.podLink, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, route := range have {
		through, _ := netip.AddrFromSlice(route.Gw)
		through = through.Unmap()
		if route.Protocol != hostplan.RouteProtocol || !slices.Contains(old, through) {
			continue
		}
		gateway := a.req.Network.Gateway(through)
		if !gateway.IsValid() || gateway == through {
			continue
		}
		route.Gw = gateway.AsSlice()
		route.Flags = reach(a.req.Network, gateway)
		if err := a.pod.handle.RouteReplace(&route); err != nil {
			return fmt.Errorf("route %s: replace gateway %s by %s: %w", route.Dst, through, gateway, err)
		}
	}
	return nil
}
