package model

import (
	"net/netip"
)

// Dual is a pair of values, one an address family; either may be its zero value.
type Dual[T any] struct {
	V4, V6 T
}

// Of is the value of the address family of addr.
func (d Dual[T]) Of(addr netip.Addr) T {
	if addr.Is4() {
		return d.V4
	}
	return d.V6
}

// Addrs is one address for each family; an invalid netip.Addr stands for none.
type Addrs = Dual[netip.Addr]

// Prefixes is one prefix for each family; an invalid netip.Prefix stands for none.
type Prefixes = Dual[netip.Prefix]

// Families yields the addresses that are there, IPv4 first.
func Families(a Addrs) []netip.Addr {
	var out []netip.Addr
	for _, addr := range []netip.Addr{a.V4, a.V6} {
		if addr.IsValid() {
			out = append(out, addr)
		}
	}
	return out
}

// PrefixFamilies yields the prefixes that are there, IPv4 first.
func PrefixFamilies(p Prefixes) []netip.Prefix {
	var out []netip.Prefix
	for _, prefix := range []netip.Prefix{p.V4, p.V6} {
		if prefix.IsValid() {
			out = append(out, prefix)
		}
	}
	return out
}
