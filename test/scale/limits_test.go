// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
)

// objectSize is about the largest object that the API server stores: etcd's limit for a request, 1.5 MiB.
const objectSize = 1_500_000

// randomAddresses returns different random addresses.
func randomAddresses(n int, v6 bool) []string {
	random := rand.New(rand.NewPCG(1, 2))
	out, seen := make([]string, 0, n), map[netip.Addr]bool{}
	for len(out) < n {
		a := netip.AddrFrom4([4]byte{byte(20 + random.IntN(100)), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		if v6 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 8: byte(random.Uint32()), 11: byte(random.Uint32()), 13: byte(random.Uint32()), 15: byte(random.Uint32())})
		}
		if !seen[a] {
			seen[a] = true
			out = append(out, netip.PrefixFrom(a, a.BitLen()).String())
		}
	}
	return out
}

func manyExceptions(n int, v6 bool) *networkingv1.NetworkPolicy {
	cidr := map[bool]string{true: "::/0", false: "0.0.0.0/0"}[v6]
	peer := networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: randomAddresses(n, v6)}}
	return tenantPolicy(networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{peer}})
}

func tenantPolicy(rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "large", UID: "large"},
		Spec:       networkingv1.NetworkPolicySpec{Ingress: rules},
	}
}

func numberedPorts(n int) (out []networkingv1.NetworkPolicyPort) {
	for i := range n {
		port := intstr.FromInt(2*i + 1)
		out = append(out, networkingv1.NetworkPolicyPort{Port: &port})
	}
	return out
}

// largePolicies are policies that use their size in different ways.
var largePolicies = []struct {
	name   string
	policy func() *networkingv1.NetworkPolicy
}{
	{"exceptions=1500/IPv4", func() *networkingv1.NetworkPolicy { return manyExceptions(1500, false) }},
	{"exceptions=1500/IPv6", func() *networkingv1.NetworkPolicy { return manyExceptions(1500, true) }},
	{"exceptions=19000/IPv4", func() *networkingv1.NetworkPolicy { return manyExceptions(19_000, false) }},
	{"exceptions=70000/IPv4", func() *networkingv1.NetworkPolicy { return manyExceptions(70_000, false) }},
	{"blocks=36000", func() *networkingv1.NetworkPolicy {
		var rule networkingv1.NetworkPolicyIngressRule
		for _, cidr := range randomAddresses(36_000, false) {
			rule.From = append(rule.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
		}
		return tenantPolicy(rule)
	}},
	{"rules=10000", func() *networkingv1.NetworkPolicy {
		var rules []networkingv1.NetworkPolicyIngressRule
		for _, port := range numberedPorts(10_000) {
			rules = append(rules, networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}, Ports: []networkingv1.NetworkPolicyPort{port},
			})
		}
		return tenantPolicy(rules...)
	}},
	{"selectors=15000", func() *networkingv1.NetworkPolicy {
		var rule networkingv1.NetworkPolicyIngressRule
		for i := range 15_000 {
			rule.From = append(rule.From, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": fmt.Sprint(i)}}})
		}
		return tenantPolicy(rule)
	}},
	{"selectors=5000,names=15000", func() *networkingv1.NetworkPolicy {
		var rule networkingv1.NetworkPolicyEgressRule
		for i := range 5000 {
			rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": fmt.Sprint(i)}}})
		}
		for i := range 15_000 {
			name := intstr.FromString(fmt.Sprint("n", i))
			rule.Ports = append(rule.Ports, networkingv1.NetworkPolicyPort{Port: &name})
		}
		p := tenantPolicy()
		p.Spec.PolicyTypes, p.Spec.Egress = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, []networkingv1.NetworkPolicyEgressRule{rule}
		return p
	}},
}

// BenchmarkPolicyExceptions measures the event of one large policy with the default limits: the ACLs in the northbound
// database and the bytes of their matches, and the time of the controller.
func BenchmarkPolicyExceptions(b *testing.B) {
	for _, large := range largePolicies {
		b.Run(large.name, func(b *testing.B) {
			p := newPoliced(100)
			o := large.policy()
			data, err := json.Marshal(o)
			if err != nil || len(data) > objectSize {
				b.Fatalf("the object has %d bytes: %v", len(data), err)
			}
			for range b.N {
				b.StopTimer()
				core, m, _ := p.loaded(b, 0)
				b.StartTimer()
				begin := time.Now()
				policy, problems := model.DefaultLimits.NetworkPolicy(o)
				apply(b, core, []engine.Change{{Ref: policy.Ref(), Object: &policy, Problems: problems}})
				rows, bytes := drainACLs(core, m)
				b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/event")
				b.ReportMetric(float64(len(data)), "bytes-of-object")
				b.ReportMetric(float64(rows), "ACLs")
				b.ReportMetric(float64(bytes), "bytes-of-matches")
			}
		})
	}
}

// drainACLs writes what is dirty, and returns how many ACLs that inserts and the bytes of their matches.
func drainACLs(core *engine.Core, m *fakeDB) (rows, bytes int) {
	for {
		core.Step()
		batch := core.Next()
		if len(batch) == 0 {
			return rows, bytes
		}
		for _, u := range batch {
			if match, ok := u.Row["match"].(string); ok && u.Ref.Table == nb.ACLTable && u.Action == plan.Insert {
				rows, bytes = rows+1, bytes+len(match)
			}
		}
		m.apply(batch)
		core.Committed(batch, done(batch), 0)
	}
}

// What a tenant's policy costs in the database is bounded, whatever fills the object.
func TestLargePoliciesAreBounded(t *testing.T) {
	p := newPoliced(100)
	for _, large := range largePolicies {
		core, m, _ := p.loaded(t, 0)
		policy, problems := model.DefaultLimits.NetworkPolicy(large.policy())
		apply(t, core, []engine.Change{{Ref: policy.Ref(), Object: &policy, Problems: problems}})
		rows, bytes := drainACLs(core, m)
		if rows == 0 || rows > model.DefaultLimits.PolicyElements || bytes > 50*model.DefaultLimits.PolicyElements {
			t.Errorf("%s: %d ACLs with matches of %d bytes", large.name, rows, bytes)
		}
	}
}

// largeServices are Services whose parts a tenant has multiplied.
var largeServices = []struct {
	name                                     string
	ports, external, slices, endpointsOfEach int
}{
	{"ports=15000", 15_000, 0, 1, 1},
	{"ports=1000,external=1000", 1000, 1000, 0, 0},
	{"external=50000", 1, 50_000, 0, 0},
	{"endpoints=100000", 2, 0, 100, 1000},
	{"ports=15000,endpoints=10000", 15_000, 0, 10, 1000},
}

// BenchmarkLargeServices measures the event of one large Service with the default limits: the virtual addresses and the
// bytes in the column Load_Balancer.vips, and the time of the controller.
func BenchmarkLargeServices(b *testing.B) {
	for _, large := range largeServices {
		b.Run(large.name, func(b *testing.B) {
			p := newPoliced(100)
			s := &model.Service{
				Meta: model.Meta{Namespace: "default", Name: "large", UID: "large"}, Vpc: config.ClusterRouter,
				ClusterIPs: model.Addrs{V4: netip.MustParseAddr("172.30.0.1"), V6: netip.MustParseAddr("fd00:10:96::1")},
			}
			for i := range large.ports {
				s.Ports = append(s.Ports, model.ServicePort{Name: fmt.Sprintf("p%05d", i), Protocol: model.TCP, Port: uint16(i + 1)})
			}
			for i := range large.external {
				s.External.IPs = append(s.External.IPs, netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}))
			}
			changes := []engine.Change{change(model.KindService, s.Namespace, s.Name, s)}
			for i := range large.slices {
				e := &model.EndpointSlice{Meta: model.Meta{Namespace: s.Namespace, Name: fmt.Sprint("s", i)}, Service: s.Name, Ports: s.Ports}
				for n := range large.endpointsOfEach {
					e.Ready = append(e.Ready, netip.AddrFrom4([4]byte{198, byte(100 + i), byte(n >> 8), byte(n)}))
				}
				changes = append(changes, change(model.KindEndpointSlice, e.Namespace, e.Name, e))
			}
			for range b.N {
				b.StopTimer()
				core, m, _ := p.loaded(b, 0)
				b.StartTimer()
				begin := time.Now()
				apply(b, core, changes)
				drain(core, m)
				b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/event")
				vips, bytes := m.vips()
				b.ReportMetric(float64(vips), "vips")
				b.ReportMetric(float64(bytes), "bytes-of-vips")
			}
		})
	}
}

func (m *fakeDB) vips() (n, bytes int) {
	for _, row := range m.rows {
		if lb, ok := row.(*nb.LoadBalancer); ok {
			for vip, backends := range lb.Vips {
				n, bytes = n+1, bytes+len(vip)+len(backends)
			}
		}
	}
	return n, bytes
}
