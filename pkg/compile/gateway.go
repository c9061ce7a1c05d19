// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// gateway routes the egress traffic of a centralized subnet to the ovn0 of its active gateway node or, with ECMP, of
// all gateway nodes that are ready. The active node is recorded in the status: it stays active while it is ready, then
// the next one of the list is recorded.
func (c Config) gateway(r *Result, v *world.View, s *model.Subnet) {
	if s.GatewayType != model.GatewayCentralized || s.Name == c.NodeSwitch {
		if s.Gateways.Active != "" {
			r.want(SetGateway{Subnet: s.Name, UID: s.UID})
		}
		return
	}
	chosen := strings.Split(s.Gateways.Active, ",")
	ready := readyGateways(v, s)
	switch {
	case len(ready) == 0:
		r.problem(model.ReasonNoReadyGateway, "spec.gatewayNode", "no gateway node of Subnet %s is ready; the last one was %q", s.Name, s.Gateways.Active)
	case s.Gateways.ECMP:
		chosen = ready
	case !slices.Contains(ready, s.Gateways.Active):
		chosen = ready[:1]
	}
	if nodes := strings.Join(chosen, ","); nodes != s.Gateways.Active {
		r.want(SetGateway{Subnet: s.Name, UID: s.UID, Nodes: nodes})
		chosen = strings.Split(s.Gateways.Active, ",") // until the new choice is recorded
	}
	c.reroute(r, v, s, chosen)
}

// reroute routes the subnet's egress traffic to these nodes.
func (c Config) reroute(r *Result, v *world.View, s *model.Subnet, nodes []string) {
	for _, cidr := range model.PrefixFamilies(s.CIDR) {
		var nexthops []string
		for _, node := range nodes {
			if ip, ok := v.IP(model.NodePortName(node)); ok && sameFamily(ip.Addrs, cidr.Addr()).IsValid() {
				nexthops = append(nexthops, sameFamily(ip.Addrs, cidr.Addr()).String())
			}
		}
		if len(nexthops) == 0 {
			continue
		}
		f := family(cidr.Addr())
		r.Child(router(s.Vpc), nb.LogicalRouterPolicyTable, "gateway/"+s.Name+"/"+f, &nb.LogicalRouterPolicy{
			Priority:    priorityEgress,
			Match:       fmt.Sprintf("%s.src == %s", f, cidr),
			Action:      nb.LogicalRouterPolicyActionReroute,
			Nexthops:    nexthops,
			ExternalIDs: map[string]string{"subnet": s.Name},
		})
	}
}

// readyGateways are the gateway nodes that are ready and have a port: first those that the spec lists, in its order,
// then those that it selects, by name. A node whose heartbeat is lost counts as ready only if there is no other.
func readyGateways(v *world.View, s *model.Subnet) []string {
	names := slices.Clone(s.Gateways.Nodes)
	if len(s.Gateways.Selectors) > 0 {
		for _, node := range v.Nodes() {
			if s.Gateways.Selects(node.Labels) {
				names = append(names, node.Name)
			}
		}
	}
	var alive, ready []string
	for _, name := range names {
		node, ok := v.Node(name)
		_, connected := v.IP(model.NodePortName(name))
		if !ok || !connected || !node.Ready || node.Deleting || slices.Contains(ready, name) {
			continue
		}
		ready = append(ready, name)
		if heartbeat, known := v.Heartbeat(name); !known || !heartbeat.Lost {
			alive = append(alive, name)
		}
	}
	if len(alive) == 0 {
		return ready
	}
	return alive
}
