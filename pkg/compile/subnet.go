// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// subnet: an overlay Subnet is a logical switch, connected to the router of its Vpc by a pair of ports. The router's
// port is the gateway.
func (c Config) subnet(ref model.Ref, v *world.View) (r Result) {
	subnet, ok := v.Subnet(ref.Name)
	if !ok {
		return r
	}
	if subnet.Deleting {
		holders := v.IPsOfSubnet(subnet.Name)
		if len(holders) == 0 {
			r.want(Finalize{Object: ref})
			return r
		}
		r.problem(model.ReasonSubnetInUse, "", "Subnet %s is being deleted and still has %d addresses in use, for example that of %s", subnet.Name, len(holders), holders[0].Name)
	} else if !subnet.Finalized {
		r.want(Finalize{Object: ref, Present: true})
	}
	if c.conflicts(&r, v, subnet) {
		return r
	}
	if !subnet.Provider.OVN() || subnet.Vlan != "" {
		return r // the projection reports it
	}
	if !v.HasVpc(subnet.Vpc) {
		r.problem(model.ReasonVpcNotFound, "spec.vpc", "there is no Vpc %s: the pods of Subnet %s have no gateway until it exists", subnet.Vpc, subnet.Name)
	}
	c.connect(&r, v, subnet)
	c.dhcp(&r, subnet)
	c.isolate(&r, v, subnet)
	c.guardSources(&r, v, subnet)
	c.readmit(&r, v, subnet)
	c.knowNames(&r, subnet)
	if subnet.Vpc == c.ClusterRouter {
		c.leave(&r, subnet)
		c.markReplies(&r, v, subnet)
		c.gateway(&r, v, subnet)
	}
	return r
}

// conflicts reports whether addresses of the subnet belong to the infrastructure, to another subnet or to a node.
func (c Config) conflicts(r *Result, v *world.View, s *model.Subnet) bool {
	infrastructure := c.infrastructure(v)
	for _, reserved := range infrastructure.Ranges {
		if problem, clash := model.OverlapsReserved(*s, reserved); clash {
			r.Problems = append(r.Problems, problem)
		}
	}
	if model.Fatal(r.Problems) {
		return true
	}
	for _, other := range v.SubnetsOfVpc(s.Vpc) {
		if problem, clash := model.Overlaps(*s, *other); clash {
			r.Problems = append(r.Problems, problem)
			return true
		}
	}
	if s.Vpc != c.ClusterRouter {
		return false
	}
	for _, node := range v.NodesWithin(s.CIDR) {
		if problem, clash := model.OverlapsNode(*s, *node); clash {
			r.Problems = append(r.Problems, problem)
		}
	}
	r.Problems = append(r.Problems, model.OverlapsServers(*s, infrastructure)...)
	if table := s.Gateways.Table; table != 0 {
		if first := v.SubnetsOfTable(table)[0]; first.Name != s.Name { // the nodes choose the same one, see package hostplan
			r.problem(model.ReasonSubnetInvalid, "spec.policyRoutingTableID", "Subnet %[2]s uses table %[1]d: traffic of Subnet %[3]s is not routed to its externalEgressGateway", table, first.Name, s.Name)
		}
	}
	return model.Fatal(r.Problems)
}

// connect connects the subnet's switch to the router of the Vpc.
func (c Config) connect(r *Result, v *world.View, s *model.Subnet) {
	ls := r.Row(nb.LogicalSwitchTable, s.Name, &nb.LogicalSwitch{Name: s.Name})
	if c.balanced(s) {
		r.Member(ls, "load_balancer_group", fact.UUIDOf(nb.LoadBalancerGroupTable, loadBalancerGroup(s.Vpc)))
	}
	port, name := portNames(v, s)
	row := &nb.LogicalRouterPort{
		Name:        port,
		MAC:         model.GatewayMAC(s.Vpc, s.Name),
		Networks:    gatewayNetworks(s),
		ExternalIDs: map[string]string{"lr": s.Vpc, "subnet": s.Name},
	}
	if s.RouterAdvertisement != nil {
		row.Ipv6RaConfigs = model.RouterAdvertisement(s.RouterAdvertisement)
	}
	r.Child(router(s.Vpc), nb.LogicalRouterPortTable, port, row)
	r.Child(ls, nb.LogicalSwitchPortTable, name, &nb.LogicalSwitchPort{
		Name:        name,
		Type:        "router",
		Addresses:   []string{"router"},
		Options:     map[string]string{"router-port": port},
		ExternalIDs: map[string]string{fact.SwitchKey: s.Name},
	})
}

// balanced reports whether traffic from the subnet's switch reaches Services. On the nodes' switch this is for the
// hosts, so the spec of that subnet does not decide.
func (c Config) balanced(s *model.Subnet) bool {
	if s.LoadBalancers != nil && s.Name != c.NodeSwitch {
		return *s.LoadBalancers
	}
	return c.LoadBalancers
}

func gatewayNetworks(s *model.Subnet) []string {
	var networks []string
	if s.CIDR.V4.IsValid() {
		networks = append(networks, netip.PrefixFrom(s.Gateway.V4, s.CIDR.V4.Bits()).String())
	}
	if s.CIDR.V6.IsValid() {
		networks = append(networks, netip.PrefixFrom(s.Gateway.V6, s.CIDR.V6.Bits()).String())
	}
	return networks
}

// leave declares how traffic is routed to the subnet and, for a distributed gateway, its egress traffic: see
// [Config.node] for the other half.
func (c Config) leave(r *Result, s *model.Subnet) {
	for _, cidr := range model.PrefixFamilies(s.CIDR) {
		ip := family(cidr.Addr())
		r.Child(router(s.Vpc), nb.LogicalRouterPolicyTable, "to-subnet/"+s.Name+"/"+ip, &nb.LogicalRouterPolicy{
			Priority:    priorityToSubnet,
			Match:       fmt.Sprintf("%s.dst == %s", ip, cidr),
			Action:      nb.LogicalRouterPolicyActionAllow,
			ExternalIDs: map[string]string{"subnet": s.Name},
		})
		switch {
		case s.Name == c.NodeSwitch:
			c.defaultRoute(r, s, ip)
			c.routeHosts(r, s, ip)
		case s.GatewayType == model.GatewayDistributed:
			r.Member(fact.RefTo(nb.AddressSetTable, distributedSet(s.Vpc, ip)), "addresses", cidr.String())
		}
	}
}

// defaultRoute: reroute policies are evaluated only for packets that have a route; the policies of the nodes then
// decide (ovn-northd(8), "Ingress Table: IP Routing").
func (c Config) defaultRoute(r *Result, join *model.Subnet, ip string) {
	prefix, gateway := "0.0.0.0/0", join.Gateway.V4
	if ip == "ip6" {
		prefix, gateway = "::/0", join.Gateway.V6
	}
	r.Child(router(join.Vpc), nb.LogicalRouterStaticRouteTable, "default/"+join.Vpc+"/"+ip, &nb.LogicalRouterStaticRoute{
		IPPrefix: prefix,
		Nexthop:  gateway.String(),
	})
}
