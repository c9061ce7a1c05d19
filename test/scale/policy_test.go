// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/test/nbtest"
)

// policed is a cluster with 100 namespaces in 10 teams, in each of which pods are of 10 apps.
type policed struct{ *cluster }

func newPoliced(pods int) policed { return policed{manySubnets(100, pods, 100)} }

func (p policed) infrastructure() []engine.Change {
	out := p.cluster.infrastructure()
	for i, ch := range out {
		if namespace, ok := ch.Object.(*model.Namespace); ok {
			named := *namespace
			named.Labels = map[string]string{"kubernetes.io/metadata.name": named.Name, "team": p.team(named.Name)}
			out[i].Object = &named
		}
	}
	return out
}

// team returns the team of a namespace. The namespaces of a team are not consecutive.
func (p policed) team(namespace string) string {
	for i, home := range p.homes {
		if namespaceOf(home) == namespace {
			return fmt.Sprint("t", i%10)
		}
	}
	return ""
}

// pod has labels, and a port whose name means different numbers for different apps.
func (p policed) pod(i int) []engine.Change {
	out, app := p.cluster.pod(i), i/len(p.homes)%10
	if pod, ok := out[1].Object.(*model.Pod); ok {
		pod.Labels = map[string]string{"app": fmt.Sprint("a", app), "pod-template-hash": fmt.Sprint(i % 50), "release": fmt.Sprint("r", i%3)}
		number := uint16(8080 + app%2)
		pod.Ports = []model.PolicyPort{{Protocol: model.TCP, Name: "http", First: number, Last: number}}
	}
	return out
}

func (p policed) all() (out []engine.Change) {
	for i := range p.pods {
		out = append(out, p.pod(i)...)
	}
	return out
}

func policyChange(p *model.Policy) engine.Change {
	p.Meta = model.Meta{Namespace: p.Namespace, Name: p.Name, UID: p.Namespace + "-" + p.Name, Created: 5}
	p.Kind = model.KindNetworkPolicy
	p.Tier = model.TierDefault
	return change(p.Kind, p.Namespace, p.Name, p)
}

func ingress(rules ...model.PolicyRule) model.PolicySide {
	for i := range rules {
		rules[i].Action = model.PolicyAllow
	}
	return model.PolicySide{Isolated: true, Rules: rules}
}

// policies are ten policies in each namespace: a default deny, and rules by pods, namespaces, addresses and named
// ports.
func (p policed) policies() (out []engine.Change) {
	tcp := func(number uint16) []model.PolicyPort {
		return []model.PolicyPort{{Protocol: model.TCP, First: number, Last: number}}
	}
	http := []model.PolicyPort{{Protocol: model.TCP, Name: "http"}}
	for i, home := range p.homes {
		namespace := namespaceOf(home)
		app := func(n int) model.Group {
			return model.Group{Namespace: namespace, Pods: fmt.Sprint("app=a", n)}
		}
		team := model.Group{Namespaces: fmt.Sprint("team=t", i%10)}
		add := func(name string, subject model.Group, in, out2 model.PolicySide) {
			policy := &model.Policy{Subject: subject, Ingress: in, Egress: out2}
			policy.Namespace, policy.Name = namespace, name
			out = append(out, policyChange(policy))
		}
		none := model.PolicySide{}
		add("default-deny", model.Group{Namespace: namespace}, ingress(), ingress())
		for n := range 4 {
			add(fmt.Sprint("app-", n), app(n), ingress(model.PolicyRule{Groups: []model.Group{app(n + 1)}, Ports: tcp(8080)}), none)
		}
		add("team", app(5), ingress(model.PolicyRule{Groups: []model.Group{team}}), none)
		add("outside", app(6), none, ingress(model.PolicyRule{Blocks: []model.IPBlock{{
			CIDR: netip.MustParsePrefix("0.0.0.0/0"), Except: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.0/16")},
		}}}))
		add("http-in", app(7), ingress(model.PolicyRule{Groups: []model.Group{app(8), team}, Ports: http}), none)
		add("http-out", app(8), none, ingress(model.PolicyRule{Groups: []model.Group{{Namespaces: team.Namespaces, Pods: "app in (a7,a9)"}}, Ports: http}))
		add("dns", model.Group{Namespace: namespace}, none, ingress(model.PolicyRule{
			Groups: []model.Group{{Namespaces: "kubernetes.io/metadata.name=default", Pods: "app=a0"}},
			Ports:  []model.PolicyPort{{Protocol: model.UDP, First: 53, Last: 53}, {Protocol: model.TCP, First: 53, Last: 53}},
		}))
	}
	return out
}

// BenchmarkPolicies measures a cold start with 1,000 policies, 10,000 pods and an empty northbound database: a real
// one, and a fake one without cost.
func BenchmarkPolicies(b *testing.B) {
	p := newPoliced(10_000)
	infrastructure, pods, policies := p.infrastructure(), p.all(), p.policies()
	b.Run("ovsdb-server", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			c := connect(b, nbtest.Start(b).Endpoint())
			b.StartTimer()
			begin, before := time.Now(), processorTime()
			c.start(infrastructure, pods, policies)
			c.core.Step()
			b.ReportMetric(time.Since(begin).Seconds(), "compile-s")
			c.drain()
			b.ReportMetric((processorTime() - before).Seconds(), "client-cpu-s")
			b.ReportMetric(float64(c.ops), "ops")
			b.ReportMetric(float64(c.txns), "transactions")
		}
	})
	b.Run("fake", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			m := &fakeDB{rows: map[fact.Ref]any{}}
			core := newCore(b, m, &counter{})
			for _, changes := range [][]engine.Change{infrastructure, pods, policies} {
				apply(b, core, changes)
			}
			core.KubeSynced()
			core.NBSynced()
			core.Lead(true)
			units := drain(core, m)
			b.ReportMetric(float64(units), "units")
		}
	})
}

// wide is a policy for all pods: its subject and its peers are two groups of all pods.
func wide() engine.Change {
	policy := &model.Policy{Ingress: ingress(model.PolicyRule{Groups: []model.Group{{Namespaces: "team"}}})}
	policy.Name = "wide"
	ch := policyChange(policy)
	policy.Kind, policy.Tier = model.KindAdminNetworkPolicy, model.TierAdmin
	ch.Ref.Kind = policy.Kind
	policy.Ingress.Isolated = false
	return ch
}

// BenchmarkWidePolicy measures a new policy whose subject and peers are 10,000 pods each, on a real ovsdb-server with
// 1,000 other policies.
func BenchmarkWidePolicy(b *testing.B) {
	p := newPoliced(10_000)
	c := connect(b, nbtest.Start(b).Endpoint())
	c.start(p.infrastructure(), p.all(), p.policies())
	c.drain()
	come, leave := wide(), wide()
	leave.Object = nil
	runtime.GC()
	b.ResetTimer()
	for range b.N {
		c.ops, c.txns = 0, 0
		apply(b, c.core, []engine.Change{come})
		c.drain()
		b.ReportMetric(float64(c.ops), "ops")
		b.ReportMetric(float64(c.txns), "transactions")
		b.StopTimer()
		apply(b, c.core, []engine.Change{leave})
		c.drain()
		b.StartTimer()
	}
}

// BenchmarkPodInWideGroups adds one pod at a time to a real ovsdb-server with 1,000 policies, without and
// with two groups of all 10,000 pods.
func BenchmarkPodInWideGroups(b *testing.B) {
	for _, groups := range []int{0, 2} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			p := newPoliced(10_000)
			c := connect(b, nbtest.Start(b).Endpoint())
			c.start(p.infrastructure(), p.all(), p.policies())
			if groups > 0 {
				apply(b, c.core, []engine.Change{wide()})
			}
			c.drain()
			runtime.GC()
			c.ops, c.txns = 0, 0
			next := p.pods
			b.ResetTimer()
			before := processorTime()
			for range b.N {
				apply(b, c.core, p.pod(next))
				next++
				c.drain()
			}
			b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "client-µs/pod")
			b.ReportMetric(float64(c.ops)/float64(b.N), "ops/pod")
			b.ReportMetric(float64(c.txns)/float64(b.N), "transactions/pod")
		})
	}
}

// BenchmarkPolicedPodEvent measures adding and deleting one pod that policies select.
func BenchmarkPolicedPodEvent(b *testing.B) {
	for _, policies := range []int{0, 1_000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			p := newPoliced(10_000)
			core, m, count := p.loaded(b, policies)
			var changes [][]engine.Change
			for i := range 1000 {
				come, leave := p.pod(p.pods+i), p.pod(p.pods+i)
				leave[0].Object, leave[1].Object = nil, nil
				changes = append(changes, come, leave)
			}
			runtime.GC() // collect the garbage of loading
			b.ReportAllocs()
			b.ResetTimer()
			units, ops := 0, 0
			before := processorTime()
			for i := range b.N {
				for _, event := range changes[i%1000*2 : i%1000*2+2] {
					apply(b, core, event)
					core.Step()
					batch := core.Next()
					ops += len(plan.Encode(batch))
					units += len(batch)
					m.apply(batch)
					core.Committed(batch, done(batch), 0)
				}
			}
			events := float64(2 * b.N)
			b.ReportMetric(float64((processorTime()-before).Nanoseconds())/1000/events, "cpu-µs/event")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/events, "µs/event")
			b.ReportMetric(float64(count.woken)/events, "woken/event")
			b.ReportMetric(float64(units)/events, "units/event")
			b.ReportMetric(float64(ops)/events, "ops/event")
		})
	}
}

// loaded returns an idle core with the given number of policies.
func (p policed) loaded(t testing.TB, policies int) (*engine.Core, *fakeDB, *counter) {
	t.Helper()
	m, count := &fakeDB{rows: map[fact.Ref]any{}}, &counter{}
	core := newCore(t, m, count)
	for _, changes := range [][]engine.Change{p.infrastructure(), p.all(), p.policies()[:policies]} {
		apply(t, core, changes)
	}
	core.KubeSynced()
	core.NBSynced()
	core.Lead(true)
	drain(core, m)
	count.woken = 0
	return core, m, count
}

// The cost of a pod event depends only on the groups of the pod, not on the number of pods and policies.
func TestPolicedPodEventCost(t *testing.T) {
	cost := func(pods, policies int) (woken, units int) {
		p := newPoliced(pods)
		core, m, count := p.loaded(t, policies)
		apply(t, core, p.pod(p.pods+101)) // in a namespace that has pods and policies in both cases
		units = drain(core, m)
		return count.woken, units
	}
	woken, units := cost(1_000, 100)
	if moreWoken, moreUnits := cost(3_000, 1_000); moreWoken != woken || moreUnits != units {
		t.Errorf("a pod event wakes %d owners and makes %d changes with 100 policies, %d and %d with 1,000", woken, units, moreWoken, moreUnits)
	}
}
