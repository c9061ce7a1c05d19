package model

import (
	"cmp"
	"net/netip"
	"slices"
)

// Refused tells which overlay subnets of the default Vpc are not connected because
// their addresses are somebody else's, and why: those of an older node, of the API
// server, or of an older subnet. The key is the subnet's name.
func Refused(subnets []*Subnet, nodes []*Node, apiServers []netip.Addr) map[string]Problem {
	out := map[string]Problem{}
	refuse := func(s *Subnet, p Problem, ok bool) {
		if _, known := out[s.Name]; ok && p.Fatal && !known {
			out[s.Name] = p
		}
	}
	for _, s := range subnets {
		for _, a := range apiServers {
			p, ok := OverlapsAPIServer(*s, a)
			refuse(s, p, ok)
		}
		for _, n := range nodes {
			if slices.ContainsFunc(n.InternalIPs, s.holds) { // a node asks this of all pairs, often
				p, ok := OverlapsNode(*s, *n)
				refuse(s, p, ok)
			}
		}
	}
	for _, pair := range sharing(subnets) {
		p, ok := Overlaps(*pair[0], *pair[1])
		refuse(pair[0], p, ok)
		p, ok = Overlaps(*pair[1], *pair[0])
		refuse(pair[1], p, ok)
	}
	return out
}

// sharing finds the pairs of subnets that share addresses. Of two prefixes that
// do, one holds the other: in the order of their first addresses, the wider one
// first, those that hold a prefix are open when it comes.
func sharing(subnets []*Subnet) (pairs [][2]*Subnet) {
	type network struct {
		prefix netip.Prefix
		of     *Subnet
	}
	var all, open []network
	for _, s := range subnets {
		for _, p := range PrefixFamilies(s.CIDR) {
			all = append(all, network{p, s})
		}
	}
	slices.SortStableFunc(all, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	for _, n := range all {
		open = slices.DeleteFunc(open, func(o network) bool { return !o.prefix.Overlaps(n.prefix) })
		for _, o := range open {
			pairs = append(pairs, [2]*Subnet{o.of, n.of})
		}
		open = append(open, n)
	}
	return pairs
}
