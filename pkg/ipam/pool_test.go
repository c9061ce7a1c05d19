// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

func poolSubnet(pools ...Pool) Subnet {
	return Subnet{
		Name: "s", CIDR: prefixes("10.0.0.0/27", ""), Gateway: model.Addrs{V4: netip.MustParseAddr("10.0.0.1")},
		Exclude: []model.Range{span("10.0.0.12", "10.0.0.13")}, Pools: pools,
	}
}

func span(first, last string) model.Range {
	return model.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

// poolMachine claims and releases at random while pools come, go and change.
type poolMachine struct {
	a    *Allocator
	def  Subnet
	held map[string]Allocation
}

var drawPools = rapid.Custom(func(t *rapid.T) []Pool {
	choices := [][]Pool{
		nil,
		{{"a", []model.Range{span("10.0.0.4", "10.0.0.7")}}},
		{{"a", []model.Range{span("10.0.0.4", "10.0.0.7")}}, {"b", []model.Range{span("10.0.0.11", "10.0.0.14"), span("10.0.0.20", "10.0.0.40")}}},
		{{"b", []model.Range{span("10.0.0.0", "10.0.0.5")}}},
	}
	return choices[rapid.IntRange(0, len(choices)-1).Draw(t, "pools")]
})

func (m *poolMachine) Redefine(t *rapid.T) {
	m.def = poolSubnet(drawPools.Draw(t, "pools")...)
	if err := m.a.SetSubnet(m.def); err != nil {
		t.Fatal(err)
	}
}

// mine lists what a pool may give out; for the empty name, what is in no pool.
func (m *poolMachine) mine(name string) (out []netip.Addr) {
	for ip := netip.MustParseAddr("10.0.0.2"); ip != netip.MustParseAddr("10.0.0.31"); ip = ip.Next() {
		of := ""
		for _, p := range m.def.Pools {
			if slices.ContainsFunc(p.Ranges, func(r model.Range) bool { return r.Contains(ip) }) {
				of = p.Name
			}
		}
		if of == name && !m.def.Exclude[0].Contains(ip) {
			out = append(out, ip)
		}
	}
	return out
}

func (m *poolMachine) free(name string) []netip.Addr {
	return slices.DeleteFunc(m.mine(name), func(ip netip.Addr) bool {
		for _, al := range m.held {
			if al.Addrs.V4 == ip {
				return true
			}
		}
		return false
	})
}

func (m *poolMachine) Claim(t *rapid.T) {
	owner := fmt.Sprint("p", rapid.IntRange(0, 30).Draw(t, "owner"))
	name := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "pool")
	if _, ok := m.held[owner]; ok {
		return
	}
	free := m.free(name)
	known := name == "" || slices.ContainsFunc(m.def.Pools, func(p Pool) bool { return p.Name == name })
	al, err := m.a.Claim("s", Request{Owner: ipRef(owner), Pool: name})
	switch {
	case !known && errors.As(err, new(*NoPoolError)), known && len(free) == 0 && errors.Is(err, ErrExhausted):
	case err != nil || !slices.Contains(free, al.Addrs.V4):
		t.Fatalf("pool %q gives %v, %v; free are %v", name, al, err, free)
	default:
		m.held[owner] = al
	}
}

func (m *poolMachine) Static(t *rapid.T) {
	owner := fmt.Sprint("p", rapid.IntRange(0, 30).Draw(t, "owner"))
	if _, ok := m.held[owner]; ok {
		return
	}
	if al, err := m.a.Claim("s", Request{Owner: ipRef(owner), IPs: model.Addrs{V4: drawV4.Draw(t, "ip")}}); err == nil {
		m.held[owner] = al
	}
}

func (m *poolMachine) Release(t *rapid.T) {
	owner := fmt.Sprint("p", rapid.IntRange(0, 30).Draw(t, "owner"))
	m.a.Release(ipRef(owner))
	delete(m.held, owner)
}

func (m *poolMachine) Restart(t *rapid.T) {
	m.a = New()
	for _, al := range m.held {
		if err := m.a.Record(al); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.a.SetSubnet(m.def); err != nil {
		t.Fatal(err)
	}
}

// Check: the counters of each pool, and of the whole, are those of a computation from nothing.
func (m *poolMachine) Check(t *rapid.T) {
	using, available := 0, 0
	for _, name := range []string{"", "a", "b"} {
		all, free := len(m.mine(name)), len(m.free(name))
		using, available = using+all-free, available+free
		if name == "" {
			continue
		}
		if st := m.a.PoolStats("s", name); st.V4.Using.Int64() != int64(all-free) || st.V4.Available.Int64() != int64(free) {
			t.Fatalf("pool %s: using %v, available %v, want %d, %d", name, st.V4.Using, st.V4.Available, all-free, free)
		}
	}
	if st := m.a.Stats("s"); st.V4.Using.Int64() != int64(using) || st.V4.Available.Int64() != int64(available) || st.Held != len(m.held) {
		t.Fatalf("subnet: %+v, want %d, %d, %d", st, using, available, len(m.held))
	}
}

func runPools(t *rapid.T) {
	m := &poolMachine{a: New(), held: map[string]Allocation{}}
	m.Redefine(t)
	t.Repeat(map[string]func(*rapid.T){
		"": m.Check, "Redefine": m.Redefine, "Claim": m.Claim, "ClaimMore": m.Claim, "Static": m.Static, "Release": m.Release, "Restart": m.Restart,
	})
}

func TestPoolProperties(t *testing.T) { rapid.Check(t, runPools) }

func FuzzPools(f *testing.F) { f.Fuzz(rapid.MakeFuzz(runPools)) }
