package compile

import (
	"fmt"
	"strconv"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// A node that leads a connection to a pod of its own, and leaves the client's address
// as it is (externalTrafficPolicy Local), has to see the answers. If the client is
// another node, they would go straight to that node's ovn0: so answers of pods to
// nodes are marked on the switch, where it is known that they are answers, and the router
// leads what is marked to the ovn0 of the pod's own node.
const (
	answerMark     = 0x7776 // pkt.mark (ovn-nb(5), QoS:action); what the host sees of it, no rule of ours asks for
	answerPriority = 100    // the only QoS rules there are
)

// nodesSet names the address set of the nodes' own addresses.
func nodesSet(vpc, family string) string { return vpcSet(vpc, "nodes", family) }

// answers marks what a subnet's pods answer to nodes. Without load balancers and rules a switch tracks no connections.
func (c Config) answers(r *Result, v *world.View, s *model.Subnet) {
	if s.Vpc != c.ClusterRouter || s.Name == c.NodeSwitch || !c.balanced(s) || !v.LocalServices() {
		return
	}
	for _, cidr := range model.PrefixFamilies(s.CIDR) {
		ip := family(cidr.Addr())
		r.Child(logicalSwitch(s.Name), nb.QoSTable, s.Name+"/answers/"+ip, &nb.QoS{
			Direction: nb.QoSDirectionFromLport, Priority: answerPriority, Action: map[string]int{nb.QoSActionMark: answerMark},
			Match:       fmt.Sprintf("ct.rpl && %s.dst == $%s", ip, nodesSet(s.Vpc, ip)),
			ExternalIDs: map[string]string{"subnet": s.Name},
		})
	}
}

// answered leads marked answers of a node's pods to the node itself.
func (c Config) answered(r *Result, v *world.View, node *model.Node, ip *model.IP) {
	if !v.LocalServices() {
		return
	}
	for _, a := range node.InternalIPs {
		r.Member(fact.RefTo(nb.AddressSetTable, nodesSet(c.ClusterRouter, family(a))), "addresses", a.String())
	}
	for _, nexthop := range model.Families(ip.Addrs) {
		f := family(nexthop)
		r.Child(router(c.ClusterRouter), nb.LogicalRouterPolicyTable, "answers/"+node.Name+"/"+f, &nb.LogicalRouterPolicy{
			Priority: priorityAnswers,
			Match: fmt.Sprintf("pkt.mark == %d && %s.dst == $%s && is_chassis_resident(%s)",
				answerMark, f, nodesSet(c.ClusterRouter, f), strconv.Quote(model.NodePortName(node.Name))),
			Action:      nb.LogicalRouterPolicyActionReroute,
			Nexthops:    []string{nexthop.String()},
			ExternalIDs: map[string]string{"node": node.Name},
		})
	}
}
