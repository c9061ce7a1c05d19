package model

import (
	"cmp"
	"net/netip"
)

// Overlaps tells whether Subnet a must give way to Subnet b because they share
// addresses in one network: in one Vpc, or on one vlan. The older one keeps
// them; of two of the same second the one whose name comes first. The problem
// is a's; for b, Overlaps(b, a) is false.
func Overlaps(a, b Subnet) (Problem, bool) {
	if a.Name == b.Name || !sameNetwork(a, b) || older(a.Meta, b.Meta) {
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

func older(a, b Meta) bool {
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name)) < 0
}

// OverlapsNode tells whether the CIDR of an overlay subnet of the default Vpc
// holds an InternalIP of a node: its pods would not reach that node. The older one
// keeps the address: a Subnet that is younger than the node cannot be compiled, and
// one that is older goes on and says so.
func OverlapsNode(s Subnet, n Node) (Problem, bool) {
	for _, ip := range n.InternalIPs {
		if !s.holds(ip) {
			continue // most pairs of subnet and node end here
		}
		problem, ok := covers(s, ip, "InternalIP "+ip.String()+" of Node "+n.Name)
		if !ok {
			continue
		}
		if problem.Fatal = older(n.Meta, s.Meta); !problem.Fatal {
			problem.Message += ", which came later: pods of the Subnet's Vpc do not reach the node"
		}
		return problem, true
	}
	return Problem{}, false
}

// OverlapsAPIServer tells whether the CIDR of an overlay subnet of the default
// Vpc holds the address by which the controller reaches the API server.
func OverlapsAPIServer(s Subnet, apiServer netip.Addr) (Problem, bool) {
	return covers(s, apiServer, "the address of the API server, "+apiServer.String())
}

// holds tells whether an address is in the subnet's CIDR.
func (s *Subnet) holds(addr netip.Addr) bool { return s.CIDR.Of(addr).Contains(addr) }

func covers(s Subnet, addr netip.Addr, what string) (Problem, bool) {
	if s.Vpc != DefaultVpc || s.Vlan != "" || !s.holds(addr) {
		return Problem{}, false
	}
	prefix := s.CIDR.Of(addr)
	p := problems{reason: ReasonSubnetInvalid}
	p.fatal("spec.cidrBlock", "%s of Subnet %s holds %s", prefix, s.Name, what)
	return p.list[0], true
}
