// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// vpc: a Vpc is a logical router and a group of load balancers for its Services. The default Vpc also has the address
// sets of the distributed subnets.
func (c Config) vpc(ref model.Ref, v *world.View) (r Result) {
	vpc, ok := v.Vpc(ref.Name)
	if !ok {
		return r
	}
	if vpc.Deleting {
		if subnets := v.SubnetsOfVpc(vpc.Name); len(subnets) > 0 {
			r.problem(model.ReasonVpcInUse, "", "Vpc %s is being deleted and still has %d subnets, for example %s", vpc.Name, len(subnets), subnets[0].Name)
		} else {
			r.want(Finalize{Object: ref})
			return r
		}
	} else if !vpc.Finalized {
		r.want(Finalize{Object: ref, Present: true})
	}
	r.Row(nb.LogicalRouterTable, vpc.Name, &nb.LogicalRouter{
		Name: vpc.Name,
		Options: map[string]string{
			"mac_binding_age_threshold":     "300",
			"dynamic_neigh_routers":         "true",
			"always_learn_from_arp_request": "false",
		},
	})
	r.Row(nb.LoadBalancerGroupTable, loadBalancerGroup(vpc.Name), &nb.LoadBalancerGroup{Name: loadBalancerGroup(vpc.Name)})
	c.dnsRows(&r, vpc)
	if vpc.Name == c.ClusterRouter {
		for _, f := range model.IPFamilies() {
			name := distributedSet(vpc.Name, f.Match())
			r.Row(nb.AddressSetTable, name, &nb.AddressSet{Name: name})
			nodes := nodesSet(vpc.Name, f.Match())
			r.Row(nb.AddressSetTable, nodes, &nb.AddressSet{Name: nodes})
		}
	}
	return r
}
