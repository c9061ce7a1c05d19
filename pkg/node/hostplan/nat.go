package hostplan

import (
	"net/netip"
	"slices"
)

// Set is an nftables set.
type Set struct {
	Name string
	// Type is "ipv4_addr" or "ipv6_addr".
	Type string
	// Interval sets hold prefixes, others single addresses.
	Interval bool
	// Elements in nft's own notation, sorted; no element of an interval set contains another.
	Elements []string
}

// Chain is a base chain of an nftables table.
type Chain struct {
	Name, Type, Hook, Priority string
	Rules                      []Rule
}

// Rule is one rule in nft's notation with the comment that explains it.
type Rule struct{ Text, Comment string }

// Table is an nftables table of family inet that nobody else touches.
type Table struct {
	Name   string
	Sets   []Set
	Chains []Chain
}

// makeTable is the source NAT of the node: three sets per family and two rules,
// however many subnets there are.
//
//   - pods: what is inside: the default Vpc's subnets, the join subnet among them
//   - nat: those of them that have natOutgoing
//   - nodes: InternalIPs of all nodes
func makeTable(w World) Table {
	var inside, nat []netip.Prefix
	for _, s := range w.Subnets {
		if !routed(w, s) {
			continue
		}
		inside = append(inside, s.CIDRs...)
		if s.NATOutgoing {
			nat = append(nat, s.CIDRs...)
		}
	}
	for _, a := range w.Node.Addresses {
		inside = append(inside, a.Masked())
	}
	t := Table{Name: TableName, Chains: []Chain{{
		Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat",
	}}}
	for _, f := range []struct{ digit, keyword, typ string }{{"4", "ip", "ipv4_addr"}, {"6", "ip6", "ipv6_addr"}} {
		is4 := f.digit == "4"
		t.Sets = append(t.Sets,
			Set{Name: "pods" + f.digit, Type: f.typ, Interval: true, Elements: prefixes(inside, is4)},
			Set{Name: "nat" + f.digit, Type: f.typ, Interval: true, Elements: prefixes(nat, is4)},
			Set{Name: "nodes" + f.digit, Type: f.typ, Elements: addresses(w.NodeAddresses, is4)},
		)
		t.Chains[0].Rules = append(t.Chains[0].Rules, natRules(f.digit, f.keyword)...)
	}
	return t
}

func natRules(digit, ip string) []Rule {
	return []Rule{{
		// Without this the answer would go straight back to the pod through OVN,
		// from an address that the pod never asked.
		Text:    ip + " saddr @pods" + digit + " ct status dnat masquerade fully-random",
		Comment: "what this node redirected comes back through it",
	}, {
		Text: ip + " saddr @nat" + digit + " " + ip + " daddr != @pods" + digit +
			" " + ip + " daddr != @nodes" + digit + " masquerade fully-random",
		Comment: "pods leave the cluster with the node's address",
	}}
}

// prefixes returns the prefixes of one family, sorted, without those that
// another one contains: the kernel refuses overlapping intervals in a set.
func prefixes(ps []netip.Prefix, is4 bool) []string {
	var own []netip.Prefix
	for _, p := range ps {
		if p.Addr().Is4() == is4 {
			own = append(own, p.Masked())
		}
	}
	// Compare orders by address, then by length: a container comes before what it contains.
	slices.SortFunc(own, netip.Prefix.Compare)
	var out []string
	var last netip.Prefix
	for _, p := range own {
		if last.IsValid() && last.Overlaps(p) {
			continue
		}
		last = p
		out = append(out, element(p))
	}
	slices.Sort(out)
	return out
}

// element is nft's notation: a prefix of full length is printed as an address.
func element(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func addresses(as []netip.Addr, is4 bool) []string {
	var out []string
	for _, a := range as {
		if a.Is4() == is4 {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
