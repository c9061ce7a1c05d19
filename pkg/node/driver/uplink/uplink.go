// SPDX-License-Identifier: Apache-2.0

// Package uplink makes links of the host ports of OVS bridges (uplinks), and takes them out again. While a link is a
// port, the internal port of the bridge has the link's MAC, addresses and routes, so that the host keeps its
// connections.
//
// Each change is made before what it replaces is removed, and OVS and the kernel show how far a move has come: the
// bridge records its uplink, and addresses and routes are on one of two links or on both. So the next call continues a
// move that was interrupted, be it by an error or by the end of the process. [Driver.Resume] does so without a plan: a
// host that was cut off in the middle of a move cannot get one from the API server.
//
// With the userspace datapath the internal port is a tap device of ovs-vswitchd: when that process ends, the kernel
// removes the device with its addresses and routes, and they have to be configured on the uplink again.
package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/step"
)

// Switch is what the driver needs of Open vSwitch; see [ovs.Driver].
type Switch interface {
	EnsureBridge(ctx context.Context, b ovs.Bridge) error
	DeleteBridge(ctx context.Context, name string) error
	Bridges() ([]ovs.Bridge, error)
	EnsurePort(ctx context.Context, p ovs.Port) error
	DeletePort(ctx context.Context, bridge, name string) error
	Ports() ([]ovs.Port, error)
}

// Ingress keeps the host's network stack from seeing what arrives at a device. The userspace datapath needs that: it
// reads copies of the frames. Each method is idempotent.
type Ingress interface {
	DropIngress(device string) error
	Release(device string) error
	// Devices are those whose ingress is dropped.
	Devices() ([]string, error)
}

// Driver changes one host.
type Driver struct {
	Switch  Switch
	Links   link.Kernel
	Ingress Ingress
}

// Apply makes the bridges of ours those that are wanted, each with its uplink. Links that are
// not ready yet are named in the result. A failed bridge does not stop the others; the errors are joined.
func (d Driver) Apply(ctx context.Context, want []hostplan.Bridge) (link.Result, error) {
	var r link.Result
	have, err := d.Switch.Bridges()
	if err != nil {
		return r, fmt.Errorf("list OVS bridges: %w", err)
	}
	var errs []error
	failed := map[string]bool{}
	for _, b := range have {
		i := slices.IndexFunc(want, func(w hostplan.Bridge) bool { return w.Name == b.Name })
		if i >= 0 && want[i].Uplink == b.Uplink {
			continue
		}
		err := d.detach(ctx, b, &r)
		if err == nil && i < 0 {
			if err = d.Switch.DeleteBridge(ctx, b.Name); err == nil {
				r.Changes = append(r.Changes, "bridge "+b.Name+": deleted")
			}
		}
		if err != nil {
			failed[b.Name] = true // its record of the uplink is still needed
			errs = append(errs, fmt.Errorf("bridge %s, uplink %s: %w", b.Name, b.Uplink, err))
		}
	}
	for _, w := range want {
		if failed[w.Name] {
			continue
		}
		if err := d.ensure(ctx, w, have, &r); err != nil {
			errs = append(errs, fmt.Errorf("bridge %s, uplink %s: %w", w.Name, w.Uplink, err))
		}
	}
	return r, errors.Join(errs...)
}

// Resume finishes what an earlier process may have left half done: it moves each uplink that is on record into its
// bridge.
func (d Driver) Resume(ctx context.Context) (link.Result, error) {
	have, err := d.Switch.Bridges()
	if err != nil {
		return link.Result{}, fmt.Errorf("list OVS bridges: %w", err)
	}
	var want []hostplan.Bridge
	for _, b := range have {
		want = append(want, hostplan.Bridge{
			Name: b.Name, Uplink: b.Uplink, Mapping: b.Network, Userspace: b.DatapathType == ovs.UserspaceDatapath,
		})
	}
	return d.Apply(ctx, want)
}

// ensure makes one bridge and moves its uplink in.
func (d Driver) ensure(ctx context.Context, w hostplan.Bridge, have []ovs.Bridge, r *link.Result) error {
	b := ovs.Bridge{Name: w.Name, Uplink: w.Uplink, Network: w.Mapping}
	if w.Userspace {
		b.DatapathType = ovs.UserspaceDatapath
	}
	if b.Uplink != "" {
		uplink, err := d.Links.Link(b.Uplink)
		if errors.Is(err, link.ErrAbsent) {
			r.Absent = append(r.Absent, b.Uplink)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read link %s: %w", b.Uplink, err)
		}
		b.MAC = uplink.MAC
	}
	if err := d.Switch.EnsureBridge(ctx, b); err != nil {
		return err
	}
	if !slices.Contains(have, b) {
		r.Changes = append(r.Changes, fmt.Sprintf("bridge %s: uplink %q, network %q", b.Name, b.Uplink, b.Network))
	}
	if ready, err := d.ready(b); err != nil || !ready {
		r.Absent = append(r.Absent, b.Name)
		return err
	}
	return d.attach(ctx, b, r)
}

// ready reports whether the bridge's link can take addresses. ovs-vswitchd makes the link, sets its MAC, for which it
// takes a tap device down (the kernel then removes IPv6 addresses and routes), and records that it has done so in the
// database. Without that record the link may be the one of a former bridge that is about to go.
func (d Driver) ready(b ovs.Bridge) (bool, error) {
	ports, err := d.Switch.Ports()
	if err != nil {
		return false, fmt.Errorf("list OVS ports: %w", err)
	}
	if !slices.ContainsFunc(ports, func(p ovs.Port) bool { return p.Name == b.Name && p.OFPort > 0 }) {
		return false, nil
	}
	have, err := d.Links.Link(b.Name)
	if errors.Is(err, link.ErrAbsent) {
		return false, nil
	}
	return b.MAC == "" || have.MAC == b.MAC, err
}

// attach moves the uplink into the bridge. The port is made before the routes move: with the kernel's datapath frames
// then arrive at the bridge, which has the addresses, while those that leave over the uplink still do.
func (d Driver) attach(ctx context.Context, b ovs.Bridge, r *link.Result) error {
	m := move{d: d, bridge: b, from: b.Uplink, to: b.Name, changes: r.Changes}
	steps := []step.Step{{Name: "configure link " + b.Name, Do: m.configure}}
	if b.Uplink != "" {
		steps = append(steps,
			step.Step{Name: "set link " + b.Uplink + " up", Do: m.up},
			step.Step{Name: "copy addresses to " + m.to, Do: m.copyAddresses},
			step.Step{Name: "make " + b.Uplink + " a port", Do: m.addPort},
			step.Step{Name: "move routes to " + m.to, Do: m.moveRoutes},
			step.Step{Name: "remove addresses from " + m.from, Do: m.removeAddresses})
	}
	if b.Uplink != "" && b.DatapathType == ovs.UserspaceDatapath {
		steps = append(steps, step.Step{Name: "keep the host's stack off " + b.Uplink, Do: m.dropIngress})
	}
	return m.run(ctx, steps, r)
}

// detach takes the uplink out of the bridge. If one of the links is gone, so are its addresses, and there is nothing to
// move.
func (d Driver) detach(ctx context.Context, b ovs.Bridge, r *link.Result) error {
	if b.Uplink == "" {
		return nil
	}
	m := move{d: d, bridge: b, from: b.Name, to: b.Uplink, changes: r.Changes}
	var steps []step.Step
	_, err1 := d.Links.Link(b.Uplink)
	_, err2 := d.Links.Link(b.Name)
	if b.DatapathType == ovs.UserspaceDatapath {
		steps = append(steps, step.Step{Name: "let the host's stack see " + b.Uplink, Do: m.releaseIngress})
	}
	if err1 == nil && err2 == nil {
		steps = append(steps, step.Step{Name: "copy addresses to " + m.to, Do: m.copyAddresses})
	}
	steps = append(steps, step.Step{Name: "remove port " + b.Uplink, Do: m.removePort})
	if err1 == nil && err2 == nil {
		steps = append(steps,
			step.Step{Name: "move routes to " + m.to, Do: m.moveRoutes},
			step.Step{Name: "remove addresses from " + m.from, Do: m.removeAddresses})
	}
	if err := cmp.Or(unlessAbsent(err1), unlessAbsent(err2)); err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	return m.run(ctx, steps, r)
}

func unlessAbsent(err error) error {
	if errors.Is(err, link.ErrAbsent) {
		return nil
	}
	return err
}
