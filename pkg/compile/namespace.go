// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"slices"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// namespace writes annotations that show users and programs the subnets of the namespace's pods, with CIDRs, excluded
// addresses and pools. It writes the subnets only if no user chose others. It creates a missing Subnet that the
// annotations describe.
func (c Config) namespace(ref model.Ref, v *world.View) (r Result) {
	n, ok := v.Namespace(ref.Name)
	if !ok || n.Deleting {
		return r
	}
	nic := model.PodNIC{Provider: annotations.DefaultProvider}
	subnets, want := n.LogicalSwitches, map[string]string{annotations.BoundSwitch: ""}
	if bound := c.choose(v, n.Name, &nic, nil); len(subnets) == 0 || slices.Equal(subnets, bound) {
		subnets = bound
		text := strings.Join(bound, ",")
		want[annotations.LogicalSwitch], want[annotations.BoundSwitch] = text, text
	}
	var cidrs, excluded []string
	for _, name := range subnets {
		s, ok := v.Subnet(name)
		if !ok {
			c.requestSubnet(&r, n, name)
			return r // the annotations do not hold yet
		}
		if problem := c.misplaced(v, n.Name, model.AnnotationField(annotations.LogicalSwitch), name); problem != nil {
			r.Problems = append(r.Problems, *problem)
		}
		if n.PortSecurity == model.PortSecurityOff && c.levelOf(s.Network()) == model.PortSecurityOn {
			r.problem(model.ReasonPortSecurityRequired, model.AnnotationField(annotations.PortSecurity),
				"namespace %s: Subnet %s requires port security, so the annotation has no effect on pods there", n.Name, s.Name)
		}
		cidrs = append(cidrs, model.PrefixesText(s.CIDR))
		excluded = append(excluded, strings.Join(model.RangeTexts(s.Exclude), ","))
	}
	want[annotations.CIDR], want[annotations.ExcludeIPs] = strings.Join(cidrs, ";"), strings.Join(excluded, ";")
	var pools []string
	for _, pool := range v.IPPoolsOfNamespace(n.Name) {
		if !pool.Deleting {
			pools = append(pools, pool.Name)
		}
	}
	want[annotations.IPPool] = strings.Join(pools, ",")
	if !includes(n.Written, want) {
		r.want(Annotate{Object: ref, UID: n.UID, Annotations: want})
	}
	return r
}

// requestSubnet requests the Subnet that the namespace's annotations describe.
func (c Config) requestSubnet(r *Result, n *model.Namespace, name string) {
	if n.Request == nil {
		if len(n.LogicalSwitches) > 0 {
			r.problem(model.ReasonNamespaceInvalid, model.AnnotationField(annotations.LogicalSwitch),
				"there is no Subnet %s: pods of namespace %s wait for it (set the annotation %s to create it)", name, n.Name, annotations.CIDR)
		}
		return
	}
	if problem, outside := c.Placement().RequestProblem(n, name, model.AnnotationField(annotations.CIDR)); outside {
		r.Problems = append(r.Problems, problem)
		return
	}
	r.Problems = append(r.Problems, n.Request.Problems...)
	if model.Fatal(n.Request.Problems) {
		return
	}
	r.want(CreateSubnet{Name: name, Request: n.Request, Namespace: n.Name, NamespaceUID: n.UID})
}
