// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"net/netip"
	"slices"
)

// Range is a closed range of addresses of one IP family.
type Range struct {
	First, Last netip.Addr
}

// Contains reports whether addr is in the range, its ends included.
func (r Range) Contains(addr netip.Addr) bool {
	return r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// overlaps reports whether two ranges share an address.
func (r Range) overlaps(other Range) bool {
	return r.First.Compare(other.Last) <= 0 && other.First.Compare(r.Last) <= 0
}

// String formats a range as in specs: "10.0.0.5" or "10.0.0.5..10.0.0.9".
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + ".." + r.Last.String()
}

// HostRange returns the addresses of a prefix that a host may have: all but the first and the last one, except on /31
// and /127 (RFC 3021, RFC 6164) and on a single address. On IPv6 the first is the subnet-router anycast address (RFC
// 4291, 2.6.1); the last is excluded for symmetry.
func HostRange(p netip.Prefix) Range {
	r := Range{First: p.Masked().Addr(), Last: lastAddr(p)}
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
	last, _ := netip.AddrFromSlice(b) // 4 or 16 bytes, like the input
	return last
}

// joinOverlapping sorts ranges by address, IPv4 first, and joins those that overlap; adjacent ranges stay separate, as
// their author wrote them.
func joinOverlapping(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	var out []Range
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].Contains(r.First) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// Transpose returns the address at the same offset in one prefix as addr has in another; ok is false if the prefix is
// too small.
func Transpose(in, of netip.Prefix, addr netip.Addr) (out netip.Addr, ok bool) {
	if in.Addr().BitLen() != of.Addr().BitLen() || !of.Contains(addr) {
		return netip.Addr{}, false
	}
	base, bytes := in.Masked().Addr().AsSlice(), addr.AsSlice()
	for i := range bytes {
		network := bitsOf(of, i)
		host := bytes[i] &^ network
		if host&bitsOf(in, i) != 0 {
			return netip.Addr{}, false
		}
		base[i] |= host
	}
	out, ok = netip.AddrFromSlice(base)
	return out, ok
}

// bitsOf is one byte of a prefix's mask.
func bitsOf(p netip.Prefix, i int) byte {
	return byte(uint(0xff00) >> min(max(p.Bits()-8*i, 0), 8) & 0xff) // #nosec G115 -- masked
}
