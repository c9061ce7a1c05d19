// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"net/netip"
	"slices"
)

// Overlaps reports whether Subnet a conflicts with an older Subnet b because they share addresses in one network: in
// one Vpc, or on one vlan. The older one keeps them; of two of the same second the one whose name sorts first. The
// problem is a's; for b, Overlaps(b, a) is false.
func Overlaps(a, b Subnet) (Problem, bool) {
	if a.Name == b.Name || !sameNetwork(a, b) || Older(a.Meta, b.Meta) {
		return Problem{}, false
	}
	mine, theirs := a.CIDR.V4, b.CIDR.V4
	if !overlap(mine, theirs) {
		mine, theirs = a.CIDR.V6, b.CIDR.V6
	}
	if !overlap(mine, theirs) {
		return Problem{}, false
	}
	p := problems{reason: ReasonSubnetInvalid}
	where := "Vpc " + a.Vpc
	if a.Vlan != "" {
		where = "vlan " + a.Vlan
	}
	p.fatal("spec.cidrBlock", "%s of Subnet %s overlaps %s of Subnet %s in %s; the older one, %s, keeps its addresses",
		mine, a.Name, theirs, b.Name, where, b.Name)
	return p.list[0], true
}

func overlap(a, b netip.Prefix) bool { return a.IsValid() && b.IsValid() && a.Overlaps(b) }

func sameNetwork(a, b Subnet) bool {
	if a.Vlan != "" || b.Vlan != "" {
		return a.Vlan == b.Vlan
	}
	return a.Vpc != "" && a.Vpc == b.Vpc
}

// Older reports whether object a comes before object b of the same kind: of two that claim the same resource it has it.
// Two of the same second are ordered by namespace and name.
func Older(a, b Meta) bool {
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name)) < 0
}

// OverlapsNode reports whether the CIDR of an overlay subnet of the default Vpc contains an InternalIP of a node: its
// pods could not reach that node. The older object keeps the address: a Subnet that is younger than the node cannot be
// compiled, and an older one keeps working with a problem.
func OverlapsNode(s Subnet, n Node) (Problem, bool) {
	for _, ip := range n.InternalIPs {
		if !s.holds(ip) {
			continue // most pairs of subnet and node
		}
		problem, ok := covers(s, ip, "InternalIP "+ip.String()+" of Node "+n.Name)
		if !ok {
			continue
		}
		if problem.Fatal = Older(n.Meta, s.Meta); !problem.Fatal {
			problem.Message += ", which was added later: pods of the Subnet's Vpc cannot reach the node"
		}
		return problem, true
	}
	return Problem{}, false
}

// OverlapsServers returns a problem for each address of an API server or of OVN's databases in the CIDR of an overlay
// subnet of the default Vpc.
func OverlapsServers(s Subnet, i Infrastructure) (list []Problem) {
	for _, a := range slices.Concat(i.APIServers, i.Databases) {
		if problem, ok := covers(s, a, a.String()+", "+i.server(a)); ok {
			list = append(list, problem)
		}
	}
	return list
}

// holds reports whether an address is in the subnet's CIDR.
func (s *Subnet) holds(addr netip.Addr) bool { return s.CIDR.Of(addr).Contains(addr) }

func covers(s Subnet, addr netip.Addr, what string) (Problem, bool) {
	if s.Vpc != DefaultVpc || s.Vlan != "" || !s.holds(addr) {
		return Problem{}, false
	}
	prefix := s.CIDR.Of(addr)
	p := problems{reason: ReasonSubnetInvalid}
	p.fatal("spec.cidrBlock", "%s of Subnet %s contains %s", prefix, s.Name, what)
	return p.list[0], true
}

// Refused returns the overlay subnets of the default Vpc that are not connected because their addresses belong to the
// infrastructure, an older node or an older subnet, with the cause. The key is the subnet's name.
func Refused(subnets []*Subnet, nodes []*Node, infrastructure Infrastructure) map[string]Problem {
	out := map[string]Problem{}
	refuse := func(s *Subnet, p Problem, ok bool) {
		if _, known := out[s.Name]; ok && p.Fatal && !known {
			out[s.Name] = p
		}
	}
	for _, s := range subnets {
		for _, r := range infrastructure.Ranges {
			p, ok := OverlapsReserved(*s, r)
			refuse(s, p, ok)
		}
		for _, p := range OverlapsServers(*s, infrastructure) {
			refuse(s, p, true)
		}
		for _, n := range nodes {
			if slices.ContainsFunc(n.InternalIPs, s.holds) { // nodes evaluate this for all pairs, often
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

// sharing returns the pairs of subnets that share addresses. Of two overlapping prefixes, one contains the other: they
// are visited in the order of their first addresses, the wider one first, so the open ones contain the present one.
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
