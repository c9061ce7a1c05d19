package model

import "net/netip"

// SubnetNetwork is the part of a Subnet that its pods and nodes depend on:
// changes of other fields do not wake them.
type SubnetNetwork struct {
	Name     string
	Vpc      string
	Provider Provider
	CIDR     Prefixes
	Gateway  Addrs
	Vlan     string
	DHCP     DHCP
}

// Network is the part of the subnet that its pods and nodes depend on.
func (s *Subnet) Network() SubnetNetwork {
	return SubnetNetwork{
		Name: s.Name, Vpc: s.Vpc, Provider: s.Provider, CIDR: s.CIDR, Gateway: s.Gateway, Vlan: s.Vlan, DHCP: s.DHCP,
	}
}

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
