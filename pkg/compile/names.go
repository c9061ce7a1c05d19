// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
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

// portNames are the names of the ports between a subnet and its router. They are joined by "-", so that two pairs of
// Vpc and Subnet can make the same name (Vpc a, Subnet b-c; Vpc a-b, Subnet c): the younger Subnet's have a hash at the
// end.
func portNames(v *world.View, s *model.Subnet) (router, subnet string) {
	router, subnet = model.RouterPort(s.Vpc, s.Name), model.SwitchPort(s.Vpc, s.Name)
	for _, name := range []string{router, subnet} {
		for _, other := range v.SubnetsOfPort(name) {
			if other.Name != s.Name && model.Older(other.Meta, s.Meta) {
				sum := sha256.Sum256([]byte(s.Vpc + "/" + s.Name))
				suffix := "-" + hex.EncodeToString(sum[:4])
				return router + suffix, subnet + suffix
			}
		}
	}
	return router, subnet
}

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
