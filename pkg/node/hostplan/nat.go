// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
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

// Counter counts the packets that a node forwards from or to a network of pods.
type Counter struct {
	Name, Subnet string
	CIDR         netip.Prefix
	// Ingress is towards the pods, else it is what they send.
	Ingress bool
}

// Map is an nftables map.
type Map struct {
	Name string
	// Type is "<key> : <value>", for example "ipv4_addr : verdict"; empty if TypeOf says it by expressions.
	Type   string
	TypeOf string `json:",omitempty"`
	// Exact maps have single keys, others prefixes.
	Exact bool `json:",omitempty"`
	// Learned maps get their elements from rules: none of them is wanted, and none unwanted.
	Learned bool `json:",omitempty"`
	// Elements are sorted by their keys; no key contains another.
	Elements []Element
}

// Element is an element of a map in nft's own notation.
type Element struct{ Key, Value string }

// Chain is a chain of an nftables table; without a hook it is reached from rules only.
type Chain struct {
	Name, Type, Hook, Priority string
	Rules                      []Rule
}

// Rule is one rule in nft's notation with the comment that explains it.
type Rule struct{ Text, Comment string }

// Table is an nftables table of family inet that only we change.
type Table struct {
	Name   string
	Sets   []Set
	Maps   []Map
	Chains []Chain
	// Counters are the values of maps of type "… : counter".
	Counters []Counter
}

const (
	// leaveChain gives packets another source address.
	leaveChain = "leave"
	// strayChain takes packets that no connection of this node explains.
	strayChain = "stray"
)

// family is what the rules for IPv4 and IPv6 differ in.
type family struct {
	ip                             model.Family
	digit, keyword, kind, protocol string
}

var families = []family{{model.IPv4, "4", "ip", "ipv4_addr", "ipv4"}, {model.IPv6, "6", "ip6", "ipv6_addr", "ipv6"}}

func (f family) prefixOf(p netip.Prefix) bool { return model.FamilyOf(p.Addr()) == f.ip }

func (f family) of(a model.Addrs) netip.Addr { return a.In(f.ip) }

// makeTable is the source NAT of the node: four sets, two maps and eight rules per
// family, however many subnets there are, and a chain for each subnet that has
// rules of its own.
//
//   - pods: what is inside: the default Vpc's subnets, the join subnet among them,
//     and the addresses that hosts take towards Services
//   - nat: those of them that have natOutgoing, and the latter
//   - nodes: InternalIPs of all nodes
//   - services: the networks of ClusterIPs
//   - source: the address that a centralized subnet names for this node
//   - policy: the chain of a subnet with natOutgoingPolicyRules
//
// The kernel translates nothing that conntrack calls invalid: the rest of a
// connection that began on another gateway node, say. Such packets would leave
// with the pod's address, so those that are to be translated are dropped.
func makeTable(in Inputs) Table {
	inside := insidePrefixes(in)
	var nat []netip.Prefix
	for _, s := range natSubnets(in) {
		nat = append(nat, s.CIDRs...)
	}
	for _, s := range in.Node.Services {
		nat = append(nat, s.Masked())
	}
	t := Table{Name: TableName}
	leave := Chain{Name: leaveChain}
	stray := Chain{Name: strayChain}
	forward := Chain{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Rules: []Rule{{
		Text: "ct state invalid jump " + strayChain, Comment: "NAT passes over these",
	}}}
	post := Chain{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat"}
	for _, f := range families {
		t.Chains = append(t.Chains, behindChain(in, f))
		t.Sets = append(t.Sets,
			Set{Name: "pods" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(inside, f.ip)},
			Set{Name: "nat" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(nat, f.ip)},
			Set{Name: "nodes" + f.digit, Type: f.kind, Elements: addresses(in.NodeAddresses, f.ip)},
			Set{Name: "services" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(serviceNets(in, f), f.ip)},
		)
		t.Maps = append(t.Maps,
			Map{Name: "source" + f.digit, Type: f.kind + " : " + f.kind, Elements: sources(in, f)},
			Map{Name: "policy" + f.digit, Type: f.kind + " : verdict", Elements: policies(in, f)},
		)
		counters, rules := traffic(in, f, &t)
		t.Counters, forward.Rules = append(t.Counters, counters...), append(forward.Rules, rules...)
		toServices, strays := serviceRules(in, f)
		forward.Rules = append(forward.Rules, strays...)
		post.Rules = append(append(post.Rules, toServices...), natRules(f)...)
		stray.Rules = append(stray.Rules, strayRules(f)...)
		leave.Rules = append(leave.Rules, Rule{
			Text:    "snat " + f.keyword + " to " + f.keyword + " saddr map @source" + f.digit + " fully-random",
			Comment: "the address that gatewayNode names for this node",
		})
	}
	leave.Rules = append(leave.Rules, Rule{Text: "masquerade fully-random", Comment: "else the node's own address"})
	t.Chains = slices.Concat([]Chain{entryChain()}, t.Chains, []Chain{leave, stray}, policyChains(in), []Chain{forward, post})
	return t
}

// insidePrefixes are the networks that hosts reach through ovn0, none within another.
func insidePrefixes(in Inputs) []netip.Prefix {
	var inside []netip.Prefix
	for _, s := range in.Subnets {
		if routed(in, s) {
			inside = append(inside, s.CIDRs...)
		}
	}
	for _, a := range slices.Concat(in.Node.Addresses, in.Node.Services) {
		inside = append(inside, a.Masked())
	}
	return disjoint(inside)
}

// outside is the condition that a packet leaves the cluster.
func (f family) outside() string {
	daddr := f.keyword + " daddr "
	return daddr + "!= @pods" + f.digit + " " + daddr + "!= @nodes" + f.digit
}

// byPolicy has natOutgoingPolicyRules look at packets that leave the cluster.
func (f family) byPolicy() Rule {
	return Rule{
		Text:    f.outside() + " " + f.keyword + " saddr vmap @policy" + f.digit,
		Comment: "natOutgoingPolicyRules come first",
	}
}

func strayRules(f family) []Rule {
	return []Rule{f.byPolicy(), {
		Text:    f.keyword + " saddr @nat" + f.digit + " " + f.outside() + " counter drop",
		Comment: "no pod's address leaves the cluster untranslated",
	}}
}

func natRules(f family) []Rule {
	saddr := f.keyword + " saddr "
	return []Rule{{
		// Without this the reply would go straight back to the pod through OVN, from an address that the pod has not
		// connected to.
		Text:    saddr + "@pods" + f.digit + " ct status dnat goto " + f.behind(),
		Comment: "what this node redirected comes back through it",
	}, f.byPolicy(), {
		Text:    saddr + "@nat" + f.digit + " " + f.outside() + " goto " + leaveChain,
		Comment: "pods leave the cluster with an address of the node",
	}}
}

// sources maps the CIDRs of centralized subnets to the addresses that their
// traffic gets on this node, where gatewayNode names one.
func sources(in Inputs, f family) []Element {
	values := map[netip.Prefix]string{}
	for _, s := range natSubnets(in) {
		if !s.Centralized {
			continue
		}
		for _, n := range s.Egress.GatewayNodes {
			if a := f.of(n.Source); n.Name == in.Node.Name && a.IsValid() {
				assign(values, s.CIDRs, f, a.String())
			}
		}
	}
	return elements(values)
}

// natSubnets are the subnets with natOutgoing whose pods leave through the hosts, by name.
func natSubnets(in Inputs) []Subnet {
	out := slices.DeleteFunc(slices.Clone(in.Subnets), func(s Subnet) bool { return !routed(in, s) || !s.NATOutgoing })
	slices.SortFunc(out, func(a, b Subnet) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// assign gives the prefixes of one family a value, unless they have one: of
// subnets with one CIDR, which are in conflict, the first by name has it.
func assign(values map[netip.Prefix]string, cidrs []netip.Prefix, f family, value string) {
	for _, c := range cidrs {
		if _, taken := values[c.Masked()]; !taken && f.prefixOf(c) {
			values[c.Masked()] = value
		}
	}
}

// elements sorts a map by its keys and leaves out those that another one contains.
func elements(values map[netip.Prefix]string) []Element {
	var out []Element
	for _, p := range disjoint(slices.Collect(maps.Keys(values))) {
		out = append(out, Element{Key: element(p), Value: values[p]})
	}
	slices.SortFunc(out, func(a, b Element) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// prefixes returns the prefixes of one family, sorted, without those that
// another one contains.
func prefixes(ps []netip.Prefix, f model.Family) []string {
	var out []string
	for _, p := range disjoint(ps) {
		if model.FamilyOf(p.Addr()) == f {
			out = append(out, element(p))
		}
	}
	slices.Sort(out)
	return out
}

// disjoint leaves out prefixes that another one contains: the kernel refuses
// overlapping intervals.
func disjoint(ps []netip.Prefix) []netip.Prefix {
	own := make([]netip.Prefix, 0, len(ps))
	for _, p := range ps {
		own = append(own, p.Masked())
	}
	// Compare orders by address, then by length: a container comes before what it contains.
	slices.SortFunc(own, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, p := range own {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// element is nft's notation: a prefix of full length is printed as an address.
func element(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func addresses(as []netip.Addr, f model.Family) []string {
	var out []string
	for _, a := range as {
		if model.FamilyOf(a) == f {
			out = append(out, a.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
