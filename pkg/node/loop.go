// Package node is the cniserver's view of its node: one loop that compares what
// the node must look like (package hostplan) with what it is, and repairs the
// difference, whenever the cluster, the kernel or Open vSwitch reports a change.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
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
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

const (
	// slowInterval is how often everything is compared although nobody reported a change: a safety net for lost notifications.
	slowInterval = 5 * time.Minute
	// passInterval is the least time between two passes, so that a burst of reports costs one.
	passInterval = 50 * time.Millisecond
	// minBackoff and maxBackoff bound the wait after a failed pass.
	minBackoff, maxBackoff = 200 * time.Millisecond, 10 * time.Second
)

// Switch is what the loop needs of the OVS driver.
type Switch interface {
	uplink.Switch
	EnsureMirror(ctx context.Context, m ovs.Mirror) error
	DeleteMirror(ctx context.Context, bridge, name string) error
	DatapathType(bridge string) (string, error)
	SystemID() (string, error)
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

// Config says what the node shall be.
type Config struct {
	NodeName string
	// DefaultVpc is the Vpc whose subnets the hosts reach ("ovn-cluster").
	DefaultVpc string
	// APIServers are the addresses by which the node reaches the API server: nothing is made for a subnet that has one.
	APIServers []netip.Addr
	// MTU in bytes of ovn0 and of pods; 0 takes it from the tunnel's link.
	MTU int
	// Mirror copies the packets of this node's pods to MirrorLink.
	Mirror     bool
	MirrorLink string
	// Conf is the network configuration that the container runtime reads.
	Conf ConfFile
}

// Edges are everything that the loop talks to.
type Edges struct {
	// Cache has the objects of [CacheByObject].
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
	// World is told what the node knows whenever it is compared; nil for nobody.
	World func(hostplan.Inputs)
	// NICs changes running pods; see [plumb.Plumber].
	NICs NICs
	Echo Echo
	// Leases has the sign of life of a gateway node; see [NewLeases].
	Leases Leases
	Clock  clock.WithTicker
	Log    logr.Logger
	// Metrics counts passes and repairs; see [NewMetrics].
	Metrics *Metrics
}

// Loop keeps one node as it must be. Make it with [New].
type Loop struct {
	cfg    Config
	e      Edges
	kick   chan struct{}
	prober *prober
	heart  *heartbeat
	mtu    atomic.Int64

	serving atomic.Bool

	// counters are those of the NAT table that was applied last.
	counters atomic.Pointer[[]hostplan.Counter]

	// nftDirty is set when the NAT table may differ from what was last seen.
	nftDirty atomic.Bool

	mu      sync.Mutex
	pending []string // why the node is not ready; empty if it is

	// What follows belongs to the loop's goroutine alone.
	lastTable  string
	lastLogged string
}

// New returns a loop; [Loop.Run] starts it.
func New(cfg Config, e Edges) *Loop {
	l := &Loop{cfg: cfg, e: e, kick: make(chan struct{}, 1), pending: []string{"the first pass has not been made"}}
	l.nftDirty.Store(true)
	l.heart = newHeartbeat(e.Leases, cfg.NodeName, e.Clock, e.Log)
	l.prober = newProber(e.Echo, e.Clock, l.Kick, l.heart.alive)
	return l
}

// Kick asks for a pass soon. It never blocks.
func (l *Loop) Kick() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// KickTables asks for a pass that reads the NAT table as well.
func (l *Loop) KickTables() {
	l.nftDirty.Store(true)
	l.Kick()
}

// KickLinks asks for a pass and, since a link may have come back, for a question to the gateway.
func (l *Loop) KickLinks() {
	if known, err := l.prober.state(); known && err != nil {
		l.prober.poke()
	}
	l.Kick()
}

// SetServing says whether CNI requests are answered.
func (l *Loop) SetServing(yes bool) {
	if l.serving.Swap(yes) != yes {
		l.Kick()
	}
}

// Ready returns nil when ovn0 works, the gateway answers and CNI requests are
// served, else what is missing.
func (l *Loop) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	return errors.New(strings.Join(l.pending, "; "))
}

// MTU returns the node's MTU in bytes for pods whose subnet names none; 0 before the first pass.
func (l *Loop) MTU() int { return int(l.mtu.Load()) }

// Run makes a pass after every [Loop.Kick] until ctx ends. It returns nil; what
// goes wrong is logged and tried again.
func (l *Loop) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { l.prober.run(ctx) })
	wg.Go(func() { l.heart.run(ctx) })
	defer wg.Wait()
	slow := l.e.Clock.NewTicker(slowInterval)
	defer slow.Stop()
	backoff := minBackoff
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kick:
		case <-again:
		case <-slow.C():
			l.nftDirty.Store(true)
		}
		waiting, err := l.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		l.e.Metrics.pass(err, l.Ready() == nil)
		l.report(waiting, err)
		again = nil
		if err != nil {
			again = l.e.Clock.After(backoff)
			backoff = min(2*backoff, maxBackoff)
		} else {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.e.Clock.After(passInterval):
		}
	}
}

// report logs what is new: the same trouble is not told twice in a row.
func (l *Loop) report(waiting []string, err error) {
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
		l.e.Log.Error(err, "node is not as it must be, trying again", "waiting", waiting)
	case len(waiting) > 0:
		l.e.Log.Info("waiting", "for", waiting)
	default:
		l.e.Log.Info("node is as it must be")
	}
}

// pass compares and repairs once. What it waits for is not an error; another
// event will bring it.
func (l *Loop) pass(ctx context.Context) (waiting []string, err error) {
	own, w, err := l.world(ctx)
	if err != nil {
		l.setPending([]string{err.Error()})
		return nil, err
	}
	if own == nil {
		waiting = []string{fmt.Sprintf("Node object %s is not there", l.cfg.NodeName)}
		l.setPending(waiting)
		return waiting, nil
	}
	if l.e.World != nil {
		l.e.World(w)
	}
	plan := hostplan.Make(w)
	waiting = append(waiting, plan.Waiting...)
	missing, errs := l.apply(ctx, plan)
	for _, name := range missing {
		waiting = append(waiting, "link "+name+" is not there yet")
	}
	for _, p := range plan.Problems {
		errs = append(errs, errors.New(p))
	}
	errs = append(errs, l.refit(ctx)...)
	// Problems of a subnet or of the mirror do not make pods on this node unreachable.
	blocking := append([]string(nil), waiting...)
	connected := plan.Routes != nil && len(missing) == 0
	blocking = append(blocking, l.connect(plan, connected)...)
	errs = append(errs, l.finish(ctx, own, &blocking))
	l.setPending(blocking)
	return union(waiting, blocking), errors.Join(errs...)
}

func (l *Loop) setPending(p []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = p
}

// world reads everything that a plan depends on; own is nil if the Node object is not there.
func (l *Loop) world(ctx context.Context) (own *corev1.Node, w hostplan.Inputs, err error) {
	w = hostplan.Inputs{DefaultVpc: l.cfg.DefaultVpc}
	if l.cfg.Mirror {
		w.MirrorLink = l.cfg.MirrorLink
	}
	own = &corev1.Node{}
	if err := l.e.Cache.Get(ctx, types.NamespacedName{Name: l.cfg.NodeName}, own); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, w, nil
		}
		return nil, w, fmt.Errorf("read node %s: %w", l.cfg.NodeName, err)
	}
	self := nodeOf(own, l.cfg.NodeName)
	if w.Node, err = hostOf(&self); err != nil {
		return nil, w, err
	}
	var nodes corev1.NodeList
	if err := l.e.Cache.List(ctx, &nodes); err != nil {
		return nil, w, fmt.Errorf("list nodes: %w", err)
	}
	all := l.addNodes(&w, nodes.Items)
	var list v1.SubnetList
	if err := l.e.Cache.List(ctx, &list); err != nil {
		return nil, w, fmt.Errorf("list subnets: %w", err)
	}
	var subnets []subnet
	for i := range list.Items {
		subnets = append(subnets, subnetOf(&list.Items[i]))
	}
	candidate := gatewayCandidate(&self, subnets)
	l.prober.hurry(candidate)
	l.heart.set(candidate, own.UID)
	refused := refusals(subnets, all, l.cfg.APIServers)
	for _, s := range subnets {
		s.plan.Invalid = cmp.Or(s.plan.Invalid, refused[s.Name])
		w.Subnets = append(w.Subnets, s.plan)
	}
	var services networkingv1.ServiceCIDRList
	if err := l.e.Cache.List(ctx, &services); err != nil {
		return nil, w, fmt.Errorf("list ServiceCIDRs: %w", err)
	}
	w.Services = serviceNets(services.Items)
	var pods corev1.PodList // of this node
	if err := l.e.Cache.List(ctx, &pods); err != nil {
		return nil, w, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		w.Pods = append(w.Pods, podOf(&pods.Items[i])...)
	}
	w.MTU = l.chooseMTU(w.Node)
	datapath, err := l.e.Switch.DatapathType(hostplan.IntegrationBridge)
	if err != nil {
		return nil, w, fmt.Errorf("read bridge %s: %w", hostplan.IntegrationBridge, err)
	}
	w.Userspace = datapath == ovs.UserspaceDatapath
	ports, err := l.e.Switch.Ports()
	if err != nil {
		return nil, w, fmt.Errorf("list OVS ports: %w", err)
	}
	w.PodPorts = podPorts(ports)
	return own, w, nil
}

// addNodes notes the addresses of all nodes and returns their projections.
func (l *Loop) addNodes(w *hostplan.Inputs, nodes []corev1.Node) (all []*model.Node) {
	w.Nodes = make(map[string][]netip.Addr, len(nodes))
	for i := range nodes {
		n := nodeOf(&nodes[i], l.cfg.NodeName)
		all = append(all, &n)
		w.Nodes[n.Name] = n.InternalIPs
		w.NodeAddresses = append(w.NodeAddresses, n.InternalIPs...)
	}
	return all
}

// chooseMTU takes the MTU from the flag or from the link that carries the node's
// first address. While that link cannot be found the last value stays.
func (l *Loop) chooseMTU(n hostplan.Node) int {
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
		l.e.Log.Info("MTU chosen", "mtu", mtu, "configured", l.cfg.MTU, "underlay", underlay)
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
