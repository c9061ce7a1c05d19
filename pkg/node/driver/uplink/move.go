// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/step"
)

// move is one move of addresses and routes between an uplink and the internal port of its bridge. Each of its steps
// does nothing if there is nothing left to do.
type move struct {
	d        Driver
	bridge   ovs.Bridge
	from, to string
	changes  []string
}

// run does the steps. What was undone is not among the changes of the result.
func (m *move) run(ctx context.Context, steps []step.Step, r *link.Result) error {
	if err := step.Run(ctx, steps); err != nil {
		return err
	}
	r.Changes = m.changes
	return nil
}

func (m *move) did(format string, args ...any) {
	m.changes = append(m.changes, fmt.Sprintf(format, args...))
}

// configure gives the internal port of the bridge the settings of the uplink; it needs no undo. OVS keeps the MTU of an
// internal port at the least of the bridge's other ports (ovs-vswitchd.conf.db(5), mtu_request).
func (m *move) configure(context.Context) (step.Undo, error) {
	have, err := m.d.Links.Link(m.bridge.Name)
	if err != nil {
		return nil, err
	}
	if m.bridge.DatapathType == ovs.UserspaceDatapath && have.TxChecksum {
		if err := m.d.Links.SetTxChecksum(m.bridge.Name, false); err != nil {
			return nil, fmt.Errorf("turn off transmit checksum offload: %w", err)
		}
		m.did("%s: transmit checksum offload off", m.bridge.Name)
	}
	if m.bridge.Uplink != "" {
		if err := m.acceptRouters(); err != nil {
			return nil, err
		}
	}
	return m.setUp(m.bridge.Name, have)
}

// acceptRouters lets the bridge take router advertisements as the uplink does, if the kernel has IPv6.
func (m *move) acceptRouters() error {
	path := func(name string) string { return "net/ipv6/conf/" + name + "/accept_ra" }
	want, err := m.d.Links.Sysctl(path(m.bridge.Uplink))
	if err != nil {
		return unlessAbsent(err)
	}
	have, err := m.d.Links.Sysctl(path(m.bridge.Name))
	if err != nil || have == want {
		return err
	}
	m.did("%s = %s", path(m.bridge.Name), want)
	return m.d.Links.SetSysctl(path(m.bridge.Name), want)
}

func (m *move) up(context.Context) (step.Undo, error) {
	have, err := m.d.Links.Link(m.bridge.Uplink)
	if err != nil {
		return nil, err
	}
	return m.setUp(m.bridge.Uplink, have)
}

func (m *move) setUp(name string, have link.State) (step.Undo, error) {
	if have.Up {
		return nil, nil
	}
	m.did("%s: up", name)
	return nil, m.d.Links.SetUp(name)
}

func (m *move) copyAddresses(context.Context) (step.Undo, error) {
	from, err1 := m.d.Links.Link(m.from)
	to, err2 := m.d.Links.Link(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var copied []netip.Prefix
	undo := func(context.Context) (err error) {
		for _, a := range slices.Backward(copied) {
			if e := m.d.Links.DeleteAddress(m.to, a); e != nil {
				err = errors.Join(err, fmt.Errorf("remove %s from %s: %w", a, m.to, e))
			}
		}
		return err
	}
	for _, a := range from.Addresses {
		if slices.Contains(to.Addresses, a) {
			continue
		}
		if err := m.d.Links.CopyAddress(m.from, m.to, a); err != nil {
			return undo, fmt.Errorf("add %s: %w", a, err)
		}
		copied = append(copied, a)
		m.did("%s: add %s", m.to, a)
	}
	return undo, nil
}

// removeAddresses removes addresses that the other link has. The last ones go first: with the first address of a
// network the kernel may remove all others of it.
func (m *move) removeAddresses(context.Context) (step.Undo, error) {
	from, err1 := m.d.Links.Link(m.from)
	to, err2 := m.d.Links.Link(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var removed []netip.Prefix
	undo := func(context.Context) (err error) {
		for _, a := range slices.Backward(removed) {
			err = errors.Join(err, m.d.Links.CopyAddress(m.to, m.from, a))
		}
		return err
	}
	for _, a := range slices.Backward(from.Addresses) {
		if !slices.Contains(to.Addresses, a) {
			return undo, fmt.Errorf("%s has appeared on %s meanwhile", a, m.from)
		}
		if err := m.d.Links.DeleteAddress(m.from, a); err != nil {
			return undo, fmt.Errorf("remove %s: %w", a, err)
		}
		removed = append(removed, a)
		m.did("%s: remove %s", m.from, a)
	}
	return undo, nil
}

func (m *move) moveRoutes(context.Context) (step.Undo, error) {
	routes, err := m.d.Links.Routes(m.from)
	if err != nil {
		return nil, err
	}
	var moved []link.Route
	undo := func(context.Context) (err error) {
		for _, r := range moved {
			from := r.Link
			r.Link = m.to
			err = errors.Join(err, m.d.Links.MoveRoute(r, from))
		}
		return err
	}
	for _, r := range routes {
		if err := m.d.Links.MoveRoute(r, m.to); err != nil {
			return undo, fmt.Errorf("route %s: %w", r, err)
		}
		moved = append(moved, r)
		m.did("route %s: dev %s", r, m.to)
	}
	return undo, nil
}

// isPort reports whether the uplink is a port of the bridge.
func (m *move) isPort() (bool, error) {
	ports, err := m.d.Switch.Ports()
	if err != nil {
		return false, fmt.Errorf("list OVS ports: %w", err)
	}
	return slices.ContainsFunc(ports, func(p ovs.Port) bool { return p.Name == m.bridge.Uplink && p.Bridge == m.bridge.Name }), nil
}

func (m *move) addPort(ctx context.Context) (step.Undo, error) {
	is, err := m.isPort()
	if err != nil || is {
		return nil, err
	}
	m.did("%s: port %s added", m.bridge.Name, m.bridge.Uplink)
	return m.deletePort, m.ensurePort(ctx)
}

func (m *move) removePort(ctx context.Context) (step.Undo, error) {
	is, err := m.isPort()
	if err != nil || !is {
		return nil, err
	}
	m.did("%s: port %s removed", m.bridge.Name, m.bridge.Uplink)
	return m.ensurePort, m.deletePort(ctx)
}

func (m *move) ensurePort(ctx context.Context) error {
	return m.d.Switch.EnsurePort(ctx, ovs.Port{Bridge: m.bridge.Name, Name: m.bridge.Uplink})
}

func (m *move) deletePort(ctx context.Context) error {
	return m.d.Switch.DeletePort(ctx, m.bridge.Name, m.bridge.Uplink)
}

func (m *move) dropIngress(context.Context) (step.Undo, error) {
	return m.switchIngress(true)
}

func (m *move) releaseIngress(context.Context) (step.Undo, error) {
	return m.switchIngress(false)
}

func (m *move) switchIngress(drop bool) (step.Undo, error) {
	devices, err := m.d.Ingress.Devices()
	if err != nil || slices.Contains(devices, m.bridge.Uplink) == drop {
		return nil, err
	}
	change, back := m.d.Ingress.DropIngress, m.d.Ingress.Release
	if !drop {
		change, back = back, change
	}
	m.did("%s: host's stack sees frames: %t", m.bridge.Uplink, !drop)
	return func(context.Context) error { return back(m.bridge.Uplink) }, change(m.bridge.Uplink)
}
