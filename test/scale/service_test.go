// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// services returns Services of two ports, each with the given number of endpoints.
func services(count, endpoints int) (out []engine.Change) {
	ports := []model.ServicePort{{Name: "http", Protocol: model.TCP, Port: 80}, {Name: "metrics", Protocol: model.TCP, Port: 9090}}
	for i := range count {
		name := fmt.Sprint("s", i)
		out = append(out, change(model.KindService, "default", name, &model.Service{
			Meta: model.Meta{Namespace: "default", Name: name, UID: name, Created: 2}, ClusterIPs: model.Addrs{V4: address("10.96.0.1", i)}, Ports: ports, Vpc: model.DefaultVpc,
		}), endpointsOf(i, endpoints))
	}
	return out
}

func endpointsOf(service, endpoints int) engine.Change {
	name := fmt.Sprint("s", service)
	slice := &model.EndpointSlice{
		Meta: model.Meta{Namespace: "default", Name: name + "-1", UID: name, Created: 3}, Service: name,
		Ports: []model.ServicePort{{Name: "http", Protocol: model.TCP, Port: 8080}, {Name: "metrics", Protocol: model.TCP, Port: 9090}},
		Pods:  map[netip.Addr]string{},
	}
	for i := range endpoints {
		a := address("10.0.0.2", service*endpoints+i)
		slice.Ready, slice.Pods[a] = append(slice.Ready, a), fmt.Sprint("p", i)
	}
	return change(model.KindEndpointSlice, "default", slice.Name, slice)
}

// BenchmarkServices measures a cold start with 10,000 Services of 10 endpoints each: compile, compare, encode.
func BenchmarkServices(b *testing.B) {
	c, changes := newCluster(100, 0), services(10_000, 10)
	b.ReportAllocs()
	for range b.N {
		m := &fakeDB{rows: map[fact.Ref]any{}}
		core := newCore(b, m, &counter{})
		apply(b, core, c.infrastructure())
		apply(b, core, changes)
		core.KubeSynced()
		core.NBSynced()
		core.Lead(true)
		ops := 0
		for {
			core.Step()
			batch := core.Next()
			if len(batch) == 0 {
				break
			}
			ops += len(plan.Encode(batch))
			m.apply(batch)
			core.Committed(batch, done(batch), 0)
		}
		b.ReportMetric(float64(ops), "ops")
	}
}

// BenchmarkEndpointEvent measures adding or deleting one endpoint.
func BenchmarkEndpointEvent(b *testing.B) {
	for _, count := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("services=%d", count), func(b *testing.B) {
			core, m, woken := serving(b, count)
			runtime.GC() // collect the garbage of loading
			b.ReportAllocs()
			b.ResetTimer()
			units := 0
			for i := range b.N {
				apply(b, core, []engine.Change{endpointsOf(i%100, 9+i/100%2)})
				units += drain(core, m)
			}
			b.ReportMetric(float64(woken.woken)/float64(b.N), "woken/event")
			b.ReportMetric(float64(units)/float64(b.N), "units/event")
		})
	}
}

// An endpoint event wakes the Service and the slice, and changes one row, for any number of Services.
func TestEndpointEventCost(t *testing.T) {
	for _, count := range []int{10, 1_000} {
		core, m, woken := serving(t, count)
		apply(t, core, []engine.Change{endpointsOf(3, 7)})
		if units := drain(core, m); units != 1 || woken.woken != 2 {
			t.Errorf("with %d Services an event makes %d changes and wakes %d owners", count, units, woken.woken)
		}
	}
}

// serving returns an idle core with the given number of Services.
func serving(t testing.TB, count int) (*engine.Core, *fakeDB, *counter) {
	t.Helper()
	core, m, woken := loaded(t, newCluster(10, 0))
	apply(t, core, services(count, 10))
	drain(core, m)
	woken.woken = 0
	return core, m, woken
}
