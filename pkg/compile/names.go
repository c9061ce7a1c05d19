package compile

import (
	"crypto/sha256"
	"net/netip"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Priorities of the logical router policies, higher wins; the numbers are those
// that users of Kube-OVN know from ovn-nbctl.
const (
	priorityToSubnet = 31000 // towards a subnet: stay in OVN
	priorityAnswers  = 30001 // marked answers to a node, see [Config.answers]
	priorityToNode   = 30000 // towards a node's own address
	priorityNorth    = 29250 // a pod's own next hop
	priorityEgress   = 29000 // everything else that leaves a subnet
)

func router(vpc string) fact.Ref { return fact.RefTo(nb.LogicalRouterTable, vpc) }

func logicalSwitch(subnet string) fact.Ref { return fact.RefTo(nb.LogicalSwitchTable, subnet) }

// RouterPort is the name of the router's port in a subnet.
func RouterPort(vpc, subnet string) string { return vpc + "-" + subnet }

// SwitchPort is the name of a subnet's port to its router.
func SwitchPort(vpc, subnet string) string { return subnet + "-" + vpc }

// GatewayMAC is the MAC of a subnet's router port: locally administered, made
// of the names, so that it is the same after any restart.
func GatewayMAC(vpc, subnet string) string {
	sum := sha256.Sum256([]byte("Logical_Router_Port/" + RouterPort(vpc, subnet)))
	mac := [6]byte(sum[:6])
	mac[0] = mac[0]&^0x01 | 0x02
	return model.MACText(mac)
}

// distributedSet names the address set of the CIDRs of a Vpc that leave by the
// node of each pod. Address set names match [a-zA-Z_.][a-zA-Z_.0-9]* (ovn-nb(5),
// Address_Set); "-" becomes "_", which no Kubernetes name has, so that no two
// names meet.
func distributedSet(vpc, family string) string { return vpcSet(vpc, "distributed", family) }

func vpcSet(vpc, what, family string) string {
	return "vpc." + strings.ReplaceAll(vpc, "-", "_") + "." + what + "." + family
}

// loadBalancerGroup names the load balancers of a Vpc.
func loadBalancerGroup(vpc string) string { return fact.LoadBalancerGroupPrefix + vpc }

// family is "ip4" or "ip6": the name of the protocol in OVN's match language.
func family(a netip.Addr) string {
	if a.Is4() {
		return "ip4"
	}
	return "ip6"
}
