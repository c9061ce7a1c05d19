// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

const benchRecords = 100_000

func benchSubnets() map[string]Subnet {
	return map[string]Subnet{
		"v4-8":  {Name: "s", CIDR: prefixes("10.0.0.0/8", ""), Gateway: addrs("10.0.0.1", "")},
		"v6-64": {Name: "s", CIDR: prefixes("", "fd00::/64"), Gateway: addrs("", "fd00::1")},
	}
}

// benchRecordsOf returns records at random addresses, so that free space is in pieces.
func benchRecordsOf(s Subnet) []Allocation {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]Allocation, 0, benchRecords)
	seen := map[uint32]bool{}
	for len(out) < benchRecords {
		x := random.Uint32N(1<<24-4) + 2
		if seen[x] {
			continue
		}
		seen[x] = true
		al := Allocation{Subnet: "s", Owner: ipRef(fmt.Sprintf("pod-%d.namespace", len(out))), MAC: fmt.Sprintf("02:00:00:%02x:%02x:%02x", byte(x>>16), byte(x>>8), byte(x))}
		if s.CIDR.V4.IsValid() {
			al.Addrs.V4 = netip.AddrFrom4([4]byte{10, byte(x >> 16), byte(x >> 8), byte(x)})
		} else {
			al.Addrs = model.Addrs{V6: netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(x >> 16), 14: byte(x >> 8), 15: byte(x)})}
		}
		out = append(out, al)
	}
	return out
}

func rebuild(b *testing.B, s Subnet, records []Allocation) *Allocator {
	b.Helper()
	a := New()
	if err := a.SetSubnet(s); err != nil {
		b.Fatal(err)
	}
	for _, al := range records {
		if err := a.Record(al); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// BenchmarkSetSubnet changes a subnet with 100,000 scattered allocations.
func BenchmarkSetSubnet(b *testing.B) {
	s := benchSubnets()["v4-8"]
	a := rebuild(b, s, benchRecordsOf(s))
	excludes := [2][]model.Range{nil, {rng("10.1.0.0", "10.1.255.255")}}
	for i := 0; b.Loop(); i++ {
		s.Exclude = excludes[i%2]
		if err := a.SetSubnet(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRanges writes the range texts of a subnet with 100,000 scattered allocations.
func BenchmarkRanges(b *testing.B) {
	s := benchSubnets()["v4-8"]
	a := rebuild(b, s, benchRecordsOf(s))
	for b.Loop() {
		a.Ranges("s")
	}
}
