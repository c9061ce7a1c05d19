// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
)

// Family is an IP family.
type Family uint8

// The IP families. AnyFamily, the zero value, means all of them.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

// IPFamilies lists both, IPv4 first.
func IPFamilies() []Family { return []Family{IPv4, IPv6} }

// FamilyOf returns the IP family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String returns the name of the IP family for messages.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	default:
		return "IPv4 or IPv6"
	}
}

// Match returns "ip4" or "ip6", the family's name in OVN's match language (ovn-sb(5), Logical_Flow, match).
func (f Family) Match() string {
	if f == IPv4 {
		return "ip4"
	}
	return "ip6"
}

// Dual is a pair of values, one for each IP family; either may be its zero value.
type Dual[T any] struct {
	V4, V6 T
}

// Of returns the value of the IP family of addr.
func (d Dual[T]) Of(addr netip.Addr) T { return d.In(FamilyOf(addr)) }

// In returns the value of an IP family.
func (d Dual[T]) In(f Family) T {
	if f == IPv4 {
		return d.V4
	}
	return d.V6
}

// Addrs is one address for each IP family; an invalid netip.Addr means none.
type Addrs = Dual[netip.Addr]

// Prefixes is one prefix for each IP family; an invalid netip.Prefix means none.
type Prefixes = Dual[netip.Prefix]

// Families returns the valid addresses, IPv4 first.
func Families(a Addrs) []netip.Addr {
	var out []netip.Addr
	for _, addr := range []netip.Addr{a.V4, a.V6} {
		if addr.IsValid() {
			out = append(out, addr)
		}
	}
	return out
}

// PrefixFamilies returns the valid prefixes, IPv4 first.
func PrefixFamilies(p Prefixes) []netip.Prefix {
	var out []netip.Prefix
	for _, prefix := range []netip.Prefix{p.V4, p.V6} {
		if prefix.IsValid() {
			out = append(out, prefix)
		}
	}
	return out
}
