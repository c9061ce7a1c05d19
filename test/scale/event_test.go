// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
)

// fakeDB replaces the cache of the database: it holds the rows that the core wrote. Only ports are added and deleted
// during a benchmark.
type fakeDB struct{ rows map[fact.Ref]any }

func (m *fakeDB) Row(table, uuid string) any { return m.rows[fact.Ref{Table: table, UUID: uuid}] }

func (m *fakeDB) Each(table string, fn func(string, any) bool) {
	for ref, row := range m.rows {
		if ref.Table == table && !fn(ref.UUID, row) {
			return
		}
	}
}

func (m *fakeDB) Foreign(string, string) (string, bool) { return "", false }

// apply applies units.
func (m *fakeDB) apply(units []plan.Unit) {
	for _, u := range units {
		switch u.Action {
		case plan.Insert:
			m.rows[u.Ref] = rowOf(u)
		case plan.Delete:
			delete(m.rows, u.Ref)
		case plan.Link:
			switch row := m.rows[u.Ref].(type) {
			case *nb.AddressSet:
				row.Addresses = append(row.Addresses, u.Member.Value)
			case *nb.LoadBalancerGroup:
				row.LoadBalancer = append(row.LoadBalancer, u.Member.Value)
			case *nb.PortGroup:
				row.Ports = append(row.Ports, u.Member.Value)
			}
		case plan.Unlink:
			if group, ok := m.rows[u.Ref].(*nb.PortGroup); ok {
				drop(&group.Ports, u.Member.Value)
			}
		case plan.Update:
		}
	}
}

// drop removes an element, searching from the end.
func drop(from *[]string, element string) {
	list := *from
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == element {
			list[i] = list[len(list)-1]
			*from = list[:len(list)-1]
			return
		}
	}
}

func stringsOf(column any) map[string]string {
	out := map[string]string{}
	if m, ok := column.(ovsdb.OvsMap); ok {
		for k, v := range m.GoMap {
			out[fmt.Sprint(k)] = fmt.Sprint(v)
		}
	}
	return out
}

func rowOf(u plan.Unit) any {
	ids := stringsOf(u.Row["external_ids"])
	switch u.Ref.Table {
	case nb.LogicalSwitchPortTable:
		return &nb.LogicalSwitchPort{UUID: u.Ref.UUID, ExternalIDs: ids}
	case nb.LoadBalancerTable:
		return &nb.LoadBalancer{UUID: u.Ref.UUID, ExternalIDs: ids, Options: stringsOf(u.Row["options"]), Vips: stringsOf(u.Row["vips"])}
	case nb.LoadBalancerGroupTable:
		return &nb.LoadBalancerGroup{UUID: u.Ref.UUID}
	case nb.PortGroupTable:
		return &nb.PortGroup{UUID: u.Ref.UUID, ExternalIDs: ids}
	case nb.AddressSetTable:
		return &nb.AddressSet{UUID: u.Ref.UUID, ExternalIDs: ids}
	default:
		return &nb.LogicalSwitch{UUID: u.Ref.UUID, ExternalIDs: ids}
	}
}

// counter counts the owners that changes caused to be compiled again.
type counter struct {
	engine.Observer
	woken int
}

func (c *counter) Woken(_ model.Kind, n int)          { c.woken += n }
func (c *counter) Compiled(model.Kind, float64)       {}
func (c *counter) Committed(int, int, float64, error) {}
func (c *counter) Drift(string)                       {}
func (c *counter) Connected(bool)                     {}
func (c *counter) Epoch(int64)                        {}
func (c *counter) Compared()                          {}

// loaded returns an idle core with the cluster's pods.
func loaded(t testing.TB, c *cluster) (*engine.Core, *fakeDB, *counter) {
	m, count := &fakeDB{rows: map[fact.Ref]any{}}, &counter{}
	core := newCore(t, m, count)
	apply(t, core, c.infrastructure())
	for i := range c.pods {
		apply(t, core, c.pod(i))
	}
	core.KubeSynced()
	core.NBSynced()
	core.Lead(true)
	drain(core, m)
	return core, m, count
}

func drain(core *engine.Core, m *fakeDB) (units int) {
	for {
		core.Step()
		batch := core.Next()
		if len(batch) == 0 {
			return units
		}
		units += len(batch)
		m.apply(batch)
		core.Committed(batch, done(batch), 0)
	}
}

// BenchmarkPodEvent measures adding and deleting one pod: two events, each compiled, compared and encoded.
func BenchmarkPodEvent(b *testing.B) {
	for _, size := range []struct {
		pods, subnets int
		open          bool // without port security
	}{{1_000, 1, false}, {1_000, 1, true}, {10_000, 1, false}, {100_000, 1, false}, {100_000, 1_000, false}} {
		name := fmt.Sprintf("pods=%d/subnets=%d", size.pods, size.subnets)
		if size.open {
			name += "/port-security=false"
		}
		b.Run(name, func(b *testing.B) {
			before := config.PortSecurity
			config.PortSecurity = !size.open
			defer func() { config.PortSecurity = before }()
			pods := size.pods
			c := manySubnets(100, pods, size.subnets)
			if size.subnets == 1 {
				c = newCluster(100, pods)
			}
			core, m, count := loaded(b, c)
			count.woken = 0
			units, ops := 0, 0
			var changes [][]engine.Change
			for i := range 1000 {
				come, leave := c.pod(pods+i), c.pod(pods+i)
				leave[0].Object, leave[1].Object = nil, nil
				changes = append(changes, come, leave)
			}
			runtime.GC() // collect the garbage of loading
			b.ReportAllocs()
			b.ResetTimer()
			start := processorTime()
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
			b.ReportMetric(float64((processorTime()-start).Nanoseconds())/1000/events, "cpu-µs/event")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1000/events, "µs/event")
			b.ReportMetric(float64(count.woken)/events, "woken/event")
			b.ReportMetric(float64(units)/events, "units/event")
			b.ReportMetric(float64(ops)/events, "ops/event")
		})
	}
}

// The owners that a pod event wakes and the rows that it writes do not depend on the number of pods or subnets.
func TestPodEventCost(t *testing.T) {
	cost := func(c *cluster) (woken, units int) {
		core, m, count := loaded(t, c)
		count.woken = 0
		apply(t, core, c.pod(c.pods))
		units = drain(core, m)
		return count.woken, units
	}
	fewWoken, fewUnits := cost(newCluster(10, 10))
	for name, c := range map[string]*cluster{"2,000 pods": newCluster(10, 2_000), "100 subnets": manySubnets(10, 500, 100)} {
		if woken, units := cost(c); woken != fewWoken || units != fewUnits || units != 1 {
			t.Errorf("a pod event wakes %d owners and makes %d changes at 10 pods, %d and %d at %s", fewWoken, fewUnits, woken, units, name)
		}
	}
}
