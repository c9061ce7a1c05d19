// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"strconv"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// A node that forwards a connection to a pod of its own and keeps the client's address (externalTrafficPolicy Local)
// must see the replies. If the client is another node, OVN would route them directly to that node's ovn0. So the switch
// marks replies of pods to nodes, because conntrack knows there that they are replies, and the router sends marked
// packets to the ovn0 of the pod's own node.
const (
	replyMark     = 0x7776 // pkt.mark (ovn-nb(5), QoS:action); no rule on the host matches it
	replyPriority = 100    // of the QoS rule
)

// nodesSet is the name of the address set of the nodes' own addresses.
func nodesSet(vpc, family string) string { return vpcSet(vpc, "nodes", family) }

// markReplies marks replies of a subnet's pods to nodes. A switch without load balancers and ACLs tracks no
// connections.
func (c Config) markReplies(r *Result, v *world.View, s *model.Subnet) {
	if s.Vpc != c.ClusterRouter || s.Name == c.NodeSwitch || !c.balanced(s) || !v.LocalServices() {
		return
	}
	for _, cidr := range model.PrefixFamilies(s.CIDR) {
		ip := family(cidr.Addr())
		r.Child(logicalSwitch(s.Name), nb.QoSTable, s.Name+"/answers/"+ip, &nb.QoS{
			Direction: nb.QoSDirectionFromLport, Priority: replyPriority, Action: map[string]int{nb.QoSActionMark: replyMark},
			Match:       fmt.Sprintf("ct.rpl && %s.dst == $%s", ip, nodesSet(s.Vpc, ip)),
			ExternalIDs: map[string]string{"subnet": s.Name},
		})
	}
}

// routeReplies routes marked replies of a node's pods to the node itself, and adds the node to the set of all nodes'
// addresses.
func (c Config) routeReplies(r *Result, v *world.View, node *model.Node, ip *model.IP) {
	for _, a := range node.InternalIPs {
		r.Member(fact.RefTo(nb.AddressSetTable, nodesSet(c.ClusterRouter, family(a))), "addresses", a.String())
	}
	if !v.LocalServices() {
		return
	}
	for _, nexthop := range model.Families(ip.Addrs) {
		f := family(nexthop)
		r.Child(router(c.ClusterRouter), nb.LogicalRouterPolicyTable, "answers/"+node.Name+"/"+f, &nb.LogicalRouterPolicy{
			Priority: priorityReplies,
			Match: fmt.Sprintf("pkt.mark == %d && %s.dst == $%s && is_chassis_resident(%s)",
				replyMark, f, nodesSet(c.ClusterRouter, f), strconv.Quote(model.NodePortName(node.Name))),
			Action:      nb.LogicalRouterPolicyActionReroute,
			Nexthops:    []string{nexthop.String()},
			ExternalIDs: map[string]string{"node": node.Name},
		})
	}
}
