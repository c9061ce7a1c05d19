package model

import (
	"net/netip"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
)

// features checks the fields of a Subnet that stand apart from its addresses.
func (p *problems) features(spec *v1.SubnetSpec, s Subnet) {
	p.gatewayNodes(spec)
	p.externalEgress(spec)
	p.interconnection(spec, s)
	for _, text := range spec.Vips {
		p.inside("spec.vips", text, s)
	}
	for i := range spec.NatOutgoingPolicyRules {
		p.natRule(&spec.NatOutgoingPolicyRules[i])
	}
}

// gatewayNodes reads "node1:172.18.0.2,node2".
func (p *problems) gatewayNodes(spec *v1.SubnetSpec) {
	for _, entry := range csv(spec.GatewayNode) {
		node, addr, hasAddr := strings.Cut(entry, ":")
		if cause := notAName(node); cause != "" {
			p.warn("spec.gatewayNode", "%s is not the name of a node: %s", quote(node), cause)
		}
		if !hasAddr {
			continue
		}
		if _, err := parseAddr(addr); err != nil {
			p.warn("spec.gatewayNode", "node %s: %s", node, err)
		}
	}
}

// externalEgress checks routing by routers outside the cluster.
func (p *problems) externalEgress(spec *v1.SubnetSpec) {
	if spec.ExternalEgressGateway == "" {
		return
	}
	const field = "spec.externalEgressGateway"
	if _, err := ParseAddrs(spec.ExternalEgressGateway); err != nil {
		p.warn(field, "%s: %s", quote(spec.ExternalEgressGateway), err)
	}
	if spec.NatOutgoing {
		p.warn(field, "%s cannot be used while natOutgoing is true: the router outside would see addresses of nodes", quote(spec.ExternalEgressGateway))
	}
	// The kernel's own tables: unspec, default, main and local (linux/rtnetlink.h, rt_class_t).
	if id := spec.PolicyRoutingTableID; id == 0 || id >= 253 && id <= 255 {
		p.warn("spec.policyRoutingTableID", "%d belongs to the kernel; externalEgressGateway needs a table of its own", id)
	}
	if spec.PolicyRoutingPriority == 0 {
		p.warn("spec.policyRoutingPriority", "it is 0; externalEgressGateway needs a priority")
	}
}

// interconnection checks underlay subnets that are connected to the overlay.
func (p *problems) interconnection(spec *v1.SubnetSpec, s Subnet) {
	u2o := spec.U2OInterconnection && spec.Vlan != "" // without a vlan it is set back to false
	if spec.LogicalGateway && u2o {
		p.warn("spec.logicalGateway", "it is true and so is u2oInterconnection; a subnet has one or the other")
	}
	if spec.U2OFeatures.OverlayOnlyRouting && !u2o {
		p.warn("spec.u2oFeatures.overlayOnlyRouting", "it is true without u2oInterconnection and vlan, and has no effect")
	}
	if !u2o || spec.U2OInterconnectionIP == "" {
		return
	}
	const field = "spec.u2oInterconnectionIP"
	for _, text := range csv(spec.U2OInterconnectionIP) {
		addr, ok := p.inside(field, text, s)
		if ok && (addr == s.Gateway.V4 || addr == s.Gateway.V6) {
			p.warn(field, "%s is the gateway of the subnet, which is another router", addr)
		}
	}
}

// inside reads an address that must be a host's in the CIDR.
func (p *problems) inside(field, text string, s Subnet) (netip.Addr, bool) {
	addr, err := parseAddr(text)
	if err != nil {
		p.warn(field, "%s", err)
		return netip.Addr{}, false
	}
	if prefix := ofFamily(s.CIDR, addr); !prefix.IsValid() || !HostRange(prefix).Contains(addr) {
		p.warn(field, "%s is no host address of the CIDR %s", addr, quote(PrefixesText(s.CIDR)))
		return netip.Addr{}, false
	}
	return addr, true
}

// natRule checks one rule of natOutgoing: its addresses are of one family.
func (p *problems) natRule(rule *v1.NatOutgoingPolicyRule) {
	const field = "spec.natOutgoingPolicyRules.match"
	has4, has6 := false, false
	for _, list := range []struct{ name, text string }{{"srcIPs", rule.Match.SrcIPs}, {"dstIPs", rule.Match.DstIPs}} {
		for _, text := range csv(list.text) {
			is4, err := familyOf(text)
			if err != nil {
				p.warn(field+"."+list.name, "%s", err)
				continue
			}
			has4, has6 = has4 || is4, has6 || !is4
		}
	}
	if has4 && has6 {
		p.warn(field, "srcIPs %s and dstIPs %s mix IPv4 and IPv6; no packet has both", quote(rule.Match.SrcIPs), quote(rule.Match.DstIPs))
	}
}

// familyOf reads an address or a CIDR.
func familyOf(text string) (is4 bool, err error) {
	if strings.Contains(text, "/") {
		prefix, err := parsePrefix(text)
		return prefix.Addr().Is4(), err
	}
	addr, err := parseAddr(text)
	return addr.Is4(), err
}
