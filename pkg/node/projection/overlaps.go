// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// Refusals says why the controller refuses subnets that have addresses of something
// else, by its own rules ([model.Refused]); the key is the subnet's name. A node that
// made routes and NAT for one would cut off what has the addresses.
func Refusals(subnets []Subnet, nodes []*model.Node, infrastructure model.Infrastructure) map[string]string {
	var overlays []*model.Subnet
	for i := range subnets {
		if s := &subnets[i].Subnet; s.Vpc == model.DefaultVpc && s.Vlan == "" && s.CIDR != (model.Prefixes{}) {
			overlays = append(overlays, s)
		}
	}
	slices.SortFunc(overlays, func(a, b *model.Subnet) int { return cmp.Compare(a.Name, b.Name) })
	out := map[string]string{}
	for name, problem := range model.Refused(overlays, nodes, infrastructure) {
		out[name] = problem.Error()
	}
	return out
}
