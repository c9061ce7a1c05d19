// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
)

func poolObject(name string, ips ...string) *v1.IPPool {
	return &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPPoolSpec{Subnet: "apps", IPs: ips}}
}

func poolOf(t *testing.T, name string, created int64, ips ...string) *IPPool {
	t.Helper()
	pool, problems := IPPoolFrom(poolObject(name, ips...))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	pool.Created = created
	return &pool
}

func TestIPPoolFrom(t *testing.T) {
	o := poolObject("front", "fd00::a0..fd00::af", "10.17.2.0/28", "10.17.1.10", " 10.17.1.9..10.17.1.12")
	o.Spec.EnableAddressSet, o.Spec.Namespaces = true, []string{"shop"}
	pool, problems := IPPoolFrom(o)
	var texts []string
	for _, r := range pool.Ranges {
		texts = append(texts, r.String())
	}
	want := "10.17.1.9..10.17.1.12 10.17.2.0..10.17.2.15 fd00::a0..fd00::af"
	if got := strings.Join(texts, " "); got != want || len(problems) > 0 || !pool.AddressSet || pool.Subnet != "apps" || !slices.Equal(pool.Namespaces, []string{"shop"}) {
		t.Errorf("%+v, %s, %v", pool, got, problems)
	}
	if got := pool.SetNames(); !slices.Equal(got, []string{"front", "front.ip6"}) {
		t.Errorf("address sets are %v", got)
	}
	for text, want := range map[string][2]bool{ // HasAll, Has
		"10.17.1.9": {true, true}, "10.17.1.9,fd00::a1": {true, true}, "10.17.1.9,fd00::1": {false, true}, "10.17.1.8": {false, false},
	} {
		a, err := ParseAddrs(text)
		if err != nil || pool.HasAll(a) != want[0] || pool.Has(a) != want[1] {
			t.Errorf("%s: %v, %v, %v", text, pool.HasAll(a), pool.Has(a), err)
		}
	}
	o.Status.V4UsingIPRange = "10.17.1.10"
	if again, _ := IPPoolFrom(o); !Equal(again, pool) {
		t.Error("a status changes the projection")
	}
}

func TestAddressSetNames(t *testing.T) {
	for name, want := range map[string]string{"a-b": "a.b", "a.b": "a.b", "1st-pool": "_1st.pool"} {
		pool := IPPool{Meta: Meta{Name: name}, AddressSet: true, Ranges: []Range{{First: netip.MustParseAddr("fd00::1"), Last: netip.MustParseAddr("fd00::1")}}}
		if got := pool.SetNames(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s has %v", name, got)
		}
		pool.AddressSet = false
		if got := pool.SetNames(); got != nil {
			t.Errorf("%s has %v without asking for one", name, got)
		}
	}
}

func TestIPPoolProblems(t *testing.T) {
	for text, want := range map[string]string{
		"10.17.0.300":              `spec.ips[0]: "10.17.0.300": `,
		"10.17.0.9..10.17.0.8":     "it ends before it begins",
		"10.17.0.9..fd00::1":       "the ends have different IP families",
		"10.17.0.0/33":             "is not a CIDR",
		"224.0.0.0/8":              "is a multicast address",
		"0.0.0.0/0":                "is an unspecified address",
		"10.17.0.1,10.17.0.2":      "is not an address",
		"::ffff:10.17.0.1":         "is not a plain IPv4 or IPv6 address",
		"10.17.0.1..10.17.0.2..10": "is not an address",
	} {
		_, problems := IPPoolFrom(poolObject("p", text))
		if len(problems) != 1 || !problems[0].Fatal || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v, want %s", text, problems, want)
		}
	}
	if _, problems := IPPoolFrom(poolObject("p")); len(problems) != 1 || problems[0].Field != "spec.ips" {
		t.Errorf("no addresses: %v", problems)
	}
}

func TestPoolProblem(t *testing.T) {
	cidr := prefixes("10.17.0.0/16,fd00:17::/64")
	old, young := poolOf(t, "old", 1, "10.17.0.10..10.17.0.20", "fd00:17::1"), poolOf(t, "young", 2, "10.17.0.1", "10.17.0.20..10.17.0.30")
	all := []*IPPool{old, young, poolOf(t, "apart", 1, "10.17.0.40")}
	if p, bad := PoolProblem(old, cidr, all); bad {
		t.Errorf("the older one has the problem %v", p)
	}
	if p, bad := PoolProblem(young, cidr, all); !bad || !p.Fatal || p.Error() != "spec.ips: 10.17.0.20..10.17.0.30 overlaps 10.17.0.10..10.17.0.20 of IPPool old; the older one, old, keeps its addresses" {
		t.Errorf("the younger one has the problem %v", p)
	}
	if p, bad := PoolProblem(old, prefixes("10.17.0.0/16"), all); !bad || !strings.Contains(p.Error(), "fd00:17::1 is not inside 10.17.0.0/16, the CIDR of Subnet apps") {
		t.Errorf("outside: %v", p)
	}
}

func FuzzIPPoolFrom(f *testing.F) {
	f.Add("10.17.0.0/28", "10.17.0.9..10.17.0.30")
	f.Add("fd00::/64", "10.17.0.9")
	f.Fuzz(func(t *testing.T, a, b string) {
		pool, problems := IPPoolFrom(poolObject("p", a, b))
		if len(problems) > 0 {
			return
		}
		for i, r := range pool.Ranges {
			if r.First.Is4() != r.Last.Is4() || r.Last.Less(r.First) || i > 0 && !pool.Ranges[i-1].Last.Less(r.First) {
				t.Fatalf("%q, %q: %v", a, b, pool.Ranges)
			}
			next := r.First
			for _, p := range RangePrefixes(r) {
				if p.Masked().Addr() != next {
					t.Fatalf("%s as prefixes is %v", r, RangePrefixes(r))
				}
				next = lastAddr(p).Next()
			}
			if next != r.Last.Next() {
				t.Fatalf("%s as prefixes is %v", r, RangePrefixes(r))
			}
		}
	})
}
