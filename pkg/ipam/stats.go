// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math/big"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// FamilyStats counts addresses. Using are the held ones that are neither in an excluded range nor outside the CIDR;
// Available are the host addresses of the CIDR that are neither excluded nor held.
type FamilyStats struct {
	Using, Available *big.Int
}

// Stats are the counters of a subnet. Held counts every allocation, including those in excluded ranges: a subnet may be
// deleted only when it is zero.
type Stats struct {
	V4, V6 FamilyStats
	Held   int
}

// Stats returns the counters of a subnet, its pools included; all are zero for one that does not exist. O(1).
func (a *Allocator) Stats(subnet string) Stats {
	s, ok := a.subnets[subnet]
	if !ok {
		return Stats{V4: zeroStats(), V6: zeroStats()}
	}
	out := Stats{V4: s.spaces.V4.stats(), V6: s.spaces.V6.stats(), Held: s.held}
	for _, p := range s.pools {
		out.V4.add(p.spaces.V4.stats())
		out.V6.add(p.spaces.V6.stats())
	}
	return out
}

func (f *FamilyStats) add(more FamilyStats) {
	f.Using.Add(f.Using, more.Using)
	f.Available.Add(f.Available, more.Available)
}

func zeroStats() FamilyStats { return FamilyStats{Using: new(big.Int), Available: new(big.Int)} }

func (s *space) stats() FamilyStats {
	using := big.NewInt(int64(s.counted))
	return FamilyStats{Using: using, Available: new(big.Int).Sub(s.capacity, using)}
}

// maxRanges limits a range text, so that the status of a fragmented subnet stays well below the size limit of an object
// (1.5 MiB in etcd).
const maxRanges = 1024

// RangeTexts are the addresses that [Stats] counts, as "a-b,c" in ascending order. After 1,024 ranges a text ends with
// "...".
type RangeTexts struct {
	Using, Available model.Dual[string]
}

// Ranges formats the addresses that [Allocator.Stats] counts. It costs O(n log n) in the number of allocations: do not
// call it for each event.
func (a *Allocator) Ranges(subnet string) RangeTexts {
	s, ok := a.subnets[subnet]
	if !ok {
		return RangeTexts{}
	}
	var out RangeTexts
	var parts4, parts6 []*space
	for _, p := range s.pools {
		parts4, parts6 = append(parts4, &p.spaces.V4), append(parts6, &p.spaces.V6)
	}
	out.Using.V4, out.Available.V4 = s.spaces.V4.texts(parts4...)
	out.Using.V6, out.Available.V6 = s.spaces.V6.texts(parts6...)
	return out
}

// texts formats a space together with others of the same IP family.
func (s *space) texts(more ...*space) (using, available string) {
	held, free := s.ranges()
	for _, other := range more {
		moreHeld, moreFree := other.ranges()
		held, free = append(held, moreHeld...), append(free, moreFree...)
	}
	return rangesText(merge(held)), rangesText(merge(free))
}

// ranges returns the addresses that [space.stats] counts.
func (s *space) ranges() (using, available []model.Range) {
	held := make([]model.Range, 0, s.counted)
	for addr := range s.held {
		if s.inPool(addr) {
			held = append(held, model.Range{First: addr, Last: addr})
		}
	}
	held = merge(held)
	taken := merge(append(append([]model.Range{}, s.excluded...), held...))
	return held, complement(s.hosts, taken)
}

func rangesText(ranges []model.Range) string {
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == maxRanges {
			b.WriteString("...")
			break
		}
		b.WriteString(rangeText(r.First, r.Last))
	}
	return b.String()
}

func rangeText(first, last netip.Addr) string {
	if first == last {
		return first.String()
	}
	return first.String() + "-" + last.String()
}
