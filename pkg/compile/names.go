// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Priorities of the logical router policies, higher wins. The numbers are Kube-OVN's, which users know from ovn-nbctl.
const (
	priorityToSubnet = 31000 // towards a subnet: stay in OVN
	priorityReplies  = 30001 // marked replies to a node, see [Config.markReplies]
	priorityToNode   = 30000 // towards a node's own address
	priorityNorth    = 29250 // a pod's own next hop
	priorityEgress   = 29000 // other egress traffic of a subnet
)

func router(vpc string) fact.Ref { return fact.RefTo(nb.LogicalRouterTable, vpc) }

func logicalSwitch(subnet string) fact.Ref { return fact.RefTo(nb.LogicalSwitchTable, subnet) }

// SwitchPort is the name of a subnet's port to its router.
func SwitchPort(vpc, subnet string) string { return subnet + "-" + vpc }

// distributedSet is the name of the address set with the CIDRs of a Vpc's distributed subnets, whose egress traffic
// leaves through the node of each pod. Address set names match [a-zA-Z_.][a-zA-Z_.0-9]* (ovn-nb(5), Address_Set). "-"
// becomes "_", which no Kubernetes name contains, so names stay unique.
func distributedSet(vpc, family string) string { return vpcSet(vpc, "distributed", family) }

func vpcSet(vpc, what, family string) string {
	return "vpc." + strings.ReplaceAll(vpc, "-", "_") + "." + what + "." + family
}

// loadBalancerGroup is the name of the group of a Vpc's load balancers.
func loadBalancerGroup(vpc string) string { return fact.LoadBalancerGroupPrefix + vpc }

// family returns "ip4" or "ip6", the name of the IP family in OVN's match language.
func family(a netip.Addr) string { return model.FamilyOf(a).Match() }
