// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// serviceVpc returns the Vpc of a Service and those of endpoints that are in it. Addresses of Vpcs may overlap, so
// an endpoint of another Vpc would be reached as another pod. An endpoint that is not a pod with an address of ours
// counts as in the Service's Vpc.
func (c Config) serviceVpc(r *Result, v *world.View, s *model.Service, endpoints []*model.EndpointSlice) (vpc string, inside []*model.EndpointSlice) {
	where := c.endpointVpcs(v, s.Namespace, endpoints)
	vpc = c.vpcOf(r, v, s, where)
	if foreign, elsewhere := firstElsewhere(where, vpc); elsewhere {
		r.problem(model.ReasonBackendsInOtherVpc, "", "endpoint %s is ignored: it is in Vpc %s, but the Service is in %s", foreign, where[foreign], vpc)
		endpoints = only(endpoints, func(a netip.Addr) bool { return where[a] == "" || where[a] == vpc })
	}
	return vpc, endpoints
}

// vpcOf chooses the Vpc of a Service. In order of precedence: the user's annotation, the Vpcs of its pods (the default
// Vpc first, then by name), the Service's present Vpc, the default Vpc.
func (c Config) vpcOf(r *Result, v *world.View, s *model.Service, where map[netip.Addr]string) string {
	if s.Router != "" {
		if c.standing(v, s.Router) {
			return s.Router
		}
		r.problem(model.ReasonServiceInvalid, model.AnnotationField(annotations.LogicalRouter), "it is ignored: there is no Vpc %s", s.Router)
	} else if s.Switch != "" {
		subnet, ok := v.SubnetNetwork(s.Switch)
		if ok && c.there(v, subnet.Vpc) {
			return subnet.Vpc
		}
		missing := "Subnet " + s.Switch
		if ok {
			missing = "Vpc " + subnet.Vpc + ", in which Subnet " + s.Switch + " is to be"
		}
		r.problem(model.ReasonServiceInvalid, model.AnnotationField(annotations.LogicalSwitch), "it is ignored: there is no %s", missing)
	}
	vpcs := slices.Sorted(maps.Values(where))
	if slices.Contains(vpcs, c.ClusterRouter) {
		return c.ClusterRouter
	}
	for _, vpc := range slices.Compact(vpcs) {
		if c.there(v, vpc) {
			return vpc
		}
	}
	if s.Vpc != "" && c.standing(v, s.Vpc) {
		return s.Vpc
	}
	return c.ClusterRouter
}

// there reports whether a Vpc exists. One that is being deleted exists while it has subnets.
func (c Config) there(v *world.View, name string) bool {
	_, ok := v.Vpc(name)
	return ok || name == c.ClusterRouter
}

// standing reports whether a Vpc exists and is not being deleted.
func (c Config) standing(v *world.View, name string) bool {
	vpc, ok := v.Vpc(name)
	return name == c.ClusterRouter || ok && !vpc.Deleting
}

// endpointVpcs maps endpoints that are pods with an address of ours to their Vpcs. While all pods of a namespace are in
// the default Vpc, it returns that without reading each pod.
func (c Config) endpointVpcs(v *world.View, namespace string, endpoints []*model.EndpointSlice) map[netip.Addr]string {
	vpcs := v.VpcsOfPods(namespace)
	if !slices.ContainsFunc(vpcs, func(vpc string) bool { return vpc != c.ClusterRouter }) {
		return nil
	}
	where := map[netip.Addr]string{}
	for _, e := range endpoints {
		for a, pod := range e.Pods {
			for _, ip := range v.IPsOfPod(namespace, pod) {
				if subnet, ok := v.SubnetNetwork(ip.Subnet); ok && (ip.Addrs.V4 == a || ip.Addrs.V6 == a) {
					where[a] = subnet.Vpc
				}
			}
		}
	}
	return where
}

func firstElsewhere(where map[netip.Addr]string, vpc string) (first netip.Addr, ok bool) {
	for a, its := range where {
		if its != vpc && (!ok || a.Less(first)) {
			first, ok = a, true
		}
	}
	return first, ok
}

// only returns the endpoints whose address satisfies keep.
func only(endpoints []*model.EndpointSlice, keep func(netip.Addr) bool) []*model.EndpointSlice {
	not := func(a netip.Addr) bool { return !keep(a) }
	out := make([]*model.EndpointSlice, 0, len(endpoints))
	for _, e := range endpoints {
		some := *e
		some.Ready, some.Draining = slices.DeleteFunc(slices.Clone(e.Ready), not), slices.DeleteFunc(slices.Clone(e.Draining), not)
		out = append(out, &some)
	}
	return out
}
