// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// node: a node has one port on the join switch, which is ovn0 on the host, and one policy for each IP family and
// purpose: traffic to the node's own addresses is routed to that port, and so is egress traffic of distributed subnets
// from pods of this node. Each chassis installs only its own egress policy, because only there the node's port is
// resident: O(nodes) rows, and none for a pod.
func (c Config) node(ref model.Ref, v *world.View) (r Result) {
	name := model.NodePortName(ref.Name)
	ip, recorded := v.IP(name)
	node, ok := v.Node(ref.Name)
	if !ok || node.Deleting {
		if recorded && !ip.Reserved {
			r.want(Release{IP: ip.Name, UID: ip.UID})
		}
		return r
	}
	join, ok := v.SubnetNetwork(c.NodeSwitch)
	if !ok {
		return r
	}
	if !recorded || ip.Deleting {
		if recorded {
			r.want(Release{IP: ip.Name, UID: ip.UID})
			return r
		}
		r.want(Claim{
			Subnets: []string{join.Name}, For: ref, PodName: ref.Name, Provider: join.Provider, NodeName: node.Name,
			Request: ipam.Request{Owner: ipRef(name)},
		})
		return r
	}
	r.Child(logicalSwitch(join.Name), nb.LogicalSwitchPortTable, name, &nb.LogicalSwitchPort{
		Name:        name,
		Addresses:   []string{portAddresses(ip)},
		ExternalIDs: map[string]string{fact.SwitchKey: join.Name, "node": node.Name},
	})
	source := c.serviceSource(&r, join, ip)
	assigned := append(model.PrefixFamilies(join.CIDR), c.hostSources()...)
	internal, problems := model.HeldInternalIPs(node, c.apiServers(v), assigned, v.NodesAt)
	r.Problems = append(r.Problems, problems...)
	c.toNode(&r, node, ip, append(model.Families(source), internal...))
	c.egress(&r, node, ip)
	c.routeReplies(&r, v, node, ip)
	c.variables(&r, v, node, ip)
	want := model.NodeAnnotations(*node, *ip, join)
	want[annotations.ServiceSource] = c.sourceText(source)
	if !includes(node.Annotations, want) {
		r.want(Annotate{Object: ref, UID: node.UID, Annotations: want})
	}
	return r
}

// toNode routes traffic for a node's own addresses, and for its source addresses for Services, to its ovn0.
func (c Config) toNode(r *Result, node *model.Node, ip *model.IP, addresses []netip.Addr) {
	for _, address := range addresses {
		if nexthop := sameFamily(ip.Addrs, address); nexthop.IsValid() {
			r.Child(router(c.ClusterRouter), nb.LogicalRouterPolicyTable, "to-node/"+node.Name+"/"+address.String(), &nb.LogicalRouterPolicy{
				Priority:    priorityToNode,
				Match:       fmt.Sprintf("%s.dst == %s", family(address), address),
				Action:      nb.LogicalRouterPolicyActionReroute,
				Nexthops:    []string{nexthop.String()},
				ExternalIDs: map[string]string{"node": node.Name},
			})
		}
	}
}

func (c Config) egress(r *Result, node *model.Node, ip *model.IP) {
	for _, nexthop := range model.Families(ip.Addrs) {
		f := family(nexthop)
		r.Child(router(c.ClusterRouter), nb.LogicalRouterPolicyTable, "egress/"+node.Name+"/"+f, &nb.LogicalRouterPolicy{
			Priority: priorityEgress,
			Match: fmt.Sprintf("%s.src == $%s && is_chassis_resident(%s)",
				f, distributedSet(c.ClusterRouter, f), strconv.Quote(model.NodePortName(node.Name))),
			Action:      nb.LogicalRouterPolicyActionReroute,
			Nexthops:    []string{nexthop.String()},
			ExternalIDs: map[string]string{"node": node.Name},
		})
	}
}

func sameFamily(a model.Addrs, as netip.Addr) netip.Addr {
	if as.Is4() {
		return a.V4
	}
	return a.V6
}

// portAddresses is an element of Logical_Switch_Port.addresses: "MAC IP [IP]" (ovn-nb(5)).
func portAddresses(ip *model.IP) string {
	words := []string{ip.MAC}
	for _, a := range model.Families(ip.Addrs) {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

// includes reports whether have includes all pairs of want.
func includes(have, want map[string]string) bool {
	for k, v := range maps.All(want) {
		if have[k] != v {
			return false
		}
	}
	return true
}
