// SPDX-License-Identifier: Apache-2.0

package state

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// config is the cluster that all states are in.
var config = compile.Config{ClusterRouter: "ovn-cluster", NodeSwitch: "join", DefaultSubnet: "ovn-default", LoadBalancers: true, PortSecurity: true, NamespaceSubnets: []netip.Prefix{netip.MustParsePrefix("10.44.0.0/15")}, ServiceSource: compile.DefaultServiceSource, ServiceRange: model.Prefixes{V4: netip.MustParsePrefix("10.96.0.0/16"), V6: netip.MustParsePrefix("fd00:10:96::/112")}, APIServers: []netip.Addr{netip.MustParseAddr("192.168.70.10")}}

// database is what a harness needs: the model database or a real one.
type database interface {
	commit.DB
}

// harness is one controller on one database, driven step by step: an API server that
// holds projections, and the core between the two.
type harness struct {
	t       testing.TB
	config  compile.Config
	kinds   kube.Kinds
	extend  func(*world.World, map[model.Kind]compile.Func) // adds what a kind of the tests takes
	db      database
	objects map[model.Ref]any // the API server
	// parsed holds what parsing found on objects that were read from files.
	parsed map[model.Ref][]model.Problem
	// generations count the changes of each object; those of metadata do not count.
	generations map[model.Ref]int64
	metadata    bool
	core        *engine.Core
	view        *commit.View
	fence       commit.Fence
	now         time.Time
	changed     []fact.Ref
	events      []func()
	reports     map[model.Ref]engine.Report
	writes      int // at the API server
	written     []string
	observe     func(written string)
	usage       map[string]addresses.Usage  // by "subnet/pool"
	refuse      func([]ovsdb.Operation) int // index of an operation that the database refuses
	// compiled counts the runs of compile functions by kind.
	compiled map[model.Kind]int
	compared int // full comparisons
	ops      int // at the database
	txns     int
	echo     *echo // of a real database
	turns    int   // of the loop until it is interrupted; 0 for no limit
	newest   commit.Fence
	drift    []string // tables of rows that others are said to have changed
	repaired []engine.Repair
}

func newHarness(t testing.TB, db database) *harness {
	b := &harness{t: t, config: config, kinds: kube.AllKinds(), extend: func(*world.World, map[model.Kind]compile.Func) {}, db: db, objects: map[model.Ref]any{}, parsed: map[model.Ref][]model.Problem{}, generations: map[model.Ref]int64{}, now: time.Unix(1_700_000_000, 0), reports: map[model.Ref]engine.Report{}}
	b.restart()
	return b
}

// restart puts a fresh process in place of the present one.
func (b *harness) restart() {
	b.t.Helper()
	b.start()
	for _, ref := range sortedRefs(b.objects) {
		b.apply(ref, b.objects[ref])
	}
	b.core.KubeSynced()
	b.lead()
}

func (b *harness) start() {
	b.view = commit.NewView(b.db)
	b.events = nil
	b.reports, b.usage = map[model.Ref]engine.Report{}, nil
	w, functions := world.New(), compile.Functions(b.config)
	b.extend(w, functions)
	b.core = engine.NewCore(engine.Config{
		World: w, Functions: functions, Writer: b, Actual: b.view, Log: logr.Discard(),
		Observer: b,
		Now:      func() time.Time { return b.now },
		Deliver:  func(d engine.WriteDone) { core := b.core; b.events = append(b.events, func() { core.Written(d) }) },
	})
}

func (b *harness) lead() {
	b.t.Helper()
	fence, err := commit.TakeOver(b.t.Context(), b.db, commit.Claim{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.fence, b.newest = fence, fence
	b.view.Reset()
	b.core.NBSynced()
	b.core.Lead(true)
}

// set creates or changes an object, or deletes it when object is nil.
func (b *harness) set(ref model.Ref, object any) {
	if object == nil {
		delete(b.objects, ref)
	} else {
		b.objects[ref] = object
	}
	b.apply(ref, object)
}

func (b *harness) apply(ref model.Ref, object any) {
	b.t.Helper()
	change := engine.Change{Ref: ref, Object: object, Problems: b.parsed[ref]}
	if object != nil {
		if !b.metadata {
			b.generations[ref]++
		}
		change.Generation = b.generations[ref]
	}
	if err := b.core.Apply(change); err != nil {
		b.t.Fatal(err)
	}
}

// converge runs the loop until nothing is left to do.
func (b *harness) converge() {
	b.t.Helper()
	for turn := range 10_000 {
		if b.turns > 0 && turn == b.turns {
			return
		}
		events := b.events
		b.events = nil
		for _, f := range events {
			f()
		}
		if b.echo != nil {
			b.changed = append(b.changed, b.echo.take()...)
		}
		for _, ref := range b.changed {
			b.view.Changed(ref)
			b.core.NBChanged(ref)
		}
		b.changed = nil
		b.core.Step()
		units := b.core.Next()
		if len(units) > 0 {
			out := commit.Commit(b.t.Context(), refusing{b.db, b.refuse}, b.fence, units)
			b.ops += out.Operations
			b.txns += out.Transactions
			b.core.Committed(units, out, 0)
			continue
		}
		if len(b.events)+len(b.changed) > 0 {
			continue
		}
		at := b.core.Deadline()
		if at.IsZero() || at.Sub(b.now) > 10*time.Second { // what fails for good backs off forever
			return
		}
		b.now = at
		b.core.Retry()
	}
	b.t.Fatal("the controller does not come to rest")
}

func (b *harness) wrote(w compile.Want) {
	b.writes++
	b.written = append(b.written, fmt.Sprintf("%T %+v", w, w))
	if b.observe != nil {
		b.observe(b.written[len(b.written)-1])
	}
}

// The methods of engine.Observer.
func (b *harness) Compiled(kind model.Kind, _ float64) {
	next := maps.Clone(b.compiled)
	if next == nil {
		next = map[model.Kind]int{}
	}
	next[kind]++
	b.compiled = next
}
func (b *harness) Woken(model.Kind, int)              {}
func (b *harness) Committed(int, int, float64, error) {}
func (b *harness) Drift(table string)                 { b.drift = append(b.drift, table) }
func (b *harness) Connected(bool)                     {}
func (b *harness) Epoch(int64)                        {}
func (b *harness) Compared()                          { b.compared++ }

// refusing is a database that refuses some operations.
type refusing struct {
	database
	pick func([]ovsdb.Operation) int
}

func (r refusing) Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	if r.pick != nil {
		if i := r.pick(ops); i >= 0 {
			results := make([]ovsdb.OperationResult, len(ops))
			results[i] = ovsdb.OperationResult{Error: "constraint violation", Details: "of the test"}
			return results, nil
		}
	}
	return r.database.Transact(ctx, ops...)
}

// Write implements engine.Writer.
func (b *harness) Write(w compile.Want, done func(error)) {
	b.wrote(w)
	b.events = append(b.events, func() { done(b.carryOut(w)) })
}

// HasStatus implements engine.Writer.
func (b *harness) HasStatus(kind model.Kind) bool { return b.kinds.HasStatus(kind) }

func (b *harness) carryOut(w compile.Want) error {
	switch w := w.(type) {
	case compile.Claim:
		return b.claim(w)
	case compile.Annotate:
		b.annotate(w)
	case compile.UpdateIPRecord:
		if ip, ok := b.objects[w.Target()].(*model.IP); ok && ip.UID == w.UID {
			b.set(w.Target(), changed(ip, func(ip *model.IP) { ip.NodeName, ip.PodType, ip.OwnerUID = w.NodeName, w.PodType, w.OwnerUID }))
		}
	case compile.Adopt:
		if ip, ok := b.objects[w.Target()].(*model.IP); ok && ip.UID == w.UID {
			b.set(w.Target(), changed(ip, func(ip *model.IP) {
				ip.Addrs, ip.MAC, ip.Reserved, ip.Labelled = w.Allocation.Addrs, w.Allocation.MAC, w.Reserved, true
			}))
		}
	case compile.Release:
		if ip, ok := b.objects[w.Target()].(*model.IP); ok && ip.UID == w.UID {
			b.set(w.Target(), nil)
		}
	case compile.CreateSubnet:
		b.createSubnet(w)
	case compile.SetGateway:
		if o, ok := b.objects[w.Target()].(*model.Subnet); ok && o.UID == w.UID {
			b.set(w.Target(), changed(o, func(s *model.Subnet) { s.Gateways.Active = w.Nodes }))
		}
	case compile.Finalize:
		b.finalize(w)
	default:
		b.t.Errorf("the API server of the tests does not write a %T", w)
	}
	return nil
}

func (b *harness) claim(w compile.Claim) error {
	if _, exists := b.objects[w.Target()]; exists {
		return fmt.Errorf("ips %q already exists", w.Target().Name)
	}
	b.set(w.Target(), &model.IP{
		Meta: model.Meta{Name: w.Target().Name, UID: "ip-" + w.Target().Name, Finalized: true}, Labelled: true,
		Subnet: w.Allocation.Subnet, Addrs: w.Allocation.Addrs, MAC: w.Allocation.MAC, PodName: w.PodName, Namespace: w.For.Namespace, NodeName: w.NodeName,
		PodType: w.PodType, OwnerUID: w.OwnerUID, Provider: w.Provider,
	})
	return nil
}

func (b *harness) annotate(a compile.Annotate) {
	switch o := b.objects[a.Object].(type) {
	case *model.Pod:
		if o.UID == a.UID {
			pod := *o
			pod.NICs = slices.Clone(o.NICs)
			for i := range pod.NICs {
				nic := &pod.NICs[i]
				nic.Written = merged(nic.Written, ofProvider(a.Annotations, nic.Provider))
			}
			b.set(a.Object, &pod)
		}
	case *model.Node:
		node := *o
		node.Annotations = merged(node.Annotations, a.Annotations)
		b.set(a.Object, &node)
	case *model.Namespace:
		b.set(a.Object, changed(o, func(n *model.Namespace) {
			n.Written = merged(n.Written, a.Annotations)
			if n.Written[annotations.LogicalSwitch] == n.Written[annotations.BoundSwitch] {
				n.LogicalSwitches = nil // as NamespaceFrom reads it
			}
		}))
	case *model.Service:
		if o.UID == a.UID {
			b.set(a.Object, changed(o, func(s *model.Service) { s.Vpc = a.Annotations[annotations.Vpc] }))
		}
	}
}

// ofProvider picks the annotations of one NIC.
func ofProvider(all map[string]string, provider model.Provider) map[string]string {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(key, _ string) bool { return !strings.HasPrefix(key, provider.Key("")) })
	return out
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	return out
}

func (b *harness) createSubnet(s compile.CreateSubnet) {
	if _, exists := b.objects[s.Target()]; exists {
		return
	}
	subnet, problems := model.SubnetFrom(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: s.Name, UID: createdUID}, Spec: s.Request.Spec})
	if len(problems) > 0 {
		b.t.Errorf("the controller makes a Subnet with problems: %v", problems)
	}
	b.set(s.Target(), &subnet)
}

// createdUID is that of Subnets which the controller made: users keep them.
const createdUID = "created"

func (b *harness) finalize(f compile.Finalize) {
	b.metadata = true
	defer func() { b.metadata = false }()
	o := b.objects[f.Object]
	switch {
	case o == nil:
	case metaOf(o).Deleting && !f.Present:
		b.set(f.Object, nil)
	default:
		b.set(f.Object, withMeta(o, func(m *model.Meta) { m.Finalized = f.Present }))
	}
}

// metaOf reads what every object carries.
func metaOf(object any) *model.Meta {
	if o, ok := object.(interface{ Metadata() *model.Meta }); ok {
		return o.Metadata()
	}
	return &model.Meta{}
}

// withMeta is a copy of an object of any kind with some of what every object carries changed.
func withMeta(object any, change func(*model.Meta)) any {
	out := reflect.New(reflect.TypeOf(object).Elem())
	out.Elem().Set(reflect.ValueOf(object).Elem())
	change(metaOf(out.Interface()))
	return out.Interface()
}

// Report implements engine.Writer.
func (b *harness) Report(r engine.Report) {
	b.reports[r.Ref] = r
	if _, counted := b.usage[r.Ref.Name+"/"]; r.Ref.Kind == model.KindSubnet && r.Programmed && len(r.Problems) == 0 && !counted {
		b.t.Errorf("%s is reported as programmed before its counters", r.Ref)
	}
}

// Repaired implements engine.Writer.
func (b *harness) Repaired(r engine.Repair) { b.repaired = append(b.repaired, r) }

// Usage implements engine.Writer.
func (b *harness) Usage(u addresses.Usage) {
	if b.usage == nil {
		b.usage = map[string]addresses.Usage{}
	}
	b.usage[u.Subnet+"/"+u.Pool] = u
}

func ref(kind model.Kind, namespace, name string) model.Ref {
	return model.Ref{Kind: kind, Namespace: namespace, Name: name}
}

func vpc(name string) *model.Vpc {
	return &model.Vpc{Meta: model.Meta{Name: name, UID: "vpc-" + name, Created: 1}, Default: name == config.ClusterRouter}
}

func subnet(name, cidr string) *model.Subnet {
	p := netip.MustParsePrefix(cidr)
	s := &model.Subnet{
		Meta: model.Meta{Name: name, UID: "subnet-" + name, Created: 2},
		Vpc:  config.ClusterRouter, Provider: "ovn", GatewayType: model.GatewayDistributed, NatOutgoing: true,
	}
	gateway := p.Addr().Next()
	if p.Addr().Is4() {
		s.CIDR.V4, s.Gateway.V4 = p, gateway
	} else {
		s.CIDR.V6, s.Gateway.V6 = p, gateway
	}
	s.Exclude = []model.Range{{First: gateway, Last: gateway}}
	return s
}

func namespace(name string) *model.Namespace {
	return &model.Namespace{Meta: model.Meta{Name: name, UID: "ns-" + name, Created: 3}}
}

func node(name, address string) *model.Node {
	return &model.Node{
		Meta:        model.Meta{Name: name, UID: "node-" + name, Created: 4},
		InternalIPs: []netip.Addr{netip.MustParseAddr(address)}, Addresses: []netip.Addr{netip.MustParseAddr(address)}, Ready: true, Labels: map[string]string{"name": name},
	}
}

func heartbeat(node string, lost bool) *model.Heartbeat {
	return &model.Heartbeat{Meta: model.Meta{Name: node}, Lost: lost}
}

func pod(ns, name, onNode string) *model.Pod {
	return &model.Pod{
		Meta: model.Meta{Namespace: ns, Name: name, UID: "pod-" + ns + "-" + name, Created: 5},
		Node: onNode, NICs: []model.PodNIC{{Provider: "ovn"}},
	}
}

// become brings the API server to a state, as users do: what has our finalizer is
// marked for deletion, and the controller lets it go.
func (b *harness) become(s state) {
	b.t.Helper()
	for _, ref := range sortedRefs(b.objects) {
		if _, stays := s.objects[ref]; !stays && ref.Kind != model.KindIP {
			b.remove(ref)
		}
	}
	for _, ref := range sortedRefs(s.objects) {
		b.put(ref, s.objects[ref])
	}
}

func (b *harness) remove(ref model.Ref) {
	o := b.objects[ref]
	switch {
	case metaOf(o).UID == createdUID:
	case metaOf(o).Finalized && b.kinds.HasStatus(ref.Kind):
		b.set(ref, withMeta(o, func(m *model.Meta) { m.Deleting = true }))
	default:
		b.set(ref, nil)
	}
}

// put creates or changes an object and keeps what the controller wrote on it.
func (b *harness) put(ref model.Ref, object any) {
	if old, ok := b.objects[ref]; ok && b.kinds.HasStatus(ref.Kind) {
		object = withMeta(object, func(m *model.Meta) { m.Finalized, m.Deleting = metaOf(old).Finalized, metaOf(old).Deleting })
	}
	switch o := object.(type) {
	case *model.Subnet:
		if old, ok := b.objects[ref].(*model.Subnet); ok {
			object = changed(o, func(s *model.Subnet) { s.Gateways.Active = old.Gateways.Active })
		}
	case *model.Namespace:
		if old, ok := b.objects[ref].(*model.Namespace); ok {
			object = changed(o, func(n *model.Namespace) {
				n.Written = maps.Clone(old.Written)
				if len(n.LogicalSwitches) > 0 {
					n.Written = merged(n.Written, map[string]string{annotations.LogicalSwitch: strings.Join(n.LogicalSwitches, ",")})
				}
			})
		}
	case *model.Node:
		if old, ok := b.objects[ref].(*model.Node); ok {
			object = changed(o, func(n *model.Node) { n.Annotations = old.Annotations })
		}
	case *model.Pod:
		if old, ok := b.objects[ref].(*model.Pod); ok && old.UID == o.UID {
			object = changed(o, func(p *model.Pod) {
				p.NICs = slices.Clone(p.NICs)
				for i := range p.NICs {
					nic := &p.NICs[i]
					if j := slices.IndexFunc(old.NICs, func(n model.PodNIC) bool { return n.Provider == nic.Provider }); j >= 0 {
						nic.Written = old.NICs[j].Written
					}
					nic.Invalid = nic.Invalid && len(nic.Written) == 0 // as PodFrom reads it
				}
			})
		} else if ok {
			b.set(ref, nil)
		}
	}
	b.set(ref, object)
}
