// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

// naive is the allocator said again as lists: what cools down, in order, and who
// holds what. Everything else is computed from scratch.
type naive struct {
	defs    map[string]Subnet
	held    map[model.Ref]Allocation
	cooling map[string][]netip.Addr // by subnet; both families
	limit   int
}

func (n *naive) eligible(def Subnet, ip netip.Addr) bool {
	prefix, gw := def.CIDR.V4, def.Gateway.V4
	if ip.Is6() {
		prefix, gw = def.CIDR.V6, def.Gateway.V6
	}
	in := func(r model.Range) bool { return r.First.Compare(ip) <= 0 && ip.Compare(r.Last) <= 0 }
	return prefix.IsValid() && prefix.Contains(ip) && prefix.Contains(ip.Prev()) && prefix.Contains(ip.Next()) &&
		ip != gw && !slices.ContainsFunc(def.Exclude, in)
}

func (n *naive) holder(subnet string, ip netip.Addr) model.Ref {
	for owner, al := range n.held {
		if al.Subnet == subnet && (al.Addrs.V4 == ip || al.Addrs.V6 == ip) {
			return owner
		}
	}
	return model.Ref{}
}

// pick is the address that a dynamic claim must give, or an invalid one.
func (n *naive) pick(subnet string, prefix netip.Prefix, within []model.Range) netip.Addr {
	if !prefix.IsValid() {
		return netip.Addr{}
	}
	wanted := func(ip netip.Addr) bool {
		in := func(r model.Range) bool { return r.First.Compare(ip) <= 0 && ip.Compare(r.Last) <= 0 }
		return prefix.Contains(ip) && (len(within) == 0 || slices.ContainsFunc(within, in))
	}
	for ip := prefix.Addr(); prefix.Contains(ip); ip = ip.Next() {
		if wanted(ip) && n.eligible(n.defs[subnet], ip) && n.holder(subnet, ip) == (model.Ref{}) && !slices.Contains(n.cooling[subnet], ip) {
			return ip
		}
	}
	i := slices.IndexFunc(n.cooling[subnet], wanted)
	if i < 0 {
		return netip.Addr{}
	}
	return n.cooling[subnet][i]
}

func (n *naive) hold(al Allocation) {
	n.release(al.Owner)
	n.held[al.Owner] = al
	n.cooling[al.Subnet] = slices.DeleteFunc(n.cooling[al.Subnet], func(ip netip.Addr) bool {
		return ip == al.Addrs.V4 || ip == al.Addrs.V6
	})
}

func (n *naive) release(owner model.Ref) {
	al, ok := n.held[owner]
	if !ok {
		return
	}
	delete(n.held, owner)
	for _, ip := range []netip.Addr{al.Addrs.V4, al.Addrs.V6} {
		def, ok := n.defs[al.Subnet]
		if !ok || !ip.IsValid() || !n.eligible(def, ip) {
			continue
		}
		n.cooling[al.Subnet] = append(n.cooling[al.Subnet], ip)
		same := func(other netip.Addr) bool { return other.Is4() == ip.Is4() }
		count := 0
		for _, other := range n.cooling[al.Subnet] {
			if same(other) {
				count++
			}
		}
		if count > n.limit {
			i := slices.IndexFunc(n.cooling[al.Subnet], same)
			n.cooling[al.Subnet] = slices.Delete(n.cooling[al.Subnet], i, i+1)
		}
	}
}

func (n *naive) define(def Subnet) {
	n.defs[def.Name] = def
	n.cooling[def.Name] = slices.DeleteFunc(n.cooling[def.Name], func(ip netip.Addr) bool { return !n.eligible(def, ip) })
}

// machine drives the allocator and the model side by side.
type machine struct {
	a *Allocator
	n *naive
}

var (
	subnetNames = rapid.SampledFrom([]string{"s0", "s1"})
	ownerNames  = rapid.Map(rapid.IntRange(0, 15), func(i int) model.Ref { return ipRef(fmt.Sprint("p", i)) })
	drawV4      = rapid.Map(rapid.IntRange(0, 35), func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) })
	drawV6      = rapid.Map(rapid.IntRange(0, 35), func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}) })
	maybeV4     = rapid.OneOf(rapid.Just(netip.Addr{}), drawV4)
	maybeV6     = rapid.OneOf(rapid.Just(netip.Addr{}), drawV6)
	drawMAC     = rapid.Map(rapid.IntRange(0, 9), func(i int) string {
		if i < 5 {
			return ""
		}
		return fmt.Sprintf("02:00:00:00:00:%02x", i)
	})
	drawRange = rapid.Custom(func(t *rapid.T) model.Range {
		g := rapid.SampledFrom([]*rapid.Generator[netip.Addr]{drawV4, drawV6}).Draw(t, "family")
		r := model.Range{First: g.Draw(t, "first"), Last: g.Draw(t, "last")}
		if r.Last.Less(r.First) {
			r.First, r.Last = r.Last, r.First
		}
		return r
	})
	drawSubnet = rapid.Custom(func(t *rapid.T) Subnet {
		v4 := rapid.SampledFrom([]string{"", "10.0.0.0/28", "10.0.0.16/28", "10.0.0.0/27", "10.0.0.8/30"}).Draw(t, "v4")
		v6 := rapid.SampledFrom([]string{"", "fd00::/124", "fd00::10/124", "fd00::/123"}).Draw(t, "v6")
		s := Subnet{Name: subnetNames.Draw(t, "name"), CIDR: prefixes(v4, v6)}
		if v4 != "" {
			s.Gateway.V4 = s.CIDR.V4.Addr().Next()
		}
		if v6 != "" {
			s.Gateway.V6 = s.CIDR.V6.Addr().Next()
		}
		s.Exclude = rapid.SliceOfN(drawRange, 0, 3).Draw(t, "exclude")
		s.GatewayMAC = rapid.SampledFrom([]string{"", "02:00:00:00:00:05"}).Draw(t, "gateway MAC")
		return s
	})
)

func (m *machine) SetSubnet(t *rapid.T) {
	def := drawSubnet.Draw(t, "subnet")
	if err := m.a.SetSubnet(def); err != nil {
		t.Fatal(err)
	}
	m.n.define(def)
}

func (m *machine) DeleteSubnet(t *rapid.T) {
	name := subnetNames.Draw(t, "name")
	m.a.DeleteSubnet(name)
	delete(m.n.defs, name)
	delete(m.n.cooling, name)
}

func (m *machine) ClaimDynamic(t *rapid.T) {
	name, owner := subnetNames.Draw(t, "subnet"), ownerNames.Draw(t, "owner")
	within := rapid.SliceOfN(drawRange, 0, 2).Draw(t, "within")
	al, err := m.a.Claim(name, Request{Owner: owner, Within: within})
	if held, ok := m.n.held[owner]; ok {
		if held.Subnet == name && (err != nil || al != held) || held.Subnet != name && !errors.Is(err, ErrHeld) {
			t.Fatalf("claim again: %v, %v; held is %v", al, err, held)
		}
		return
	}
	def, ok := m.n.defs[name]
	if !ok {
		if !errors.Is(err, ErrNoSubnet) {
			t.Fatalf("got %v", err)
		}
		return
	}
	want := model.Addrs{V4: m.n.pick(name, def.CIDR.V4, ofFamily(within, model.IPv4)), V6: m.n.pick(name, def.CIDR.V6, ofFamily(within, model.IPv6))}
	if want.V4.IsValid() != def.CIDR.V4.IsValid() || want.V6.IsValid() != def.CIDR.V6.IsValid() {
		if !errors.Is(err, ErrExhausted) {
			t.Fatalf("got %v, %v, want exhaustion", al, err)
		}
		return
	}
	if err != nil || al.Addrs != want {
		t.Fatalf("got %v, %v, want %v", al, err, want)
	}
	m.n.hold(al)
}

func (m *machine) ClaimStatic(t *rapid.T) {
	r := Request{
		Owner: ownerNames.Draw(t, "owner"), MAC: drawMAC.Draw(t, "MAC"),
		IPs: model.Addrs{V4: maybeV4.Draw(t, "v4"), V6: maybeV6.Draw(t, "v6")},
	}
	name := subnetNames.Draw(t, "subnet")
	al, err := m.a.Claim(name, r)
	if err != nil {
		return // checkAll sees that nothing changed
	}
	if held, ok := m.n.held[r.Owner]; ok {
		if held != al {
			t.Fatalf("got %v, held %v", al, held)
		}
		return
	}
	def := m.n.defs[name]
	for _, pair := range [][2]netip.Addr{{r.IPs.V4, al.Addrs.V4}, {r.IPs.V6, al.Addrs.V6}} {
		if pair[0].IsValid() && pair[0] != pair[1] {
			t.Fatalf("asked for %v, got %v", r, al)
		}
		if pair[1].IsValid() && m.n.holder(name, pair[1]) != (model.Ref{}) {
			t.Fatalf("%s was given twice", pair[1])
		}
	}
	if al.Addrs.V4.IsValid() && al.Addrs.V4 == def.Gateway.V4 || al.Addrs.V6.IsValid() && al.Addrs.V6 == def.Gateway.V6 {
		t.Fatalf("the gateway was given to %v", al)
	}
	m.n.hold(al)
}

// ClaimCandidate requests one of a list: the first never released, else the one
// that rested longest, and nothing only if all are taken.
func (m *machine) ClaimCandidate(t *rapid.T) {
	name, owner := subnetNames.Draw(t, "subnet"), ownerNames.Draw(t, "owner")
	var list model.AddressList
	for _, first := range rapid.SliceOfN(drawV4, 1, 3).Draw(t, "list") {
		last := first
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			last = last.Next()
		}
		list = append(list, model.Dual[model.Range]{V4: model.Range{First: first, Last: last}})
	}
	def, defined := m.n.defs[name]
	_, held := m.n.held[owner]
	al, err := m.a.Claim(name, Request{Owner: owner, Candidates: list, Family: model.IPv4})
	if held || !defined {
		return // checkAll sees that nothing changed
	}
	var want netip.Addr
	turn := len(m.n.cooling[name]) + 1
	for a := range list.All() {
		prefix := def.CIDR.V4
		if !prefix.IsValid() || !prefix.Contains(a.V4) || !prefix.Contains(a.V4.Prev()) || !prefix.Contains(a.V4.Next()) || a.V4 == def.Gateway.V4 || m.n.holder(name, a.V4) != (model.Ref{}) {
			continue
		}
		if i := slices.Index(m.n.cooling[name], a.V4); i+1 < turn {
			want, turn = a.V4, i+1
		}
	}
	if !want.IsValid() {
		if !errors.Is(err, ErrExhausted) {
			t.Fatalf("got %v, %v, want exhaustion", al, err)
		}
		return
	}
	if err != nil || al.Addrs.V4 != want || al.Addrs.V6.IsValid() {
		t.Fatalf("got %v, %v, want %v", al, err, want)
	}
	m.n.hold(al)
}

func (m *machine) Record(t *rapid.T) {
	al := Allocation{
		Subnet: subnetNames.Draw(t, "subnet"), Owner: ownerNames.Draw(t, "owner"), MAC: drawMAC.Draw(t, "MAC"),
		Addrs: model.Addrs{V4: maybeV4.Draw(t, "v4"), V6: maybeV6.Draw(t, "v6")},
	}
	err := m.a.Record(al)
	var holder model.Ref
	for _, ip := range []netip.Addr{al.Addrs.V4, al.Addrs.V6} {
		if h := m.n.holder(al.Subnet, ip); ip.IsValid() && h != (model.Ref{}) && h != al.Owner {
			holder = h
		}
	}
	if holder != (model.Ref{}) && err == nil {
		t.Fatalf("recorded %v though %s holds an address of it", al, holder)
	}
	if err == nil {
		m.n.hold(al)
	}
}

func (m *machine) Release(t *rapid.T) {
	owner := ownerNames.Draw(t, "owner")
	al, ok := m.a.Release(owner)
	if held, had := m.n.held[owner]; ok != had || al != held {
		t.Fatalf("released %v, %v; held was %v, %v", al, ok, held, had)
	}
	m.n.release(owner)
}

func (m *machine) ReleaseAll(*rapid.T) {
	for _, owner := range slices.SortedFunc(maps.Keys(m.n.held), model.Ref.Compare) {
		m.a.Release(owner)
		m.n.release(owner)
	}
}

// Restart rebuilds the allocator from the records, in any order.
func (m *machine) Restart(t *rapid.T) {
	fresh := New()
	fresh.cooldownLimit = m.a.cooldownLimit
	var records []Allocation
	for _, al := range m.n.held {
		records = append(records, al)
	}
	slices.SortFunc(records, func(a, b Allocation) int { return a.Owner.Compare(b.Owner) })
	records = rapid.Permutation(records).Draw(t, "order")
	for _, al := range records {
		if err := fresh.Record(al); err != nil {
			t.Fatalf("record %v after a restart: %v", al, err)
		}
	}
	for _, def := range m.n.defs {
		if err := fresh.SetSubnet(def); err != nil {
			t.Fatal(err)
		}
	}
	m.a, m.n.cooling = fresh, map[string][]netip.Addr{}
}

// Check runs after each action: nothing lost, nothing twice, counts add up.
func (m *machine) Check(t *rapid.T) {
	if len(m.a.owners) != len(m.n.held) {
		t.Fatalf("%d owners, want %d", len(m.a.owners), len(m.n.held))
	}
	for owner, want := range m.n.held {
		if got, ok := m.a.Get(owner); !ok || got != want {
			t.Fatalf("%s holds %v, want %v", owner, got, want)
		}
	}
	for name, def := range m.n.defs {
		m.checkFamily(t, name, def, def.CIDR.V4, &m.a.subnets[name].spaces.V4)
		m.checkFamily(t, name, def, def.CIDR.V6, &m.a.subnets[name].spaces.V6)
		macs := map[string]model.Ref{}
		for owner, al := range m.n.held {
			if other, ok := macs[al.MAC]; ok && al.Subnet == name && al.MAC != "" {
				t.Fatalf("%s and %s share MAC %s", owner, other, al.MAC)
			}
			if al.Subnet == name {
				macs[al.MAC] = owner
			}
		}
	}
}

func (m *machine) checkFamily(t *rapid.T, name string, def Subnet, prefix netip.Prefix, sp *space) {
	using, available := 0, 0
	for ip := prefix.Addr(); prefix.IsValid() && prefix.Contains(ip); ip = ip.Next() {
		holder := m.n.holder(name, ip)
		if got, _ := m.a.Holder(name, ip); got != holder {
			t.Fatalf("holder of %s is %q, want %q", ip, got, holder)
		}
		if !m.n.eligible(def, ip) {
			continue
		}
		if holder != (model.Ref{}) {
			using++
			continue
		}
		available++
		r, ok := sp.freeAround(ip)
		free := ok && r.Contains(ip)
		_, rests := sp.cooling.turns[ip]
		if want := slices.Contains(m.n.cooling[name], ip); rests != want || free == rests {
			t.Fatalf("%s: rests %v, want %v; free %v", ip, rests, want, free)
		}
	}
	var last netip.Addr
	sp.free.Ascend(func(r model.Range) bool {
		if last.IsValid() && last.Next() == r.First {
			t.Fatalf("free ranges touch at %s", last)
		}
		last = r.Last
		return true
	})
	st := sp.stats()
	if st.Using.Int64() != int64(using) || st.Available.Int64() != int64(available) {
		t.Fatalf("%s: using %v, available %v; want %d, %d", prefix, st.Using, st.Available, using, available)
	}
}

func newMachine(limit int) *machine {
	a := New()
	a.cooldownLimit = limit
	return &machine{a: a, n: &naive{
		defs: map[string]Subnet{}, held: map[model.Ref]Allocation{}, cooling: map[string][]netip.Addr{}, limit: limit,
	}}
}

func runMachine(t *rapid.T) {
	m := newMachine(rapid.SampledFrom([]int{1, 2, defaultCooldownLimit}).Draw(t, "rest limit"))
	m.SetSubnet(t)
	t.Repeat(map[string]func(*rapid.T){
		"": m.Check, "SetSubnet": m.SetSubnet, "DeleteSubnet": m.DeleteSubnet, "ClaimDynamic": m.ClaimDynamic,
		"ClaimStatic": m.ClaimStatic, "ClaimCandidate": m.ClaimCandidate, "Record": m.Record, "Release": m.Release, "Restart": m.Restart,
		"ClaimMore": m.ClaimDynamic, "ReleaseMore": m.Release, "ReleaseAll": m.ReleaseAll, // these should happen more often
	})
}

func TestAllocatorProperties(t *testing.T) { rapid.Check(t, runMachine) }

func FuzzAllocator(f *testing.F) { f.Fuzz(rapid.MakeFuzz(runMachine)) }
