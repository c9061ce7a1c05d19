// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/model"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// ipRef names the IP object that records an allocation.
func ipRef(name string) model.Ref { return model.Ref{Kind: model.KindIP, Name: name} }

func addrs(v4, v6 string) model.Addrs { return model.Addrs{V4: addr(v4), V6: addr(v6)} }

func rng(first, last string) model.Range { return model.Range{First: addr(first), Last: addr(last)} }

func prefixes(v4, v6 string) model.Prefixes {
	var p model.Prefixes
	if v4 != "" {
		p.V4 = netip.MustParsePrefix(v4)
	}
	if v6 != "" {
		p.V6 = netip.MustParsePrefix(v6)
	}
	return p
}

// small is a dual-stack subnet with few addresses: .2, .3, .6 and ::2 to ::6.
func small() Subnet {
	return Subnet{
		Name: "s", CIDR: prefixes("10.0.0.0/29", "fd00::/125"), Gateway: addrs("10.0.0.1", "fd00::1"),
		Exclude: []model.Range{rng("10.0.0.1", "10.0.0.1"), rng("10.0.0.4", "10.0.0.5")}, GatewayMAC: "02:00:00:00:00:01",
	}
}

func newWith(t *testing.T, subnets ...Subnet) *Allocator {
	t.Helper()
	a := New()
	for _, s := range subnets {
		if err := a.SetSubnet(s); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func claim(t *testing.T, a *Allocator, owner string) Allocation {
	t.Helper()
	al, err := a.Claim("s", Request{Owner: ipRef(owner)})
	if err != nil {
		t.Fatalf("claim for %s: %v", owner, err)
	}
	return al
}

func TestClaimTakesLowestNeverUsedThenLeastRecentlyReleased(t *testing.T) {
	s := small()
	s.CIDR.V6, s.Gateway.V6 = netip.Prefix{}, netip.Addr{}
	a := newWith(t, s)
	var got []netip.Addr
	for i := range 3 {
		got = append(got, claim(t, a, fmt.Sprint("p", i)).Addrs.V4)
	}
	a.Release(ipRef("p1"))
	a.Release(ipRef("p0"))
	for _, owner := range []string{"q0", "q1"} {
		got = append(got, claim(t, a, owner).Addrs.V4)
	}
	want := []netip.Addr{addr("10.0.0.2"), addr("10.0.0.3"), addr("10.0.0.6"), addr("10.0.0.3"), addr("10.0.0.2")}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestNeverUsedComesBeforeReleased(t *testing.T) {
	a := newWith(t, small())
	claim(t, a, "p0")
	a.Release(ipRef("p0"))
	if got := claim(t, a, "p1").Addrs; got != addrs("10.0.0.3", "fd00::3") {
		t.Errorf("got %v, want the next addresses never used", got)
	}
}

func TestClaimAgainGivesTheSame(t *testing.T) {
	a := newWith(t, small())
	first := claim(t, a, "p")
	if again := claim(t, a, "p"); again != first {
		t.Errorf("second claim gave %v, first %v", again, first)
	}
	_, err := a.Claim("s", Request{Owner: ipRef("p"), IPs: addrs("10.0.0.6", "")})
	var held *HeldError
	if !errors.As(err, &held) || held.Held != first {
		t.Errorf("claim of another static address: %v", err)
	}
	if _, err := a.Claim("elsewhere", Request{Owner: ipRef("p")}); !errors.Is(err, ErrHeld) {
		t.Errorf("claim in another subnet: %v", err)
	}
}

func TestClaimErrors(t *testing.T) {
	a := newWith(t, small())
	if err := a.Record(Allocation{Subnet: "s", Owner: ipRef("other"), Addrs: addrs("10.0.0.6", "fd00::6"), MAC: "02:00:00:00:00:06"}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		subnet string
		req    Request
		is     error
		text   string
	}{
		"no subnet":       {"nope", Request{}, ErrNoSubnet, "subnet nope does not exist"},
		"gateway":         {"s", Request{IPs: addrs("10.0.0.1", "")}, ErrGateway, "address 10.0.0.1 belongs to the gateway of subnet s"},
		"gateway v6":      {"s", Request{IPs: addrs("", "fd00::1")}, ErrGateway, "address fd00::1 belongs to the gateway of subnet s"},
		"gateway MAC":     {"s", Request{MAC: "02:00:00:00:00:01"}, ErrGateway, "MAC 02:00:00:00:00:01 belongs to the gateway of subnet s"},
		"outside":         {"s", Request{IPs: addrs("10.0.1.7", "")}, ErrOutside, "address 10.0.1.7 is not a host address of subnet s (10.0.0.0/29,fd00::/125)"},
		"network":         {"s", Request{IPs: addrs("10.0.0.0", "")}, ErrOutside, ""},
		"broadcast":       {"s", Request{IPs: addrs("10.0.0.7", "")}, ErrOutside, ""},
		"conflict":        {"s", Request{IPs: addrs("10.0.0.6", "")}, ErrConflict, "address 10.0.0.6 of subnet s belongs to IP other"},
		"conflict v6":     {"s", Request{IPs: addrs("10.0.0.2", "fd00::6")}, ErrConflict, "address fd00::6 of subnet s belongs to IP other"},
		"conflict MAC":    {"s", Request{MAC: "02:00:00:00:00:06"}, ErrConflict, "MAC 02:00:00:00:00:06 of subnet s belongs to IP other"},
		"multicast MAC":   {"s", Request{MAC: "03:00:00:00:00:06"}, ErrInvalid, ""},
		"bad MAC":         {"s", Request{MAC: "xyz"}, ErrInvalid, ""},
		"family":          {"s", Request{IPs: addrs("10.0.0.2", ""), Family: model.IPv6}, ErrInvalid, ""},
		"mapped":          {"s", Request{IPs: model.Addrs{V6: addr("::ffff:10.0.0.2")}}, ErrInvalid, ""},
		"within is taken": {"s", Request{Within: []model.Range{rng("10.0.0.6", "10.0.0.6")}}, ErrExhausted, "subnet s has no free IPv4 address in the requested ranges"},
		"within reversed": {"s", Request{Within: []model.Range{rng("10.0.0.6", "10.0.0.2")}}, ErrInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.req.Owner = ipRef("me")
			_, err := a.Claim(tc.subnet, tc.req)
			if !errors.Is(err, tc.is) {
				t.Fatalf("got %v, want %v", err, tc.is)
			}
			if tc.text != "" && err.Error() != tc.text {
				t.Errorf("got  %s\nwant %s", err, tc.text)
			}
			if al, ok := a.Get(ipRef("me")); ok {
				t.Errorf("a failed claim left %v", al)
			}
		})
	}
	if got := a.Stats("s").Held; got != 1 {
		t.Errorf("%d allocations held, want 1", got)
	}
}

func TestDualStackIsBothOrNothing(t *testing.T) {
	a := newWith(t, small())
	for i := range 3 {
		claim(t, a, fmt.Sprint("p", i))
	}
	before := a.Stats("s").V6.Available.String()
	_, err := a.Claim("s", Request{Owner: ipRef("late")})
	var exhausted *ExhaustedError
	if !errors.As(err, &exhausted) || exhausted.Family != model.IPv4 || exhausted.Subnet != "s" {
		t.Fatalf("got %v", err)
	}
	if after := a.Stats("s").V6.Available.String(); after != before {
		t.Errorf("available IPv6 went from %s to %s", before, after)
	}
	al, err := a.Claim("s", Request{Owner: ipRef("late"), Family: model.IPv6})
	if err != nil || al.Addrs != addrs("", "fd00::5") {
		t.Errorf("got %v, %v; want fd00::5", al, err)
	}
}

func TestStaticMayTakeExcluded(t *testing.T) {
	a := newWith(t, small())
	al, err := a.Claim("s", Request{Owner: ipRef("p"), IPs: addrs("10.0.0.4", ""), MAC: "0A-00-00-00-00-02"})
	if err != nil {
		t.Fatal(err)
	}
	want := Allocation{Subnet: "s", Owner: ipRef("p"), Addrs: addrs("10.0.0.4", "fd00::2"), MAC: "0a:00:00:00:00:02"}
	if al != want {
		t.Errorf("got %v, want %v", al, want)
	}
	st := a.Stats("s")
	if st.V4.Using.Int64() != 0 || st.V4.Available.Int64() != 3 || st.V6.Using.Int64() != 1 || st.Held != 1 {
		t.Errorf("got %+v: an address out of an excluded range must not count", st)
	}
	a.Release(ipRef("p"))
	for i := range 3 {
		if got := claim(t, a, fmt.Sprint("q", i)).Addrs.V4; got == addr("10.0.0.4") {
			t.Error("an excluded address became dynamic when it was released")
		}
	}
}

func TestWithin(t *testing.T) {
	a := newWith(t, small())
	pool := []model.Range{rng("10.0.0.6", "10.0.0.6"), rng("10.0.0.3", "10.0.0.5")}
	var got []string
	for i := range 2 {
		al, err := a.Claim("s", Request{Owner: ipRef(fmt.Sprint("p", i)), Within: pool})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, addrsText(al.Addrs))
	}
	a.Release(ipRef("p1"))
	a.Release(ipRef("p0"))
	al, err := a.Claim("s", Request{Owner: ipRef("q"), Within: []model.Range{rng("10.0.0.3", "10.0.0.3")}})
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, addrsText(al.Addrs))
	if diff := cmp.Diff([]string{"10.0.0.3,fd00::2", "10.0.0.6,fd00::3", "10.0.0.3,fd00::4"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPointToPointPrefixesUseBothAddresses(t *testing.T) {
	a := newWith(t, Subnet{Name: "s", CIDR: prefixes("10.0.0.0/31", "fd00::/127"), Gateway: addrs("10.0.0.0", "fd00::")})
	if got := claim(t, a, "p").Addrs; got != addrs("10.0.0.1", "fd00::1") {
		t.Errorf("got %v", got)
	}
}

func TestHighestAddresses(t *testing.T) {
	a := newWith(t, Subnet{Name: "s", CIDR: prefixes("255.255.255.254/31", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127")})
	claim(t, a, "p")
	claim(t, a, "q")
	a.Release(ipRef("q"))
	a.Release(ipRef("p"))
	if got := claim(t, a, "r").Addrs; got != addrs("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") {
		t.Errorf("got %v", got)
	}
}

func TestRecord(t *testing.T) {
	a := newWith(t, small())
	for name, tc := range map[string]struct {
		al Allocation
		is error
	}{
		"first":             {Allocation{Subnet: "s", Owner: ipRef("p"), Addrs: addrs("10.0.0.2", "fd00::2"), MAC: "02:00:00:00:00:02"}, nil},
		"excluded":          {Allocation{Subnet: "s", Owner: ipRef("x"), Addrs: addrs("10.0.0.5", "")}, nil},
		"outside":           {Allocation{Subnet: "s", Owner: ipRef("o"), Addrs: addrs("10.9.0.5", "")}, nil},
		"subnet later":      {Allocation{Subnet: "later", Owner: ipRef("l"), Addrs: addrs("10.0.0.2", "")}, nil},
		"gateway":           {Allocation{Subnet: "s", Owner: ipRef("g"), Addrs: addrs("10.0.0.1", "")}, ErrGateway},
		"gateway MAC":       {Allocation{Subnet: "s", Owner: ipRef("g"), Addrs: addrs("10.0.0.3", ""), MAC: "02:00:00:00:00:01"}, ErrGateway},
		"nothing":           {Allocation{Subnet: "s", Owner: ipRef("n")}, ErrInvalid},
		"no owner":          {Allocation{Subnet: "s", Addrs: addrs("10.0.0.3", "")}, ErrInvalid},
		"wrong family":      {Allocation{Subnet: "s", Owner: ipRef("w"), Addrs: model.Addrs{V4: addr("fd00::3")}}, ErrInvalid},
		"multicast address": {Allocation{Subnet: "s", Owner: ipRef("w"), MAC: "ff:ff:ff:ff:ff:ff"}, ErrInvalid},
	} {
		if err := a.Record(tc.al); !errors.Is(err, tc.is) || err != nil && tc.is == nil {
			t.Errorf("%s: got %v, want %v", name, err, tc.is)
		}
	}
	second := Allocation{Subnet: "s", Owner: ipRef("second"), Addrs: addrs("10.0.0.3", "fd00::2"), MAC: "02:00:00:00:00:09"}
	var conflict *ConflictError
	if err := a.Record(second); !errors.As(err, &conflict) || conflict.Holder != ipRef("p") || conflict.IP != addr("fd00::2") {
		t.Errorf("got %v, want a conflict with p about fd00::2", err)
	}
	if _, ok := a.Holder("s", addr("10.0.0.3")); ok {
		t.Error("a refused record holds an address")
	}
}

func TestRecordReplaces(t *testing.T) {
	a := newWith(t, small())
	claim(t, a, "p")
	moved := Allocation{Subnet: "s", Owner: ipRef("p"), Addrs: addrs("10.0.0.3", "fd00::2"), MAC: "02:00:00:00:00:07"}
	if err := a.Record(moved); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.Get(ipRef("p")); got != moved {
		t.Errorf("got %v, want %v", got, moved)
	}
	if owner, ok := a.Holder("s", addr("10.0.0.2")); ok {
		t.Errorf("10.0.0.2 still belongs to %s", owner)
	}
	if st := a.Stats("s"); st.Held != 1 || st.V4.Using.Int64() != 1 || st.V6.Using.Int64() != 1 {
		t.Errorf("got %+v", st)
	}
}

func TestSubnetChangesKeepAllocations(t *testing.T) {
	a := newWith(t, small())
	p := claim(t, a, "p")
	narrowed := small()
	narrowed.CIDR = prefixes("10.0.8.0/29", "fd00::/125")
	narrowed.Gateway = addrs("10.0.8.1", "fd00::2") // the gateway moves onto p's address
	if err := a.SetSubnet(narrowed); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.Get(ipRef("p")); got != p {
		t.Errorf("got %v, want %v", got, p)
	}
	if err := a.Record(p); err != nil {
		t.Errorf("an allocation that exists cannot be recorded again: %v", err)
	}
	if holder, _ := a.Holder("s", narrowed.Gateway.V6); holder != ipRef("p") {
		t.Errorf("holder of the new gateway is %q", holder)
	}
	a.DeleteSubnet("s")
	if _, err := a.Claim("s", Request{Owner: ipRef("q")}); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("claim in a deleted subnet: %v", err)
	}
	if err := a.SetSubnet(small()); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, a, "q").Addrs; got != addrs("10.0.0.3", "fd00::3") {
		t.Errorf("got %v: the subnet came back without its allocations", got)
	}
	a.Release(ipRef("p"))
	a.Release(ipRef("q"))
	a.DeleteSubnet("s")
	if len(a.subnets)+len(a.owners) != 0 {
		t.Errorf("%d subnets and %d owners are left behind", len(a.subnets), len(a.owners))
	}
}

func TestSetSubnetErrors(t *testing.T) {
	for name, change := range map[string]func(*Subnet){
		"name":             func(s *Subnet) { s.Name = "" },
		"host bits":        func(s *Subnet) { s.CIDR.V4 = netip.MustParsePrefix("10.0.0.1/24") },
		"families swapped": func(s *Subnet) { s.CIDR = model.Prefixes{V4: s.CIDR.V6, V6: s.CIDR.V4} },
		"gateway family":   func(s *Subnet) { s.Gateway.V6 = addr("10.0.0.1") },
		"mixed range":      func(s *Subnet) { s.Exclude = []model.Range{rng("10.0.0.1", "fd00::1")} },
		"reversed range":   func(s *Subnet) { s.Exclude = []model.Range{rng("10.0.0.3", "10.0.0.2")} },
		"gateway MAC":      func(s *Subnet) { s.GatewayMAC = "nonsense" },
	} {
		s := small()
		change(&s)
		a := New()
		if err := a.SetSubnet(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
		if len(a.subnets) != 0 {
			t.Errorf("%s: a refused subnet was added", name)
		}
	}
}

func TestRanges(t *testing.T) {
	a := newWith(t, small())
	claim(t, a, "p")
	claim(t, a, "q")
	if _, err := a.Claim("s", Request{Owner: ipRef("x"), IPs: addrs("10.0.0.5", "fd00::6")}); err != nil {
		t.Fatal(err)
	}
	want := RangeTexts{
		Using:     model.Dual[string]{V4: "10.0.0.2-10.0.0.3", V6: "fd00::2-fd00::3,fd00::6"},
		Available: model.Dual[string]{V4: "10.0.0.6", V6: "fd00::4-fd00::5"},
	}
	if diff := cmp.Diff(want, a.Ranges("s")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(RangeTexts{}, a.Ranges("nope")); diff != "" {
		t.Error(diff)
	}
}

func TestRangesAreBounded(t *testing.T) {
	a := newWith(t, Subnet{Name: "s", CIDR: prefixes("10.0.0.0/16", "")})
	ip := addr("10.0.0.1")
	for i := range 2 * maxRanges {
		if err := a.Record(Allocation{Subnet: "s", Owner: ipRef(fmt.Sprint(i)), Addrs: model.Addrs{V4: ip}}); err != nil {
			t.Fatal(err)
		}
		ip = ip.Next().Next()
	}
	text := a.Ranges("s").Using.V4
	if len(text) > maxRanges*16+3 || text[len(text)-4:] != ",..." {
		t.Errorf("text of %d bytes ends in %q", len(text), text[len(text)-4:])
	}
}

func TestStatsOfAHugePrefix(t *testing.T) {
	a := newWith(t, Subnet{Name: "s", CIDR: prefixes("", "fd00::/64"), Gateway: addrs("", "fd00::1")})
	claim(t, a, "p")
	// 2^64 addresses without the first, the last, the gateway and p's.
	if got := a.Stats("s").V6.Available.String(); got != "18446744073709551612" {
		t.Errorf("got %s", got)
	}
}

func TestMACsAvoidTakenOnes(t *testing.T) {
	constant := func(_, _ string, attempt int) [6]byte { return [6]byte{1, 0, 0, 0, 0, byte(attempt / 2)} }
	a := New(WithMACSource(constant))
	s := small()
	s.GatewayMAC = "02:00:00:00:00:00"
	if err := a.SetSubnet(s); err != nil {
		t.Fatal(err)
	}
	got := []string{claim(t, a, "p").MAC, claim(t, a, "q").MAC}
	if diff := cmp.Diff([]string{"02:00:00:00:00:01", "02:00:00:00:00:02"}, got); diff != "" {
		t.Error(diff)
	}
	stuck := New(WithMACSource(func(string, string, int) [6]byte { return [6]byte{} }))
	if err := stuck.SetSubnet(s); err != nil {
		t.Fatal(err)
	}
	if _, err := stuck.Claim("s", Request{Owner: ipRef("p")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a source without a free MAC: %v", err)
	}
	if stuck.Stats("s").Held != 0 {
		t.Error("the failed claim holds addresses")
	}
}

func TestRestIsBounded(t *testing.T) {
	a := newWith(t, Subnet{Name: "s", CIDR: prefixes("", "fd00::/64")})
	a.cooldownLimit = 8
	for i := range 1000 {
		claim(t, a, fmt.Sprint(i))
		a.Release(ipRef(fmt.Sprint(i)))
	}
	sp := &a.subnets["s"].spaces.V6
	if sp.cooling.len() != 8 || len(sp.cooling.queue) > 64 || sp.free.Len() > 10 {
		t.Errorf("%d addresses rest, the queue has %d entries, free space %d ranges",
			sp.cooling.len(), len(sp.cooling.queue), sp.free.Len())
	}
}
