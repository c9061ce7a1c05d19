// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/node/runloop"
)

// host is a whole node in memory.
type host struct {
	t       *testing.T
	state   *Reconciler
	prober  *gatewayprobe.Prober
	heart   fakeHeartbeat
	objects client.WithWatch
	ovs     *ovs.Fake
	links   *link.Fake
	routes  *route.Fake
	rules   *rule.Fake
	tables  *knftables.Fake
	echo    func() error
	events  *record.FakeRecorder
	patches atomic.Int32
	reads   int // of the NAT table
	dir     string
	// unmirrored are the mirrors that were deleted.
	unmirrored []string
}

// EnsurePort is what OVS does: a link appears with the port.
func (h *host) EnsurePort(ctx context.Context, p ovs.Port) error {
	err := h.ovs.EnsurePort(ctx, p)
	if err == nil && h.links.Links[p.Name] == nil {
		h.links.Plug(p.Name, "02:00:00:00:00:01")
	}
	return err
}

type hostSwitch struct {
	*ovs.Fake
	h *host
}

func (s hostSwitch) EnsurePort(ctx context.Context, p ovs.Port) error { return s.h.EnsurePort(ctx, p) }

func (s hostSwitch) DeleteMirror(_ context.Context, _, name string) error {
	s.h.unmirrored = append(s.h.unmirrored, name)
	return nil
}

type hostLinks struct{ *link.Fake }

func (hostLinks) UnderlayMTU(a netip.Addr) (int, error) {
	if a != netip.MustParseAddr("192.168.77.11") {
		return 0, link.ErrAbsent
	}
	return 1500, nil
}

// hostRoutes lets the routes see the addresses of the links.
type hostRoutes struct {
	*route.Fake
	links *link.Fake
}

func (r hostRoutes) sync() {
	for n, s := range r.links.Links {
		r.Links[n] = s.Addresses
	}
}

func (r hostRoutes) Add(x hostplan.Route) error     { r.sync(); return r.Fake.Add(x) }
func (r hostRoutes) Replace(x hostplan.Route) error { r.sync(); return r.Fake.Replace(x) }

type hostTables struct {
	nft.Driver
	h *host
}

func (d *hostTables) Apply(ctx context.Context, t hostplan.Table) (string, error) {
	d.h.reads++
	return d.Driver.Apply(ctx, t)
}

type echoFunc func() error

func (f echoFunc) Ping(context.Context, netip.Addr, netip.Addr) error { return f() }

func testNode(name, ip, join string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: name}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if join != "" {
		n.Annotations[annotations.IPAddress] = join
		n.Annotations[annotations.MACAddress] = "0A:00:00:40:00:02"
		n.Annotations[annotations.CIDR] = "100.64.0.0/16"
		n.Annotations[annotations.Gateway] = "100.64.0.1"
	}
	return n
}

func testSubnet(name, cidr string, nat bool) *v1.Subnet {
	return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr, NatOutgoing: nat}}
}

func newHost(t *testing.T, objects ...client.Object) *host {
	t.Helper()
	s, err := projection.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{
		t: t, ovs: ovs.NewFake(hostplan.IntegrationBridge, ovs.UserspaceDatapath), links: link.NewFake(), routes: route.NewFake(), rules: rule.NewFake(),
		tables: knftables.NewFake(knftables.InetFamily, hostplan.TableName),
		echo:   func() error { return nil }, dir: t.TempDir(), events: record.NewFakeRecorder(100),
	}
	h.objects = fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithStatusSubresource(&corev1.Node{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				h.patches.Add(1)
				return c.Patch(ctx, o, p, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				h.patches.Add(1)
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	h.prober = gatewayprobe.New(echoFunc(func() error { return h.echo() }), clock.RealClock{}, func() { h.state.Kick() }, func() { h.heart.answers++ })
	h.state = New(Config{
		NodeName: "n1", DefaultVpc: "ovn-cluster", Mirror: true, MirrorLink: "mirror0",
		Conf: ConfFile{Dir: h.dir, Name: "01-woven.conflist", Socket: "/run/woven.sock"},
	}, Edges{
		Cache: h.objects, API: h.objects, Switch: hostSwitch{h.ovs, h}, Links: hostLinks{h.links},
		Routes: hostRoutes{h.routes, h.links}, Rules: h.rules, Tables: &hostTables{nft.Driver{Tables: h.tables}, h},
		Gateways: h.prober, Heartbeat: &h.heart, Clock: clock.RealClock{}, Log: testr.New(t), Metrics: metrics, Events: h.events,
	})
	h.state.SetServing(true)
	return h
}

// pass makes one pass, probes the gateways and makes another, as happens on a node.
func (h *host) pass() (waiting []string, err error) {
	h.t.Helper()
	o, err := h.state.pass(h.t.Context())
	if err == nil {
		h.prober.Round(h.t.Context())
		o, err = h.state.pass(h.t.Context())
	}
	return o.waiting, err
}

// fakeHeartbeat records its calls.
type fakeHeartbeat struct {
	candidate, known bool
	answers          int // of the gateways
}

func (f *fakeHeartbeat) Set(candidate bool, _ types.UID) { f.candidate, f.known = candidate, true }

// Whether the node is a candidate is reported to the heartbeat and to the prober, which then probes every second.
func TestGatewayCandidate(t *testing.T) {
	central := testSubnet("central", "10.20.0.0/16", true)
	central.Spec.GatewayType, central.Spec.GatewayNode = v1.GatewayCentralized, "n2,n1"
	h := newHost(t, append(typical(), central)...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	if !h.heart.candidate || !h.heart.known || h.heart.answers != 1 || h.prober.Round(t.Context()) != time.Second {
		t.Errorf("heartbeat %+v", h.heart)
	}
	if err := h.objects.Delete(t.Context(), central); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	if h.heart.candidate || h.prober.Round(t.Context()) == time.Second {
		t.Error("still a candidate")
	}
}

func (h *host) node(name string) *corev1.Node {
	h.t.Helper()
	var n corev1.Node
	if err := h.objects.Get(h.t.Context(), types.NamespacedName{Name: name}, &n); err != nil {
		h.t.Fatal(err)
	}
	return &n
}

// routeList are the destinations of the routes that are not attached to addresses.
func (h *host) routeList() (out []string) {
	for k, r := range h.routes.Routes {
		if !r.Attached() {
			out = append(out, k.Dst.String())
		}
	}
	slices.Sort(out)
	return out
}

func typical() []client.Object {
	return []client.Object{
		testNode("n1", "192.168.77.11", "100.64.0.2"), testNode("n2", "192.168.77.12", "100.64.0.3"),
		testSubnet("join", "100.64.0.0/16", false), testSubnet("ovn-default", "10.16.0.0/16", true),
	}
}

// external is a subnet that leaves through a router outside.
func external() client.Object {
	s := testSubnet("external", "10.40.0.0/24", false)
	s.Spec.ExternalEgressGateway, s.Spec.PolicyRoutingTableID, s.Spec.PolicyRoutingPriority = "100.64.0.9", 1000, 1500
	return s
}

// podPort is the Open vSwitch port of a pod's NIC; subnet is empty for ports of earlier versions.
func podPort(name, subnet, ip string) ovs.Port {
	return ovs.Port{Bridge: hostplan.IntegrationBridge, Name: name, ExternalIDs: map[string]string{
		ovs.KeyIfaceID: name + ".default", ovs.KeyIP: ip, ovs.KeyLogicalSwitch: subnet,
	}}
}

func (h *host) plug(ports ...ovs.Port) {
	h.t.Helper()
	for _, p := range ports {
		if err := h.ovs.EnsurePort(h.t.Context(), p); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Routing rules follow the pods of this node, and for centralized subnets the choice of the gateway.
func TestExternalEgress(t *testing.T) {
	h := newHost(t, append(typical(), external())...)
	h.plug(podPort("p1", "external", "10.40.0.5"))
	check := func(step string, want ...hostplan.PolicyRule) {
		t.Helper()
		if _, err := h.pass(); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		got := map[hostplan.PolicyRule]bool{}
		for _, r := range want {
			got[r] = true
		}
		if d := cmp.Diff(got, h.rules.Rules, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s: -want +got\n%s", step, d)
		}
	}
	from := func(p string) hostplan.PolicyRule {
		return hostplan.PolicyRule{Priority: 1500, Table: 1000, From: netip.MustParsePrefix(p)}
	}
	check("one pod", from("10.40.0.5/32"))
	def := route.Key{Table: 1000, Dst: netip.MustParsePrefix("0.0.0.0/0")}
	if r := h.routes.Routes[def]; r.Gateway != netip.MustParseAddr("100.64.0.9") {
		t.Errorf("default route %+v", r)
	}
	h.plug(podPort("p2", "external", "10.40.0.6"), podPort("p3", "", "10.40.0.7"), podPort("p4", "ovn-default", "10.16.0.9"))
	h.plug(podPort("p5", "external", "192.168.77.11"), podPort("p6", "", "192.168.77.11")) // the node's own, in no subnet
	check("more pods, one of an earlier version", from("10.40.0.5/32"), from("10.40.0.6/32"), from("10.40.0.7/32"))
	for _, name := range []string{"p2", "p3"} {
		if err := h.ovs.DeletePort(t.Context(), hostplan.IntegrationBridge, name); err != nil {
			t.Fatal(err)
		}
	}
	check("one gone", from("10.40.0.5/32"))

	var s v1.Subnet
	_ = h.objects.Get(t.Context(), types.NamespacedName{Name: "external"}, &s)
	s.Spec.GatewayType = v1.GatewayCentralized
	_ = h.objects.Update(t.Context(), &s)
	check("centralized elsewhere")
	s.Status.ActivateGateway = "n2,n1"
	_ = h.objects.Update(t.Context(), &s)
	check("centralized here", from("10.40.0.0/24"))
	s.Status.ActivateGateway, s.Spec.GatewayNode = "n2", "n2,n1"
	_ = h.objects.Update(t.Context(), &s)
	check("standby", from("10.40.0.0/24"))
	s.Spec.GatewayNode = "n2"
	_ = h.objects.Update(t.Context(), &s)
	check("not here any more")
	if _, there := h.routes.Routes[def]; there {
		t.Error("the default route stays")
	}
}

// A tenant's annotations give the node no routing rules, whatever addresses they name and of whichever provider.
func TestForgedAnnotationsRouteNothing(t *testing.T) {
	forged := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "red", Name: "a1", Annotations: map[string]string{}}}
	for domain, address := range map[string]string{
		"evil.kubernetes.io/": "10.16.0.8", "ovn.kubernetes.io/": "192.168.77.11", "net1.red.ovn.kubernetes.io/": "10.40.0.8,2001:db8::11",
	} {
		forged.Annotations[domain+"ip_address"], forged.Annotations[domain+"logical_switch"] = address, "external"
		forged.Annotations[domain+"allocated"], forged.Annotations[domain+"routed"] = "true", "true"
	}
	h := newHost(t, append(typical(), external(), forged)...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	if len(h.rules.Rules) > 0 {
		t.Errorf("routing rules %v", h.rules.Rules)
	}
}

func TestPass(t *testing.T) {
	h := newHost(t, typical()...)
	if waiting, err := h.pass(); err != nil || len(waiting) > 0 {
		t.Fatalf("waiting %v, %v", waiting, err)
	}
	if err := h.state.Ready(); err != nil {
		t.Error(err)
	}
	want := link.State{MAC: "0a:00:00:40:00:02", MTU: 1400, Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16")}}
	if d := cmp.Diff(want, *h.links.Links["ovn0"], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got := h.routeList(); !slices.Equal(got, []string{"10.16.0.0/16"}) {
		t.Errorf("routes %v", got)
	}
	n := h.node("n1")
	if n.Annotations[annotations.Chassis] != "fake" {
		t.Errorf("annotations %v", n.Annotations)
	}
	if c := projection.NetworkCondition(n); c == nil || c.Status != corev1.ConditionFalse || c.Reason != model.ReasonNodeReachable || len(n.Status.Conditions) != 2 {
		t.Errorf("conditions %v", n.Status.Conditions)
	}
	conf, err := os.ReadFile(filepath.Join(h.dir, "01-woven.conflist"))
	if err != nil || !strings.Contains(string(conf), `"server_socket": "/run/woven.sock"`) {
		t.Errorf("conf %s, %v", conf, err)
	}
	if m := h.ovs.Mirrors()[hostplan.MirrorName]; m.OutputPort != "mirror0" || m.SelectAll {
		t.Errorf("mirror %+v", m)
	}

	// Another pass, and a new process, find everything right.
	patches, links := h.patches.Load(), cmp.Diff(nil, *h.links.Links["ovn0"], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
	reads := h.reads
	if _, err := h.pass(); err != nil || h.reads != reads || h.patches.Load() != patches {
		t.Errorf("%v; table read %d times, %d patches; want none", err, h.reads-reads, h.patches.Load()-patches)
	}
	if again := cmp.Diff(nil, *h.links.Links["ovn0"], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); again != links {
		t.Error("the link changed")
	}
}

// Each disturbance is repaired by the next pass.
func TestRepair(t *testing.T) {
	h := newHost(t, typical()...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	for name, disturb := range map[string]func(){
		"route":   func() { clear(h.routes.Routes) },
		"address": func() { h.links.Links["ovn0"].Addresses = nil },
		"link":    func() { delete(h.links.Links, "ovn0"); clear(h.routes.Routes) },
		"file":    func() { _ = os.Remove(filepath.Join(h.dir, "01-woven.conflist")) },
		"port":    func() { _ = h.ovs.DeletePort(t.Context(), "", "ovn0") },
	} {
		disturb()
		if _, err := h.pass(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := os.Stat(filepath.Join(h.dir, "01-woven.conflist"))
		ports, _ := h.ovs.Ports()
		if len(h.routes.Routes) != 3 || len(h.links.Links["ovn0"].Addresses) != 1 || err != nil || len(ports) != 2 {
			t.Errorf("%s: not repaired: %v %v %v %v", name, h.routeList(), h.links.Links["ovn0"], err, ports)
		}
	}
}

// What is missing keeps the node from being ready and the file from being written, and is named.
func TestWaiting(t *testing.T) {
	down := errors.New("no echo reply")
	for _, c := range []struct {
		name   string
		change func(*host)
		want   string
	}{
		{"no node", func(h *host) { _ = h.objects.Delete(h.t.Context(), h.node("n1")) }, "Node object n1 does not exist"},
		{"no join address", func(h *host) {
			n := testNode("n1", "192.168.77.11", "")
			_ = h.objects.Update(h.t.Context(), n)
		}, "no join address"},
		{"gateway silent", func(h *host) { h.echo = func() error { return down } }, "join gateway"},
		{"not serving", func(h *host) { h.state.SetServing(false) }, "CNI requests are not served"},
		{"bad annotation", func(h *host) {
			n := h.node("n1")
			n.Annotations[annotations.IPAddress] = "100.64.0.x"
			_ = h.objects.Update(h.t.Context(), n)
		}, `node n1: annotation ovn.kubernetes.io/ip_address: "100.64.0.x": "100.64.0.x" is not an address`},
		{"address outside", func(h *host) {
			n := h.node("n1")
			n.Annotations[annotations.IPAddress] = "10.0.0.1"
			_ = h.objects.Update(h.t.Context(), n)
		}, "10.0.0.1 is in no prefix of ovn.kubernetes.io/cidr"},
		{"no bridge", func(h *host) { h.state.e.Switch = hostSwitch{ovs.NewFake("other", ""), h} }, "read bridge br-int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, typical()...)
			c.change(h)
			_, _ = h.pass()
			if err := h.state.Ready(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("not ready because %v; want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(h.dir, "01-woven.conflist")); err == nil {
				t.Error("the network configuration is there already")
			}
		})
	}
}

// Without the mirror, what a former run made of it goes.
func TestMirrorOff(t *testing.T) {
	h := newHost(t, typical()...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	h.state.cfg.Mirror = false
	if _, err := h.pass(); err != nil {
		t.Error(err)
	}
	ports, _ := h.ovs.Ports()
	if len(ports) != 1 || ports[0].Name != "ovn0" || !slices.Contains(h.unmirrored, hostplan.MirrorName) {
		t.Errorf("ports %v, mirrors removed %v", ports, h.unmirrored)
	}
}

// A subnet that cannot be understood does not take a route away, nor make the node unready.
func TestBrokenSubnet(t *testing.T) {
	h := newHost(t, typical()...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	var s v1.Subnet
	_ = h.objects.Get(t.Context(), types.NamespacedName{Name: "ovn-default"}, &s)
	s.Spec.CIDRBlock = "10.16.0.0/99"
	_ = h.objects.Update(t.Context(), &s)
	_, err := h.state.pass(t.Context())
	if err == nil || !strings.Contains(err.Error(), `subnet ovn-default: spec.cidrBlock: "10.16.0.0/99": "10.16.0.0/99" is not a CIDR`) {
		t.Errorf("error %v", err)
	}
	if len(h.routeList()) != 1 || h.state.Ready() != nil {
		t.Errorf("routes %v, ready %v", h.routeList(), h.state.Ready())
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, typical()...)
		var silent atomic.Bool
		h.echo = func() error {
			if silent.Load() {
				return errors.New("silence")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.state.Run(ctx) })
		wg.Go(func() { h.prober.Run(ctx) })
		h.state.Kick()
		wait := func(ready bool) {
			t.Helper()
			for range 1000 {
				if synctest.Wait(); (h.state.Ready() == nil) == ready {
					return
				}
				<-clock.RealClock{}.After(runloop.PassInterval) // the bubble's clock
			}
			t.Errorf("ready = %v; want %v", h.state.Ready(), ready)
		}
		wait(true)
		silent.Store(true)
		wait(false)
		if c := projection.NetworkCondition(h.node("n1")); c.Status != corev1.ConditionTrue || c.Reason != model.ReasonNodeUnreachable {
			t.Errorf("condition %v", c)
		}
		silent.Store(false)
		wait(true)
		cancel()
		wg.Wait()
	})
}
