// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// nodeBlocks is up to how many blocks a policy is compiled again only when a node in one of them changes.
const nodeBlocks = 16

// ruleRanges are the addresses that a rule contains itself.
type ruleRanges struct {
	// allowed are the addresses that the rule allows whatever is in excepted of this and of other rules.
	allowed *netipx.IPSet
	// blocks are the blocks with exceptions, including these; nil if there are none.
	blocks *netipx.IPSet
	// excepted are the addresses in blocks that the rule does not allow.
	excepted *netipx.IPSet
}

// ranges returns the addresses of a rule's blocks and nodes. A block includes the nodes whose InternalIP is in it, and
// an exception excludes them: also their other addresses of the family, which pods see.
func (b *policyBuilder) ranges(rule *model.PolicyRule, direction string) (out ruleRanges) {
	var plain, whole, part netipx.IPSetBuilder
	for _, block := range rule.Blocks {
		if len(block.Except) == 0 {
			plain.AddPrefix(block.CIDR)
			continue
		}
		whole.AddPrefix(block.CIDR)
		part.AddSet(without(block))
	}
	sets := blockSets{plain: ipSet(&plain), whole: ipSet(&whole), part: ipSet(&part)}
	b.hosts(&plain, &part, sets, direction)
	if len(rule.Nodes) > 0 {
		for _, node := range b.v.Nodes() {
			if selects(rule.Nodes, node) {
				addAll(&plain, node.Addresses)
				addAll(&plain, b.towardsPods(node))
			}
		}
	}
	if len(sets.whole.Ranges()) == 0 {
		out.allowed = ipSet(&plain)
		return out
	}
	allowed := ipSet(&part)
	whole.RemoveSet(allowed)
	excepted := ipSet(&whole)
	// Without ports, a lax policy does not deny all packets from exceptions, but must not allow them either: another
	// policy may deny them.
	if len(excepted.Ranges()) == 0 || b.p.Lax && len(rule.Ports) == 0 {
		plain.AddSet(allowed)
		out.allowed = ipSet(&plain)
		return out
	}
	plain.AddSet(intersection(allowed, overlapping(b.exceptions(direction), sets.whole)))
	out.allowed, out.blocks, out.excepted = ipSet(&plain), sets.whole, excepted
	return out
}

// blockSets are the addresses of a rule's blocks.
type blockSets struct {
	plain *netipx.IPSet // without exceptions
	whole *netipx.IPSet // with exceptions, including these
	part  *netipx.IPSet // with exceptions, without these
}

// hosts adds to plain, for ingress, the other addresses of the nodes in a block, and removes those of excepted nodes
// from part. A node of which one InternalIP is excepted is so as a whole, unless a block without exceptions contains
// it.
func (b *policyBuilder) hosts(plain, part *netipx.IPSetBuilder, sets blockSets, direction string) {
	type member struct {
		node *model.Node
		v4   bool
	}
	type place struct{ plain, part, excepted bool }
	var members []member
	places := map[member]place{}
	for _, set := range []*netipx.IPSet{sets.plain, sets.whole} {
		for _, host := range b.nodesOf().within(set) {
			at := member{host.node, host.addr.Is4()}
			is, known := places[at]
			if !known {
				members = append(members, at)
			}
			inPlain, inPart := sets.plain.Contains(host.addr), sets.part.Contains(host.addr)
			places[at] = place{is.plain || inPlain, is.part || inPart, is.excepted || !inPlain && !inPart}
		}
	}
	for _, at := range members {
		addrs, is := ofFamily(b.towardsPods(at.node), at.v4), places[at]
		if is.excepted {
			removeAll(part, addrs)
		}
		if direction == nb.ACLDirectionToLport && (is.plain || is.part && !is.excepted) {
			addAll(plain, addrs)
		}
	}
}

// exceptions returns the addresses that some rule of a policy in the same namespace may drop: a pod may be the subject
// of all of them.
func (b *policyBuilder) exceptions(direction string) *netipx.IPSet {
	if s, ok := b.excepted[direction]; ok {
		return s
	}
	var all netipx.IPSetBuilder
	for _, prefix := range b.v.Exceptions(b.p.Namespace, direction == nb.ACLDirectionToLport) {
		all.AddPrefix(prefix)
	}
	s := ipSet(&all)
	for _, host := range *b.nodesOf() {
		if s.Contains(host.addr) {
			addAll(&all, ofFamily(b.towardsPods(host.node), host.addr.Is4()))
		}
	}
	if b.excepted == nil {
		b.excepted = map[string]*netipx.IPSet{}
	}
	b.excepted[direction] = ipSet(&all)
	return b.excepted[direction]
}

// nodeAddress is an InternalIP of a node.
type nodeAddress struct {
	addr netip.Addr
	node *model.Node
}

// nodeAddresses are sorted by address.
type nodeAddresses []nodeAddress

// nodesOf reads the InternalIPs of the nodes in the policy's blocks, or of all nodes if it has many blocks or
// exceptions. A node that claims the address of another one does not have it.
func (b *policyBuilder) nodesOf() *nodeAddresses {
	if b.nodes != nil {
		return b.nodes
	}
	b.nodes = &nodeAddresses{}
	nodes := nodesNear(b.v, b.p)
	if len(nodes) == 0 {
		return b.nodes
	}
	for addr, node := range model.InternalIPHolders(nodes, b.apiServers(b.v)) {
		*b.nodes = append(*b.nodes, nodeAddress{addr, node})
	}
	slices.SortFunc(*b.nodes, func(x, y nodeAddress) int { return x.addr.Compare(y.addr) })
	return b.nodes
}

func nodesNear(v *world.View, p *model.Policy) (nodes []*model.Node) {
	blocks, everywhere := []netip.Prefix{}, false
	for _, rules := range [][]model.PolicyRule{p.Ingress.Rules, p.Egress.Rules} {
		for i := range rules {
			for _, block := range rules[i].Blocks {
				blocks = append(blocks, block.CIDR)
				everywhere = everywhere || len(block.Except) > 0
			}
		}
	}
	if everywhere || len(blocks) > nodeBlocks {
		return v.NodesWithin(model.Prefixes{V4: netip.PrefixFrom(netip.IPv4Unspecified(), 0), V6: netip.PrefixFrom(netip.IPv6Unspecified(), 0)})
	}
	for _, cidr := range blocks {
		in := model.Prefixes{V4: cidr}
		if cidr.Addr().Is6() {
			in = model.Prefixes{V6: cidr}
		}
		nodes = append(nodes, v.NodesWithin(in)...)
	}
	slices.SortFunc(nodes, func(x, y *model.Node) int { return model.Ref{Name: x.Name}.Compare(model.Ref{Name: y.Name}) })
	return slices.Compact(nodes)
}

// within returns the addresses in a set.
func (n nodeAddresses) within(s *netipx.IPSet) (out nodeAddresses) {
	for _, r := range s.Ranges() {
		first, _ := slices.BinarySearchFunc(n, r.From(), func(x nodeAddress, a netip.Addr) int { return x.addr.Compare(a) })
		for _, x := range n[first:] {
			if !r.Contains(x.addr) {
				break
			}
			out = append(out, x)
		}
	}
	return out
}

// towardsPods returns the source addresses of a node's connections to pods: the address of its port, and its source
// address for Services.
func (b *policyBuilder) towardsPods(node *model.Node) []netip.Addr {
	ip, ok := b.v.IP(model.NodePortName(node.Name))
	join, there := b.v.SubnetNetwork(b.NodeSwitch)
	if !ok || !there {
		return nil
	}
	source := b.serviceSource(&Result{}, join, ip) // compiling the node reports the problems
	return append(model.Families(ip.Addrs), model.Families(source)...)
}

func ofFamily(addrs []netip.Addr, v4 bool) []netip.Addr {
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool { return a.Is4() != v4 })
}

func addAll(to *netipx.IPSetBuilder, addrs []netip.Addr) {
	for _, a := range addrs {
		to.Add(a)
	}
}

func removeAll(from *netipx.IPSetBuilder, addrs []netip.Addr) {
	for _, a := range addrs {
		from.Remove(a)
	}
}

func without(block model.IPBlock) *netipx.IPSet {
	var of netipx.IPSetBuilder
	of.AddPrefix(block.CIDR)
	for _, except := range block.Except {
		of.RemovePrefix(except)
	}
	return ipSet(&of)
}

func intersection(a, b *netipx.IPSet) *netipx.IPSet {
	var both netipx.IPSetBuilder
	both.AddSet(a)
	both.Intersect(b)
	return ipSet(&both)
}

// overlapping returns the ranges of a set that overlap with another set.
func overlapping(s, other *netipx.IPSet) *netipx.IPSet {
	var out netipx.IPSetBuilder
	all := s.Ranges()
	for _, r := range other.Ranges() {
		first, _ := slices.BinarySearchFunc(all, r.From(), func(x netipx.IPRange, a netip.Addr) int { return x.To().Compare(a) })
		for _, x := range all[first:] {
			if !x.Overlaps(r) {
				break
			}
			out.AddRange(x)
		}
	}
	return ipSet(&out)
}

func ipSet(b *netipx.IPSetBuilder) *netipx.IPSet {
	s, err := b.IPSet()
	if err != nil {
		return &netipx.IPSet{} // only invalid prefixes are errors, and model validates these
	}
	return s
}
