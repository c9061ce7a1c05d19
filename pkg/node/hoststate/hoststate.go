// SPDX-License-Identifier: Apache-2.0

// Package hoststate keeps the state of one node in sync: its OVS ports, links, addresses, routes, routing rules, kernel
// settings and NAT rules. It compares what they must be (package hostplan) with what they are, and repairs the
// difference, whenever the cluster, the kernel or Open vSwitch reports a change.
package hoststate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/driver/uplink"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/node/runloop"
)

// Switch is what the reconciler needs of the OVS driver.
type Switch interface {
	uplink.Switch
	EnsureMirror(ctx context.Context, m ovs.Mirror) error
	DeleteMirror(ctx context.Context, bridge, name string) error
	DatapathType(bridge string) (string, error)
	SystemID() (string, error)
	Remote() (string, error)
}

// Links is the kernel's links; see package link.
type Links interface {
	link.Kernel
	// UnderlayMTU is the MTU in bytes of the link that carries an address of the node.
	UnderlayMTU(address netip.Addr) (int, error)
}

// Tables keeps the NAT rules; see package nft.
type Tables interface {
	Apply(ctx context.Context, want hostplan.Table) (string, error)
	// Counters reads the counters of a table, by name.
	Counters(ctx context.Context, table string) (map[string]nft.Count, error)
}

// Gateways probes the gateways of the join subnet; see [gatewayprobe.Prober].
type Gateways interface {
	Set(hops []gatewayprobe.Hop)
	// PollFast says whether to probe every second.
	PollFast(yes bool)
	// Wake asks for a probe soon.
	Wake()
	// State returns nil if all gateways answer; known is false as long as that is undecided.
	State() (known bool, err error)
}

// Heartbeat shows that this node works as a gateway; see [gatewayprobe.Heartbeat].
type Heartbeat interface {
	Set(candidate bool, uid types.UID)
}

// Config says what the node must be.
type Config struct {
	NodeName string
	// DefaultVpc is the Vpc whose subnets the hosts reach ("ovn-cluster").
	DefaultVpc string
	// APIServers are the addresses by which the node reaches the API server: nothing is made for a subnet that has one.
	APIServers []netip.Addr
	// APIServerClusterIP is the one of APIServers that may be a ClusterIP, reached through OVN; the zero Addr for none.
	APIServerClusterIP netip.Addr
	// APIServerPorts are the addresses of API servers with their ports.
	APIServerPorts []netip.AddrPort
	// MTU in bytes of ovn0 and of pods; 0 takes it from the tunnel's link.
	MTU int
	// Mirror copies the packets of this node's pods to MirrorLink.
	Mirror     bool
	MirrorLink string
	// Conf is the network configuration that the container runtime reads.
	Conf ConfFile
}

// Edges are everything that the reconciler talks to.
type Edges struct {
	// Cache has the objects of [projection.CacheByObject].
	Cache client.Reader
	// API writes the Node's annotation and condition.
	API    client.Client
	Switch Switch
	Links  Links
	// Ingress is used for uplinks of bridges of the userspace datapath.
	Ingress uplink.Ingress
	Routes  route.Kernel
	Rules   rule.Kernel
	Tables  Tables
	// Forwards are those of package services.
	Forwards Forwards
	// Addresses lists the node's addresses, as [net.InterfaceAddrs] does.
	Addresses func() ([]net.Addr, error)
	// Publish gets the inputs of each plan; nil for nobody.
	Publish func(hostplan.Inputs)
	// NICs changes running pods; see [plumb.Plumber].
	NICs      NICs
	Gateways  Gateways
	Heartbeat Heartbeat
	Clock     clock.WithTicker
	Log       logr.Logger
	// Events gets problems of the plan, as events about the Node.
	Events record.EventRecorder
	// Metrics counts passes and repairs; see [NewMetrics].
	Metrics *Metrics
}

// Reconciler keeps one node in sync with its plan. Make it with [New].
type Reconciler struct {
	cfg  Config
	e    Edges
	loop *runloop.Loop
	mtu  atomic.Int64

	serving atomic.Bool

	// counters are those of the NAT table that was applied last.
	counters atomic.Pointer[[]hostplan.Counter]

	// applied are the settings that were as wanted at the end of the last pass.
	applied atomic.Pointer[[]hostplan.Sysctl]

	// nftDirty is set when the NAT table may differ from what was last seen.
	nftDirty atomic.Bool

	mu      sync.Mutex
	pending []string // why the node is not ready; empty if it is

	// What follows belongs to the goroutine of Run alone.
	lastTable    string
	lastLogged   string
	lastProblems []string
}

// New returns a reconciler; [Reconciler.Run] starts it.
func New(cfg Config, e Edges) *Reconciler {
	l := &Reconciler{cfg: cfg, e: e, loop: runloop.New(e.Clock), pending: []string{"the first pass has not been made"}}
	l.nftDirty.Store(true)
	return l
}

// Kick asks for a pass soon. It never blocks.
func (l *Reconciler) Kick() { l.loop.Kick() }

// KickTables asks for a pass that reads the NAT table as well.
func (l *Reconciler) KickTables() {
	l.nftDirty.Store(true)
	l.Kick()
}

// KickLinks asks for a pass and, since a link may have come back, for a probe of the gateways.
func (l *Reconciler) KickLinks() {
	if known, err := l.e.Gateways.State(); known && err != nil {
		l.e.Gateways.Wake()
	}
	l.Kick()
}

// SetServing says whether CNI requests are served.
func (l *Reconciler) SetServing(yes bool) {
	if l.serving.Swap(yes) != yes {
		l.Kick()
	}
}

// Ready returns nil when ovn0 works, the gateway answers and CNI requests are
// served, else what is missing.
func (l *Reconciler) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	return errors.New(strings.Join(l.pending, "; "))
}

// MTU returns the node's MTU in bytes for pods whose subnet names none; 0 before the first pass.
func (l *Reconciler) MTU() int { return int(l.mtu.Load()) }

// Run makes a pass after every [Reconciler.Kick] until ctx ends. What goes wrong is logged and tried again.
func (l *Reconciler) Run(ctx context.Context) {
	l.loop.Run(ctx, func(ctx context.Context, resync bool) (time.Duration, error) {
		if resync {
			l.nftDirty.Store(true)
		}
		o, err := l.pass(ctx)
		if ctx.Err() == nil {
			l.e.Metrics.pass(err, l.Ready() == nil)
			l.report(o.waiting, err)
		}
		return o.after, err
	})
}

// report logs the result of a pass, unless it is that of the pass before.
func (l *Reconciler) report(waiting []string, err error) {
	text := strings.Join(waiting, "; ")
	if err != nil {
		text = strings.Join(append([]string{err.Error()}, waiting...), "; ")
	}
	if text == l.lastLogged {
		return
	}
	l.lastLogged = text
	switch {
	case err != nil:
		l.e.Log.Error(err, "node state is out of sync, retrying", "waiting", waiting)
	case len(waiting) > 0:
		l.e.Log.Info("node state is incomplete", "waiting", waiting)
	default:
		l.e.Log.Info("node state is in sync")
	}
}

// outcome is what a pass that did not fail leaves to be done.
type outcome struct {
	// waiting names what the node waits for; an event will report each.
	waiting []string
	// after is when to make another pass although there is no event; 0 for never.
	after time.Duration
}

// pass compares and repairs once.
func (l *Reconciler) pass(ctx context.Context) (o outcome, err error) {
	own, in, err := l.inputs(ctx)
	if err != nil {
		l.setPending([]string{err.Error()})
		return o, err
	}
	if own == nil {
		o.waiting = []string{fmt.Sprintf("Node object %s does not exist", l.cfg.NodeName)}
		l.setPending(o.waiting)
		return o, nil
	}
	if l.e.Publish != nil {
		guarded, _ := hostplan.Guard(in) // the plan has the problems
		l.e.Publish(guarded)
	}
	plan := hostplan.Make(in)
	waiting := slices.Clone(plan.Waiting)
	missing, errs := l.apply(ctx, plan)
	for _, name := range missing {
		waiting = append(waiting, "link "+name+" does not exist yet")
	}
	l.emitProblems(own, plan.Problems)
	for _, p := range plan.Problems {
		errs = append(errs, errors.New(p))
	}
	busy, failed := l.reconfigure(ctx)
	errs = append(errs, failed...)
	if busy {
		o.after = runloop.MinBackoff // no event reports the end of the other operation
	}
	// Problems of a subnet or of the mirror do not make pods on this node unreachable.
	blocking := slices.Clone(waiting)
	connected := plan.Routes != nil && len(missing) == 0
	blocking = append(blocking, l.connect(plan, connected)...)
	errs = append(errs, l.finish(ctx, own, &blocking))
	l.setPending(blocking)
	o.waiting = union(waiting, blocking)
	return o, errors.Join(errs...)
}

func (l *Reconciler) setPending(p []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = p
}

// inputs reads everything that a plan depends on; own is nil if the Node object does not exist.
func (l *Reconciler) inputs(ctx context.Context) (own *corev1.Node, in hostplan.Inputs, err error) {
	in = hostplan.Inputs{DefaultVpc: l.cfg.DefaultVpc}
	if l.cfg.Mirror {
		in.MirrorLink = l.cfg.MirrorLink
	}
	own = &corev1.Node{}
	if err := l.e.Cache.Get(ctx, types.NamespacedName{Name: l.cfg.NodeName}, own); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, in, nil
		}
		return nil, in, fmt.Errorf("read node %s: %w", l.cfg.NodeName, err)
	}
	self := projection.NodeOf(own, l.cfg.NodeName)
	if in.Node, err = projection.HostOf(&self); err != nil {
		return nil, in, err
	}
	if err := l.addInfrastructure(ctx, &self, &in); err != nil {
		return nil, in, err
	}
	var nodes corev1.NodeList
	if err := l.e.Cache.List(ctx, &nodes); err != nil {
		return nil, in, fmt.Errorf("list nodes: %w", err)
	}
	all := l.addNodes(&in, nodes.Items)
	var list v1.SubnetList
	if err := l.e.Cache.List(ctx, &list); err != nil {
		return nil, in, fmt.Errorf("list subnets: %w", err)
	}
	var subnets []projection.Subnet
	for i := range list.Items {
		subnets = append(subnets, projection.SubnetOf(&list.Items[i]))
	}
	candidate := gatewayprobe.Candidate(&self, subnets)
	l.e.Gateways.PollFast(candidate)
	l.e.Heartbeat.Set(candidate, own.UID)
	refused := projection.Refusals(subnets, all, in.Infrastructure)
	for _, s := range subnets {
		s.Plan.Invalid = cmp.Or(s.Plan.Invalid, refused[s.Name])
		in.Subnets = append(in.Subnets, s.Plan)
	}
	in.MTU = l.chooseMTU(in.Node)
	datapath, err := l.e.Switch.DatapathType(hostplan.IntegrationBridge)
	if err != nil {
		return nil, in, fmt.Errorf("read bridge %s: %w", hostplan.IntegrationBridge, err)
	}
	in.Userspace = datapath == ovs.UserspaceDatapath
	ports, err := l.e.Switch.Ports()
	if err != nil {
		return nil, in, fmt.Errorf("list OVS ports: %w", err)
	}
	in.PodPorts = projection.PodPorts(ports)
	in.Pods = projection.PodsOf(ports, in.Subnets, in.DefaultVpc)
	return own, in, nil
}

// addInfrastructure adds the networks of Services and the addresses that only the infrastructure may have.
func (l *Reconciler) addInfrastructure(ctx context.Context, own *model.Node, in *hostplan.Inputs) error {
	var services networkingv1.ServiceCIDRList
	if err := l.e.Cache.List(ctx, &services); err != nil {
		return fmt.Errorf("list ServiceCIDRs: %w", err)
	}
	var list discoveryv1.EndpointSliceList
	if err := l.e.Cache.List(ctx, &list, client.InNamespace(model.APIServerNamespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: model.APIServerService}); err != nil {
		return fmt.Errorf("list endpoints of the API server: %w", err)
	}
	var endpoints []*model.EndpointSlice
	for i := range list.Items {
		e := projection.SliceOf(&list.Items[i])
		endpoints = append(endpoints, &e)
	}
	cidrs := projection.ServiceCIDRs(services.Items)
	for _, s := range cidrs {
		in.Services = append(in.Services, s.CIDRs...)
	}
	remote, err := l.e.Switch.Remote()
	if err != nil {
		return fmt.Errorf("read the southbound database's address: %w", err)
	}
	config := model.InfrastructureConfig{APIServers: l.cfg.APIServers, Databases: model.DatabaseAddresses(remote)}
	in.Infrastructure = projection.InfrastructureOf(own, in.Node, config, cidrs, endpoints)
	outside := model.APIServersOf(nil, endpoints)
	for _, a := range l.cfg.APIServers {
		if inServices := slices.ContainsFunc(in.Services, func(p netip.Prefix) bool { return p.Contains(a) }); inServices && !slices.Contains(outside, a) {
			in.APIServerClusterIPs = append(in.APIServerClusterIPs, a)
		}
	}
	return nil
}

// addNodes adds the addresses of all nodes and returns their projections. The address of an API server on a node that
// may not have it is outside of the cluster.
func (l *Reconciler) addNodes(in *hostplan.Inputs, nodes []corev1.Node) (all []*model.Node) {
	in.Nodes = make(map[string][]netip.Addr, len(nodes))
	in.NodeNames = map[netip.Addr]string{}
	for i := range nodes {
		n := projection.NodeOf(&nodes[i], l.cfg.NodeName)
		all = append(all, &n)
		in.Nodes[n.Name] = n.InternalIPs
		for _, a := range n.InternalIPs {
			if !model.PretendsAPIServer(&n, a, in.Infrastructure.APIServers) {
				in.NodeAddresses = append(in.NodeAddresses, a)
			}
		}
		for _, a := range n.Addresses {
			in.NodeNames[a] = n.Name
		}
	}
	return all
}

// chooseMTU takes the MTU from the flag or from the link that carries the node's
// first address. While that link cannot be found the last value stays.
func (l *Reconciler) chooseMTU(n hostplan.Node) int {
	underlay, six := 0, false
	if l.cfg.MTU == 0 && len(n.InternalIPs) > 0 {
		a := n.InternalIPs[0]
		six = a.Is6()
		mtu, err := l.e.Links.UnderlayMTU(a)
		if err != nil && l.MTU() > 0 {
			return l.MTU()
		}
		underlay = mtu
	}
	mtu := hostplan.MTU(l.cfg.MTU, underlay, six)
	if old := l.mtu.Swap(int64(mtu)); old != int64(mtu) {
		l.e.Log.Info("MTU changed", "mtu", mtu, "configured", l.cfg.MTU, "underlay", underlay)
	}
	return mtu
}

// union returns a followed by what of b is not in it.
func union(a, b []string) []string {
	out := append([]string(nil), a...)
	for _, s := range b {
		if !slices.Contains(a, s) {
			out = append(out, s)
		}
	}
	return out
}

// settingsInterval is the time between two reads of the kernel's settings, which it does not report changes of.
const settingsInterval = 500 * time.Millisecond

// watchSettings kicks the reconciler when somebody has changed a setting, until ctx ends. Those that a pass could not
// set are left to the next passes.
func (l *Reconciler) watchSettings(ctx context.Context) error {
	ticker := l.e.Clock.NewTicker(settingsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			if applied := l.applied.Load(); applied != nil && !link.Applied(l.e.Links, *applied) {
				l.Kick()
			}
		}
	}
}

// WatchKernel kicks the reconciler after changes of the kernel's network until ctx ends.
func (l *Reconciler) WatchKernel(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, watch := range map[string]func(context.Context) error{
		"links":         func(ctx context.Context) error { return link.Watch(ctx, l.KickLinks) },
		"routes":        func(ctx context.Context) error { return route.Watch(ctx, l.Kick) },
		"settings":      l.watchSettings,
		"routing rules": func(ctx context.Context) error { return rule.Watch(ctx, l.Kick) },
		"NAT rules":     func(ctx context.Context) error { return nft.Watch(ctx, hostplan.TableName, l.KickTables) },
	} {
		wg.Go(func() { runloop.Keep(ctx, l.e.Clock, l.e.Log, name, watch) })
	}
}
