package ipam

import (
	"cmp"
	"math/big"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// hostRange returns the addresses of a prefix that a host may have: all but the
// first and the last one, except on /31 and /127 (RFC 3021, RFC 6164) and on a
// single address. On IPv6 the first is the subnet-router anycast address
// (RFC 4291, 2.6.1); the last is left out for symmetry.
func hostRange(p netip.Prefix) model.Range {
	r := model.Range{First: p.Masked().Addr(), Last: lastAddr(p)}
	if p.Addr().BitLen()-p.Bits() > 1 {
		r.First, r.Last = r.First.Next(), r.Last.Prev()
	}
	return r
}

// lastAddr returns the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b) // 4 or 16 bytes, as they came
	return last
}

func contains(r model.Range, addr netip.Addr) bool {
	return r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

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

// merge sorts ranges of one family and joins those that overlap or touch.
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

// complement returns what bounds has beside holes, which are sorted, disjoint and inside.
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
