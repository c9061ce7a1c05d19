// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	v1 "github.com/wovensdn/woven/api/v1"
)

// Egress describes the traffic that leaves the cluster from a subnet, as the nodes need it in addition to [Subnet]. An
// invalid part of a spec is skipped and reported; the other parts apply.
type Egress struct {
	// Underlay subnets are routed by the physical network and not by OVN: they have a vlan and no logicalGateway.
	Underlay bool
	// GatewayNodes are the nodes of spec.gatewayNode, each once, in its order.
	GatewayNodes []GatewayNode
	// NATRules are spec.natOutgoingPolicyRules; the first that matches decides. There are none while natOutgoing is
	// false, since they refine it.
	NATRules []NATRule
	// External is nil unless routers outside the cluster forward the traffic.
	External *ExternalEgress
}

// GatewayNode is a node through which traffic of a centralized subnet may leave.
type GatewayNode struct {
	Name string
	// Source is the address that pods' addresses are translated to, if the spec names it.
	Source Addrs
}

// NATRule decides about the source address of matching packets.
type NATRule struct {
	// Sources and Destinations are prefixes of one IP family; an empty list matches all addresses.
	Sources, Destinations []netip.Prefix
	// NAT translates the source; otherwise it is unchanged.
	NAT bool
}

// ExternalEgress is routing by routers outside the cluster.
type ExternalEgress struct {
	Gateways Addrs
	// Table is the number of the routing table (ip-route(8)), Priority that of the rules that select it (ip-rule(8)).
	Table, Priority uint32
}

// EgressFrom projects the egress part of a Subnet.
func EgressFrom(o *v1.Subnet) (Egress, []Problem) {
	p := problems{reason: ReasonSubnetInvalid}
	e := p.egress(&o.Spec)
	return e, p.list
}

func (p *problems) egress(spec *v1.SubnetSpec) Egress {
	e := Egress{Underlay: spec.Vlan != "" && !spec.LogicalGateway, GatewayNodes: p.gatewayNodes(spec), External: p.externalEgress(spec)}
	for i := range spec.NatOutgoingPolicyRules {
		if rule, ok := p.natRule(&spec.NatOutgoingPolicyRules[i]); ok && spec.NatOutgoing {
			e.NATRules = append(e.NATRules, rule)
		}
	}
	return e
}

// gatewayNodes parses "node1:172.18.0.2,node2". A node may appear twice, once for the address of each IP family.
func (p *problems) gatewayNodes(spec *v1.SubnetSpec) []GatewayNode {
	const field = "spec.gatewayNode"
	var out []GatewayNode
	for _, entry := range csv(spec.GatewayNode) {
		name, text, hasAddr := strings.Cut(entry, ":")
		if cause := notAName(name); cause != "" {
			p.warn(field, "%s is not the name of a node: %s", quote(name), cause)
			continue
		}
		var addr netip.Addr
		if hasAddr {
			var err error
			if addr, err = parseAddr(text); err != nil {
				p.warn(field, "node %s: %s", name, err)
			}
		}
		node := nodeNamed(&out, name)
		for _, slot := range []*netip.Addr{&node.Source.V4, &node.Source.V6} {
			switch {
			case !addr.IsValid() || addr.Is4() != (slot == &node.Source.V4):
			case slot.IsValid() && *slot != addr:
				p.warn(field, "node %s: %s is a second address of the same IP family as %s", name, addr, *slot)
			default:
				*slot = addr
			}
		}
	}
	return out
}

// nodeNamed returns the entry of a node; it adds one if there is none.
func nodeNamed(list *[]GatewayNode, name string) *GatewayNode {
	for i := range *list {
		if (*list)[i].Name == name {
			return &(*list)[i]
		}
	}
	*list = append(*list, GatewayNode{Name: name})
	return &(*list)[len(*list)-1]
}

// externalEgress reads routing by routers outside the cluster; nil for none.
func (p *problems) externalEgress(spec *v1.SubnetSpec) *ExternalEgress {
	if spec.ExternalEgressGateway == "" {
		return nil
	}
	const field = "spec.externalEgressGateway"
	before := len(p.list)
	gateways, err := ParseAddrs(spec.ExternalEgressGateway)
	if err != nil {
		p.warn(field, "%s: %s", quote(spec.ExternalEgressGateway), err)
	}
	if spec.NatOutgoing {
		p.warn(field, "%s cannot be used while natOutgoing is true: the external router would see node addresses", quote(spec.ExternalEgressGateway))
	}
	// The kernel's own tables: unspec, default, main and local (linux/rtnetlink.h, rt_class_t).
	if id := spec.PolicyRoutingTableID; id == 0 || id >= 253 && id <= 255 {
		p.warn("spec.policyRoutingTableID", "%d belongs to the kernel; externalEgressGateway needs a table of its own", id)
	}
	if spec.PolicyRoutingPriority == 0 {
		p.warn("spec.policyRoutingPriority", "it is 0; externalEgressGateway needs a priority")
	}
	if len(p.list) > before {
		return nil
	}
	return &ExternalEgress{Gateways: gateways, Table: spec.PolicyRoutingTableID, Priority: spec.PolicyRoutingPriority}
}

// natRule reads one rule of natOutgoing: its addresses have one IP family.
func (p *problems) natRule(rule *v1.NatOutgoingPolicyRule) (NATRule, bool) {
	const field = "spec.natOutgoingPolicyRules.match"
	before := len(p.list)
	out := NATRule{
		Sources:      p.prefixes(field+".srcIPs", rule.Match.SrcIPs),
		Destinations: p.prefixes(field+".dstIPs", rule.Match.DstIPs),
		NAT:          rule.Action == v1.NATActionNAT,
	}
	has4, has6 := false, false
	for _, list := range [][]netip.Prefix{out.Sources, out.Destinations} {
		for _, prefix := range list {
			has4, has6 = has4 || prefix.Addr().Is4(), has6 || prefix.Addr().Is6()
		}
	}
	if has4 && has6 {
		p.warn(field, "srcIPs %s and dstIPs %s mix IPv4 and IPv6; no packet has both", quote(rule.Match.SrcIPs), quote(rule.Match.DstIPs))
	}
	if a := rule.Action; a != v1.NATActionNAT && a != v1.NATActionForward {
		p.warn("spec.natOutgoingPolicyRules.action", "%s is neither %s nor %s", quote(string(a)), v1.NATActionNAT, v1.NATActionForward)
	}
	return out, len(p.list) == before
}

// prefixes parses a list of addresses and CIDRs; an address is a prefix of full length.
func (p *problems) prefixes(field, text string) []netip.Prefix {
	var out []netip.Prefix
	for _, part := range csv(text) {
		prefix, err := parseHostOrPrefix(part)
		if err != nil {
			p.warn(field, "%s", err)
			continue
		}
		out = append(out, prefix)
	}
	return out
}

func parseHostOrPrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		prefix, err := parsePrefix(text)
		return prefix.Masked(), err
	}
	addr, err := parseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// Gateways are the nodes through which egress traffic of a centralized subnet leaves.
type Gateways struct {
	Nodes     []string // spec.gatewayNode, in its order
	Selectors []string // spec.gatewayNodeSelectors as labels.Selector writes them
	ECMP      bool     // through all ready nodes instead of one
	Active    string   // status.activateGateway: the choice that is recorded
	Table     uint32   // the nodes' routing table with the route to external routers; 0 without such
}

func (p *problems) gateways(o *v1.Subnet) Gateways {
	g := Gateways{ECMP: o.Spec.EnableEcmp, Active: o.Status.ActivateGateway}
	egress := p.egress(&o.Spec)
	for _, node := range egress.GatewayNodes {
		g.Nodes = append(g.Nodes, node.Name)
	}
	if egress.External != nil {
		g.Table = egress.External.Table
	}
	g.Selectors = p.selectors("spec.gatewayNodeSelectors", o.Spec.GatewayNodeSelectors)
	return g
}

// ActiveNodes are the nodes that [Gateways.Active] lists.
func (g Gateways) ActiveNodes() []string { return csv(g.Active) }

// Selects reports whether a selector selects a node with these labels.
func (g Gateways) Selects(set map[string]string) bool {
	return slices.ContainsFunc(g.Selectors, func(text string) bool {
		selector, err := labels.Parse(text)
		return err == nil && selector.Matches(labels.Set(set))
	})
}
