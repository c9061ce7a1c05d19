// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
)

// Check compares the NIC with the request and returns every difference, joined; nil if there is none.
func (p *Plumber) Check(ctx context.Context, req Request) error {
	unlock, err := p.locks.lock(ctx, req.key())
	if err != nil {
		return fmt.Errorf("wait for another operation on %s: %w", req.Attachment, err)
	}
	defer unlock()
	a, err := p.newAdd(req)
	if err != nil {
		return err
	}
	defer a.close()
	return errors.Join(a.checkLinks(), p.checkPort(req, a.name))
}

func (a *add) checkLinks() error {
	if err := a.find(a.name); err != nil {
		return err
	}
	var errs []error
	mtu := a.p.mtu(a.req.Network)
	for _, link := range []netlink.Link{a.hostLink, a.podLink} {
		attrs := link.Attrs()
		if attrs.Flags&net.FlagUp == 0 {
			errs = append(errs, fmt.Errorf("link %q: is down", attrs.Name))
		}
		if attrs.MTU != mtu {
			errs = append(errs, fmt.Errorf("link %q: mtu is %d, want %d", attrs.Name, attrs.MTU, mtu))
		}
	}
	if !arePeers(a.hostLink, a.podLink) {
		errs = append(errs, fmt.Errorf("link %q: is not the peer of %q", a.podLink.Attrs().Name, a.hostLink.Attrs().Name))
	}
	if got := a.podLink.Attrs().HardwareAddr; !bytes.Equal(got, a.req.Network.MAC) {
		errs = append(errs, fmt.Errorf("link %q: MAC address is %s, want %s", a.podLink.Attrs().Name, got, a.req.Network.MAC))
	}
	return errors.Join(append(errs, a.checkAddresses(), a.checkRoutes())...)
}

func (a *add) checkAddresses() error {
	have, err := a.pod.handle.AddrList(a.podLink, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	var errs []error
	for _, want := range a.req.Network.Addresses {
		if !slices.ContainsFunc(have, func(h netlink.Addr) bool { return toPrefix(h.IPNet) == want }) {
			errs = append(errs, fmt.Errorf("link %q: address %s is missing", a.req.IfName, want))
		}
	}
	return errors.Join(errs...)
}

func (a *add) checkRoutes() error {
	have, err := a.pod.handle.RouteList(a.podLink, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for _, want := range routes(a.req) {
		if !slices.ContainsFunc(have, func(h netlink.Route) bool { return isRoute(h, want) }) {
			errs = append(errs, fmt.Errorf("link %q: route %s via %s is missing", a.req.IfName, want.Dst, want.Gateway))
		}
	}
	return errors.Join(errs...)
}

func (p *Plumber) checkPort(req Request, name string) error {
	ports, err := p.cfg.Switch.Ports()
	if err != nil {
		return fmt.Errorf("list OVS ports: %w", err)
	}
	want := p.port(req, name)
	i := slices.IndexFunc(ports, func(port ovs.Port) bool { return port.Name == want.Name })
	if i < 0 {
		return fmt.Errorf("OVS port %q: is missing on bridge %q", want.Name, want.Bridge)
	}
	var errs []error
	if ports[i].Bridge != want.Bridge {
		errs = append(errs, fmt.Errorf("OVS port %q: is on bridge %q, want %q", want.Name, ports[i].Bridge, want.Bridge))
	}
	for _, key := range []string{ovs.KeyIfaceID, ovs.KeyIfaceIDVer, keyContainerID, keyIfName} {
		if got := ports[i].ExternalIDs[key]; got != want.ExternalIDs[key] {
			errs = append(errs, fmt.Errorf("OVS port %q: external_ids:%s is %q, want %q", want.Name, key, got, want.ExternalIDs[key]))
		}
	}
	return errors.Join(errs...)
}
