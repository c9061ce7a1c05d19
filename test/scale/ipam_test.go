// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// records is the number of allocations in the measured allocator.
const records = 100_000

func ipRef(name string) model.Ref { return model.Ref{Kind: model.KindIP, Name: name} }

// ranges are the measured subnets.
func ranges() []ipam.Subnet {
	return []ipam.Subnet{
		{Name: "8", CIDR: model.Prefixes{V4: netip.MustParsePrefix("10.0.0.0/8")}, Gateway: model.Addrs{V4: netip.MustParseAddr("10.0.0.1")}},
		{Name: "64", CIDR: model.Prefixes{V6: netip.MustParsePrefix("fd00::/64")}, Gateway: model.Addrs{V6: netip.MustParseAddr("fd00::1")}},
	}
}

// scattered returns records at random addresses, so that free addresses are fragmented.
func scattered(s ipam.Subnet) []ipam.Allocation {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same addresses each time
	out := make([]ipam.Allocation, records)
	for i, x := range random.Perm(1<<24 - 4)[:records] {
		x += 2
		out[i] = ipam.Allocation{Subnet: s.Name, Owner: ipRef(fmt.Sprintf("pod-%d.namespace", i)), MAC: mac(x)}
		if s.CIDR.V4.IsValid() {
			out[i].Addrs.V4 = address("10.0.0.0", x)
		} else {
			out[i].Addrs.V6 = netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(x >> 16), 14: byte(x >> 8), 15: byte(x)})
		}
	}
	return out
}

func rebuilt(b *testing.B, s ipam.Subnet, all []ipam.Allocation) *ipam.Allocator {
	b.Helper()
	a := ipam.New()
	if err := a.SetSubnet(s); err != nil {
		b.Fatal(err)
	}
	for _, one := range all {
		if err := a.Record(one); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// BenchmarkClaimRelease claims and releases an address with 100,000 scattered ones.
func BenchmarkClaimRelease(b *testing.B) {
	for _, s := range ranges() {
		b.Run("prefix="+s.Name, func(b *testing.B) {
			a := rebuilt(b, s, scattered(s))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Claim(s.Name, ipam.Request{Owner: ipRef("p")}); err != nil {
					b.Fatal(err)
				}
				a.Release(ipRef("p"))
			}
		})
	}
}

// BenchmarkRebuild builds an allocator from 100,000 records.
func BenchmarkRebuild(b *testing.B) {
	for _, s := range ranges() {
		b.Run("prefix="+s.Name, func(b *testing.B) {
			all := scattered(s)
			b.ReportAllocs()
			for b.Loop() {
				rebuilt(b, s, all)
			}
		})
	}
}
