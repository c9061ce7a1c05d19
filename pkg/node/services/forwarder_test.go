// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/healthport"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// fakeHost is what [Forwarder] talks to, in memory.
type fakeHost struct {
	t        *testing.T
	services *Forwarder
	nft.Driver
	tables  *knftables.Fake
	applies int // comparisons of the whole table
	changes int // elements changed one by one
	broken  error
	flows   []conntrack.Flow // of UDP, that the kernel tracks
	forgot  []string         // in Open vSwitch
	tracked []conntrack.Flow // in Open vSwitch
	looks   int              // at them
	health  map[types.NamespacedName]healthport.Check
	clock   *clocktesting.FakeClock
}

func (h *fakeHost) Apply(ctx context.Context, t hostplan.Table) (string, error) {
	if h.broken != nil {
		return "", h.broken
	}
	h.applies++
	did, err := h.Driver.Apply(ctx, t)
	if did != "" {
		defer h.services.TableChanged() // as the kernel reports
	}
	return did, err
}

func (h *fakeHost) Change(ctx context.Context, table string, remove, add []hostplan.Entry) error {
	h.changes += len(remove) + len(add)
	err := h.Driver.Change(ctx, table, remove, add)
	if err == nil {
		defer h.services.TableChanged()
	}
	return err
}

func (h *fakeHost) ForgetUDP(stale func(conntrack.Flow) bool) (int, error) {
	before := len(h.flows)
	h.flows = slices.DeleteFunc(h.flows, stale)
	return before - len(h.flows), nil
}

type fakeDatapath struct{ *fakeHost }

func (d fakeDatapath) ForgetUDP(_ context.Context, asked, answers netip.AddrPort) error {
	d.forgot = append(d.forgot, asked.String()+" "+answers.String())
	return nil
}

func (d fakeDatapath) EachUDP(_ context.Context, each func(asked, answers netip.AddrPort)) error {
	d.looks++
	for _, f := range d.tracked {
		each(f.Asked, f.Answers)
	}
	return nil
}

func (h *fakeHost) Set(_ context.Context, want map[types.NamespacedName]healthport.Check) error {
	h.health = maps.Clone(want)
	return nil
}

func (*fakeHost) Close() {}

func newFakeHost(t *testing.T) *fakeHost {
	h := &fakeHost{t: t, tables: knftables.NewFake(knftables.InetFamily, hostplan.ServiceTableName), clock: clocktesting.NewFakeClock(time.Unix(1, 0))}
	h.Tables = h.tables
	h.services = New(Edges{
		Tables: h, Flows: h, Datapath: fakeDatapath{h}, Health: h, Clock: h.clock, Log: testr.New(t), Changed: func(int) {},
	})
	return h
}

func (h *fakeHost) pass() {
	h.t.Helper()
	if err := h.services.pass(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

func (h *fakeHost) elements(name string) (out []string) {
	h.t.Helper()
	kind := "map"
	if strings.HasPrefix(name, "chosen") {
		kind = "set"
	}
	list, err := h.tables.ListElements(h.t.Context(), kind, name)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, strings.TrimSuffix(strings.Join(e.Key, " . ")+" : "+strings.Join(e.Value, " . "), " : "))
	}
	slices.Sort(out)
	return out
}

func inputs() hostplan.Inputs {
	return hostplan.Inputs{DefaultVpc: "ovn-cluster", Node: hostplan.Node{
		Name: "n1", InternalIPs: []netip.Addr{netip.MustParseAddr("192.168.77.11")}, Services: []netip.Prefix{netip.MustParsePrefix("169.254.64.2/18")},
	}}
}

func nodePortService(name, cluster string, nodePort int32, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: cluster, ClusterIPs: []string{cluster},
			Ports: []corev1.ServicePort{{Port: 53, NodePort: nodePort, Protocol: corev1.ProtocolUDP}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

func endpointSlice(service, node string, addresses ...string) *discoveryv1.EndpointSlice {
	port, udp := int32(5353), corev1.ProtocolUDP
	e := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: service + "-" + node, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port, Protocol: &udp}},
	}
	for _, a := range addresses {
		e.Endpoints = append(e.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, NodeName: &node})
	}
	return e
}

func local(s *corev1.Service) {
	s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	s.Spec.HealthCheckNodePort = 32000
}

// An event of a Service changes its own elements and reads nothing; a change by
// somebody else has the whole table compared, and so has a failure.
func TestServiceEventChangesItsElements(t *testing.T) {
	h := newFakeHost(t)
	h.pass()
	if h.applies > 0 {
		t.Error("the table is written before the node is known")
	}
	h.services.SetInputs(inputs())
	for i := range 20 {
		h.services.ServiceChanged(nodePortService(fmt.Sprint("s", i), fmt.Sprint("10.96.1.", i), int32(30000+i), nil), false) //nolint:gosec // a port
	}
	h.pass()
	if h.applies != 1 || len(h.elements("cluster4")) != 20 {
		t.Errorf("%d comparisons, elements %v", h.applies, h.elements("cluster4"))
	}
	for _, step := range []struct {
		what             string
		do               func()
		changes, applies int
	}{
		{"nothing", func() {}, 0, 0},
		{"the same inputs", func() { h.services.SetInputs(inputs()) }, 0, 0},
		{"the same Service", func() { h.services.ServiceChanged(nodePortService("s1", "10.96.1.1", 30001, nil), false) }, 0, 0},
		{"another ClusterIP", func() { h.services.ServiceChanged(nodePortService("s1", "10.96.2.1", 30001, nil), false) }, 2, 0},
		{"a new one", func() { h.services.ServiceChanged(nodePortService("new", "10.96.2.2", 30900, nil), false) }, 1, 0},
		{"endpoints that OVN chooses from", func() { h.services.SliceChanged(endpointSlice("new", "n1", "10.16.0.5"), false) }, 0, 0},
		{"local", func() { h.services.ServiceChanged(nodePortService("new", "10.96.2.2", 30900, local), false) }, 61, 0},
		{"one more here: every other slot", func() { h.services.SliceChanged(endpointSlice("new", "n1", "10.16.0.5", "10.16.0.6"), false) }, 60, 0},
		{"one elsewhere", func() { h.services.SliceChanged(endpointSlice("new", "n2", "10.16.0.7"), false) }, 0, 0},
		{"none here", func() { h.services.SliceChanged(endpointSlice("new", "n1"), true) }, 60, 0},
		{"it goes", func() { h.services.ServiceChanged(nodePortService("new", "10.96.2.2", 30900, local), true) }, 2, 0},
		{"somebody else's change", func() { h.services.TableChanged() }, 0, 1},
		{"another address of the node", func() {
			in := inputs()
			in.Node.InternalIPs = []netip.Addr{netip.MustParseAddr("192.168.77.99")}
			h.services.SetInputs(in)
		}, 40, 0},
		{"a pod of this node", func() {
			in := inputs()
			in.Node.InternalIPs = []netip.Addr{netip.MustParseAddr("192.168.77.99")}
			in.Pods = []hostplan.Pod{{Subnet: "s", Addresses: []netip.Addr{netip.MustParseAddr("10.16.0.20")}}}
			h.services.SetInputs(in)
		}, 1, 0},
		{"a subnet", func() {
			in := inputs()
			in.Subnets = []hostplan.Subnet{{Name: "s", Vpc: "ovn-cluster", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.16.0.0/16")}}}
			h.services.SetInputs(in)
		}, 0, 1},
	} {
		changes, applies := h.changes, h.applies
		step.do()
		h.pass()
		if h.changes-changes != step.changes || h.applies-applies != step.applies {
			t.Errorf("%s: %d elements changed and %d comparisons, want %d and %d", step.what, h.changes-changes, h.applies-applies, step.changes, step.applies)
		}
	}
	if got := h.elements("cluster4"); len(got) != 20 || !slices.Contains(got, "192.168.77.11 . 17 . 30001 : 10.96.2.1 . 53") {
		t.Errorf("elements %v", got)
	}
}

// What somebody takes from the table under our hands comes back.
func TestServiceTableIsRepaired(t *testing.T) {
	h := newFakeHost(t)
	h.services.SetInputs(inputs())
	h.services.ServiceChanged(nodePortService("web", "10.96.0.80", 30080, nil), false)
	h.pass()
	tx := h.tables.NewTransaction()
	tx.Flush(&knftables.Map{Name: "cluster4"})
	if err := h.tables.Run(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	h.services.ServiceChanged(nodePortService("web", "10.96.0.81", 30080, nil), false)
	h.pass() // an element to remove is not there
	if got := h.elements("cluster4"); len(got) != 1 || got[0] != "192.168.77.11 . 17 . 30080 : 10.96.0.81 . 53" {
		t.Errorf("elements %v", got)
	}
	h.broken = errors.New("no nft")
	h.services.TableChanged()
	if err := h.services.pass(t.Context()); err == nil || !strings.Contains(err.Error(), "no nft") {
		t.Errorf("error %v", err)
	}
	h.broken = nil
	h.services.ServiceChanged(nodePortService("web", "10.96.0.82", 30080, nil), false)
	h.pass()
	if got := h.elements("cluster4"); len(got) != 1 || got[0] != "192.168.77.11 . 17 . 30080 : 10.96.0.82 . 53" {
		t.Errorf("after a failure: elements %v", got)
	}
}

// A watch that starts, perhaps again, may have missed reports of our own changes, so the next report is somebody
// else's.
func TestWatchStartsInDoubt(t *testing.T) {
	h := newFakeHost(t)
	h.services.expect(3)
	h.services.unsure = false
	ctx, cancel := context.WithCancel(t.Context())
	nstest.New(t).Go(func() { h.services.WatchKernel(ctx) })
	defer cancel()
	for {
		h.services.mu.Lock()
		own, unsure := h.services.own, h.services.unsure
		h.services.mu.Unlock()
		if own == 0 && unsure {
			return
		}
		runtime.Gosched()
	}
}

// Connections to a backend that goes are forgotten, in the kernel at once and in Open
// vSwitch also after OVN has had time for its flows, unless it has come back.
func TestConnectionsAreForgotten(t *testing.T) {
	h := newFakeHost(t)
	h.services.SetInputs(inputs())
	h.services.ServiceChanged(nodePortService("web", "10.96.0.80", 30080, local), false)
	h.services.SliceChanged(endpointSlice("web", "n1", "10.16.0.5", "10.16.0.6"), false)
	flow := func(asked, answers string) conntrack.Flow {
		return conntrack.Flow{Asked: netip.MustParseAddrPort(asked), Answers: netip.MustParseAddrPort(answers)}
	}
	stays := []conntrack.Flow{flow("192.168.77.11:30080", "10.16.0.5:5353"), flow("192.168.77.11:53", "192.168.77.11:53")}
	h.flows = append(slices.Clone(stays), flow("192.168.77.11:30080", "10.16.0.9:5353"))
	h.pass()
	if !slices.Equal(h.flows, stays) || len(h.forgot) > 0 {
		t.Errorf("at the start: left are %v, Open vSwitch forgot %v", h.flows, h.forgot)
	}
	if h.health[types.NamespacedName{Namespace: "shop", Name: "web"}] != (healthport.Check{Port: 32000, Backends: 2}) {
		t.Errorf("health %v", h.health)
	}
	h.services.SliceChanged(endpointSlice("web", "n1", "10.16.0.6"), false)
	h.pass()
	gone := "10.96.0.80:53 10.16.0.5:5353"
	if !slices.Equal(h.flows, stays[1:]) || !slices.Equal(h.forgot, []string{gone}) {
		t.Errorf("one goes: left are %v, Open vSwitch forgot %v", h.flows, h.forgot)
	}
	h.clock.Step(time.Second)
	h.pass()
	h.services.SliceChanged(endpointSlice("web", "n1", "10.16.0.5", "10.16.0.6"), false)
	h.clock.Step(time.Minute)
	h.pass()
	if !slices.Equal(h.forgot, []string{gone, gone}) {
		t.Errorf("it comes back: Open vSwitch forgot %v", h.forgot)
	}
	h.forgot = nil
	h.services.ServiceChanged(nodePortService("late", "10.96.0.90", 30090, nil), false)
	h.pass()
	h.services.SliceChanged(endpointSlice("late", "n2", "10.16.0.7"), false)
	h.pass()
	if want := []string{"10.96.0.90:53 10.96.0.90:53"}; !slices.Equal(h.forgot, want) {
		t.Errorf("the first backend: Open vSwitch forgot %v, want %v", h.forgot, want)
	}
	h.services.ServiceChanged(nodePortService("web", "10.96.0.80", 30080, local), true)
	h.pass()
	if len(h.health) > 0 || !slices.Contains(h.forgot, "10.96.0.80:53 10.16.0.6:5353") {
		t.Errorf("the Service goes: health %v, Open vSwitch forgot %v", h.health, h.forgot)
	}
}

// Some seconds after a change the connections to a Service that go to none of its
// backends are forgotten, wherever they go; with one look for all Services.
func TestConnectionsAreLookedAt(t *testing.T) {
	h := newFakeHost(t)
	h.services.SetInputs(inputs())
	addresses := map[string]string{"web": "10.96.0.80", "other": "10.96.0.81"}
	for name, address := range addresses {
		h.services.ServiceChanged(nodePortService(name, address, 0, nil), false)
		h.services.SliceChanged(endpointSlice(name, "n1", "10.16.0.5", "10.16.0.6"), false)
	}
	h.pass()
	h.clock.Step(time.Minute)
	h.pass()
	if h.looks > 0 {
		t.Errorf("%d looks without a change", h.looks)
	}
	flow := func(asked, answers string) conntrack.Flow {
		return conntrack.Flow{Asked: netip.MustParseAddrPort(asked), Answers: netip.MustParseAddrPort(answers)}
	}
	h.tracked = []conntrack.Flow{
		flow("10.96.0.80:53", "253.0.0.16:5353"), flow("10.96.0.80:53", "10.96.0.80:53"), flow("10.96.0.80:53", "10.16.0.5:5353"),
		flow("10.96.0.81:53", "10.16.0.5:5353"), flow("10.96.0.99:53", "10.16.0.99:53"),
	}
	for name := range addresses {
		h.services.SliceChanged(endpointSlice(name, "n1", "10.16.0.5"), false)
		h.pass()
	}
	h.forgot = nil
	h.clock.Step(10 * time.Second)
	h.pass()
	slices.Sort(h.forgot)
	h.forgot = slices.Compact(h.forgot) // those that go to the backend that is gone: more than once
	if want := []string{"10.96.0.80:53 10.16.0.6:5353", "10.96.0.80:53 253.0.0.16:5353", "10.96.0.81:53 10.16.0.6:5353"}; !slices.Equal(h.forgot, want) {
		t.Errorf("Open vSwitch forgot %v, want %v", h.forgot, want)
	}
	h.clock.Step(time.Minute)
	h.pass()
	if _, more := h.services.udp.next(); more || h.looks != 2 {
		t.Errorf("%d looks for two changes at once, want 2; more to do: %v", h.looks, more)
	}
	h.services.ServiceChanged(nodePortService("web", "10.96.0.80", 0, nil), true)
	h.pass()
	h.forgot = nil
	h.clock.Step(10 * time.Second)
	h.pass()
	if !slices.Contains(h.forgot, "10.96.0.80:53 10.16.0.5:5353") {
		t.Errorf("the Service is gone: Open vSwitch forgot %v", h.forgot)
	}
}

// Clients whose backend goes are forgotten, and those of a Service that goes.
func TestClientsAreForgotten(t *testing.T) {
	h := newFakeHost(t)
	h.services.SetInputs(inputs())
	sticky := nodePortService("web", "10.96.0.80", 30080, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP })
	h.services.ServiceChanged(sticky, false)
	h.services.SliceChanged(endpointSlice("web", "n1", "10.16.0.5", "10.16.0.6"), false)
	h.pass()
	number := strings.Fields(h.elements("timeouts")[0])[0]
	learn := func(client, backend string) {
		tx := h.tables.NewTransaction()
		key := []string{number + " . " + client}
		tx.Add(&knftables.Element{Map: "clients4", Key: key, Value: []string{backend}})
		tx.Add(&knftables.Element{Map: "clientports4", Key: key, Value: []string{"5353"}})
		if err := h.tables.Run(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	learn("192.0.2.1", "10.16.0.5")
	learn("192.0.2.2", "10.16.0.6")
	h.services.SliceChanged(endpointSlice("web", "n1", "10.16.0.6"), false)
	h.pass()
	for _, name := range []string{"clients4", "clientports4"} {
		if got := h.elements(name); len(got) != 1 || !strings.Contains(got[0], "192.0.2.2") {
			t.Errorf("%s is %v", name, got)
		}
	}
	h.services.ServiceChanged(sticky, true)
	h.pass()
	if got := append(h.elements("clients4"), h.elements("clientports4")...); len(got) > 0 {
		t.Errorf("left is %v", got)
	}
}

// An external address belongs to the API server as soon as the node knows it, and to the Service again when it does
// not.
func TestAddressOfTheAPIServer(t *testing.T) {
	h := newFakeHost(t)
	thief := nodePortService("thief", "10.96.0.80", 30080, func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.168.77.1"} })
	h.services.ServiceChanged(thief, false)
	for _, servers := range [][]netip.Addr{nil, {netip.MustParseAddr("192.168.77.1")}, nil} {
		in := inputs()
		in.Infrastructure.APIServers = servers
		h.services.SetInputs(in)
		h.pass()
		if got := h.elements("cluster4"); slices.Contains(got, "192.168.77.1 . 17 . 53 : 10.96.0.80 . 53") != (servers == nil) || !slices.Contains(got, "192.168.77.11 . 17 . 30080 : 10.96.0.80 . 53") {
			t.Errorf("API servers %v, elements %v", servers, got)
		}
	}
}
