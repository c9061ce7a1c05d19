// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// Pod is what the plan may know of a pod of this node.
type Pod struct {
	Subnet    string
	Addresses []netip.Addr
}

// PolicyRule is a routing rule (ip-rule(8)), marked with [RouteProtocol]: packets
// from a prefix use a routing table of their own.
type PolicyRule struct {
	// Priority is the rank; lower numbers are looked at first.
	Priority uint32
	From     netip.Prefix
	Table    uint32
}

// PolicyRules are all routing rules that we want.
type PolicyRules struct {
	Want []PolicyRule
	// KeepOthers has the meaning of that in [Routes].
	KeepOthers bool
	// Never has the sources that no rule of ours may select, wanted or kept.
	Never []netip.Addr `json:",omitempty"`
}

// makeExternal gives the subnets that leave through routers outside the cluster
// their routing tables and the rules that select them.
func makeExternal(in Inputs, p *Plan) {
	rules := &PolicyRules{KeepOthers: p.Routes.KeepOthers, Never: ruleSources(in)}
	inside := insidePrefixes(in)
	owners := map[uint32]string{}
	for _, s := range externalSubnets(in) {
		e := s.Egress.External
		if owner, taken := owners[e.Table]; taken {
			p.Problems = append(p.Problems, fmt.Sprintf(
				"subnet %s: spec.policyRoutingTableID: %d is the table of subnet %s, so its traffic is not routed to %s",
				s.Name, e.Table, owner, model.AddrsText(e.Gateways)))
			continue
		}
		owners[e.Table] = s.Name
		for _, f := range families {
			gateway := f.of(e.Gateways)
			from := egressSources(in, s, f)
			if !gateway.IsValid() || len(from) == 0 {
				continue
			}
			p.Routes.Want = append(p.Routes.Want, externalRoutes(e.Table, gateway, inside)...)
			for _, prefix := range from {
				if a, taken := Taken(prefix, rules.Never); taken {
					p.Problems = append(p.Problems, fmt.Sprintf("subnet %s: no routing rule from %s: it would select %s of the node or its network", s.Name, prefix, a))
					continue
				}
				rules.Want = append(rules.Want, PolicyRule{Priority: e.Priority, From: prefix, Table: e.Table})
			}
		}
	}
	p.PolicyRules = rules
}

// externalSubnets are the subnets that leave through routers outside, by name.
func externalSubnets(in Inputs) []Subnet {
	out := slices.DeleteFunc(slices.Clone(in.Subnets), func(s Subnet) bool { return !routed(in, s) || s.Egress.External == nil })
	slices.SortFunc(out, func(a, b Subnet) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// egressSources are the sources whose packets this node routes to the router outside: its own pods, or, on a gateway
// node of a centralized subnet, the whole subnet. A gateway node in standby is prepared as well, so that it can take
// over.
func egressSources(in Inputs, s Subnet, f family) []netip.Prefix {
	var out []netip.Prefix
	if s.Centralized {
		if slices.Contains(s.ActiveGateways, in.Node.Name) ||
			slices.ContainsFunc(s.Egress.GatewayNodes, func(n model.GatewayNode) bool { return n.Name == in.Node.Name }) {
			out = s.CIDRs
		}
	} else {
		for _, pod := range in.Pods {
			for _, a := range pod.Addresses {
				if pod.Subnet == s.Name && slices.ContainsFunc(s.CIDRs, func(p netip.Prefix) bool { return p.Contains(a) }) {
					out = append(out, netip.PrefixFrom(a, a.BitLen()))
				}
			}
		}
	}
	out = slices.DeleteFunc(slices.Clone(out), func(p netip.Prefix) bool { return !f.prefixOf(p) })
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// externalRoutes are the routes of a table: everything goes to the router, but
// what is inside goes back to the main table. Such packets are rare, since OVN
// routes between pods; the node sees them if it redirected them itself.
func externalRoutes(table uint32, gateway netip.Addr, inside []netip.Prefix) []Route {
	out := []Route{{Table: table, Dst: netip.PrefixFrom(gateway, 0).Masked(), Gateway: gateway}}
	for _, p := range inside {
		if p.Addr().Is4() == gateway.Is4() {
			out = append(out, Route{Type: Throw, Table: table, Dst: p})
		}
	}
	return out
}
