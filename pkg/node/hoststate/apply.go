// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/driver/uplink"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// apply runs every driver, in the order in which the parts need each other. What fails does not stop what does not
// depend on it. missing are links that do not exist yet.
func (l *Reconciler) apply(ctx context.Context, plan hostplan.Plan) (missing []string, errs []error) {
	uplinks, err := l.uplinks().Apply(ctx, plan.Bridges)
	l.logChanges(uplinks.Changes)
	missing, errs = append(missing, uplinks.Absent...), append(errs, err)
	for _, p := range plan.Ports {
		errs = append(errs, l.ensurePort(ctx, p))
	}
	r, err := link.Apply(l.e.Links, plan.Sysctls, plan.Links)
	l.applied.Store(&r.Applied)
	l.logChanges(r.Changes)
	errs = append(errs, err)
	if plan.Routes != nil && !slices.Contains(r.Absent, hostplan.NodeLink) {
		changes, err := route.Apply(l.e.Routes, *plan.Routes)
		l.logChanges(changes)
		errs = append(errs, err)
	}
	if plan.PolicyRules != nil {
		changes, err := rule.Apply(l.e.Rules, *plan.PolicyRules)
		l.logChanges(changes)
		errs = append(errs, err)
	}
	errs = append(errs, l.applyTable(ctx, plan.Table), l.applyMirror(ctx, plan.Mirror))
	return append(missing, r.Absent...), errs
}

func (l *Reconciler) uplinks() uplink.Driver {
	return uplink.Driver{Switch: l.e.Switch, Links: l.e.Links, Ingress: l.e.Ingress}
}

// ResumeMoves finishes moves of addresses between a link and its bridge that an earlier process did not finish. Call it
// before anything that needs the network.
func (l *Reconciler) ResumeMoves(ctx context.Context) error {
	r, err := l.uplinks().Resume(ctx)
	l.logChanges(r.Changes)
	return err
}

func (l *Reconciler) logChanges(changes []string) {
	l.e.Metrics.Changed(len(changes))
	if len(changes) > 0 {
		l.e.Log.Info("host configuration changed", "changes", changes)
	}
}

func (l *Reconciler) ensurePort(ctx context.Context, p hostplan.Port) error {
	ids := map[string]string{}
	if p.IfaceID != "" {
		ids[ovs.KeyIfaceID] = p.IfaceID
	}
	err := l.e.Switch.EnsurePort(ctx, ovs.Port{
		Bridge: p.Bridge, Name: p.Name, Type: p.Type, MAC: p.MAC, MTU: p.MTU, ExternalIDs: ids,
	})
	if err != nil {
		return fmt.Errorf("ensure OVS port %s: %w", p.Name, err)
	}
	return nil
}

// applyTable reads the kernel's table only if the wanted one has changed or a change of the kernel's was reported:
// reading it starts the nft program.
func (l *Reconciler) applyTable(ctx context.Context, t hostplan.Table) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("compare NAT table: %w", err)
	}
	if !l.nftDirty.Swap(false) && string(text) == l.lastTable {
		return nil
	}
	did, err := l.e.Tables.Apply(ctx, t)
	if err != nil {
		l.nftDirty.Store(true)
		return fmt.Errorf("apply NAT rules: %w", err)
	}
	l.lastTable = string(text)
	l.counters.Store(&t.Counters)
	if did != "" {
		l.e.Metrics.Changed(1)
		l.e.Log.Info("NAT rules changed", "changes", did)
	}
	return nil
}

func (l *Reconciler) applyMirror(ctx context.Context, m *hostplan.Mirror) error {
	if m == nil {
		return l.removeMirror(ctx)
	}
	err := l.e.Switch.EnsureMirror(ctx, ovs.Mirror{
		Name: m.Name, Bridge: m.Bridge, OutputPort: m.Output, SelectPorts: m.Select,
	})
	if err != nil {
		return fmt.Errorf("ensure OVS mirror %s: %w", m.Name, err)
	}
	return nil
}

// removeMirror removes what an earlier run with the mirror left; rows of these names that are not ours stay.
func (l *Reconciler) removeMirror(ctx context.Context) error {
	for _, remove := range []func() error{
		func() error { return l.e.Switch.DeleteMirror(ctx, hostplan.IntegrationBridge, hostplan.MirrorName) },
		func() error { return l.e.Switch.DeletePort(ctx, hostplan.IntegrationBridge, l.cfg.MirrorLink) },
	} {
		if err := remove(); err != nil && !errors.Is(err, ovs.ErrNotOwned) {
			return fmt.Errorf("remove mirror: %w", err)
		}
	}
	return nil
}

// connect hands the gateways to the prober and returns what keeps the node from being connected.
func (l *Reconciler) connect(plan hostplan.Plan, linked bool) []string {
	if !linked {
		l.e.Gateways.Set(nil)
		return nil
	}
	var node hostplan.Link
	for _, lk := range plan.Links {
		if lk.Name == hostplan.NodeLink {
			node = lk
		}
	}
	l.e.Gateways.Set(hops(node.Addresses, plan.Gateways))
	if _, err := l.e.Gateways.State(); err != nil {
		return []string{"join gateway: " + err.Error()}
	}
	return nil
}

// hops pairs each gateway with our address of its family.
func hops(addresses []netip.Prefix, gateways []netip.Addr) (out []gatewayprobe.Hop) {
	for _, g := range gateways {
		for _, a := range addresses {
			if a.Addr().Is4() == g.Is4() {
				out = append(out, gatewayprobe.Hop{Source: a.Addr(), Gateway: g})
			}
		}
	}
	return out
}
