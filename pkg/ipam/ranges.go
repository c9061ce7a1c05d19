// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"math/big"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// clip returns the parts of ranges inside bounds: sorted, disjoint, not adjacent.
func clip(ranges []model.Range, bounds model.Range) []model.Range {
	if !bounds.First.IsValid() {
		return nil
	}
	var in []model.Range
	for _, r := range ranges {
		if r.Last.Less(bounds.First) || bounds.Last.Less(r.First) {
			continue
		}
		in = append(in, model.Range{First: later(r.First, bounds.First), Last: earlier(r.Last, bounds.Last)})
	}
	return merge(in)
}

// merge sorts ranges of one IP family and joins those that overlap or touch.
func merge(ranges []model.Range) []model.Range {
	slices.SortFunc(ranges, func(a, b model.Range) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	var out []model.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && touches(out[n-1].Last, r.First) {
			out[n-1].Last = later(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// touches reports whether no address lies between last and first.
func touches(last, first netip.Addr) bool {
	next := last.Next()
	return !next.IsValid() || next.Compare(first) >= 0
}

// complement returns the parts of bounds outside of holes, which are sorted, disjoint and inside.
func complement(bounds model.Range, holes []model.Range) []model.Range {
	if !bounds.First.IsValid() {
		return nil
	}
	var out []model.Range
	next := bounds.First
	for _, h := range holes {
		if next.Less(h.First) {
			out = append(out, model.Range{First: next, Last: h.First.Prev()})
		}
		if h.Last == bounds.Last {
			return out
		}
		next = h.Last.Next()
	}
	return append(out, model.Range{First: next, Last: bounds.Last})
}

// rangeSize counts the addresses of a range.
func rangeSize(r model.Range) *big.Int {
	first := new(big.Int).SetBytes(r.First.AsSlice())
	last := new(big.Int).SetBytes(r.Last.AsSlice())
	return last.Sub(last, first).Add(last, big.NewInt(1))
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func earlier(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return a
	}
	return b
}
