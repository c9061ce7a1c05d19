// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"slices"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Placement returns the rules that decide which Subnets a pod may be in.
func (c Config) Placement() model.PlacementRules {
	return model.PlacementRules{DefaultSubnet: c.DefaultSubnet, NodeSubnet: c.NodeSwitch, Open: c.OpenSubnets, NamespaceSubnets: c.NamespaceSubnets}
}

// refused returns why a NIC of a pod in this namespace may not get what it requests of these subnets; nil if it may.
func (c Config) refused(v *world.View, of string, nic *model.PodNIC, subnets []string) *model.Problem {
	field := func(suffix string) string { return model.AnnotationField(nic.Provider.Key(suffix)) }
	suffix := annotations.SuffixLogicalSwitch
	if nic.Pool != "" {
		suffix = annotations.SuffixIPPool
	}
	if slices.Contains(subnets, c.NodeSwitch) {
		problem := model.NodeSubnetProblem(field(suffix), c.NodeSwitch)
		return &problem
	}
	for _, name := range subnets {
		problem := c.misplaced(v, of, field(suffix), name)
		if problem != nil && nic.Subnet == "" && nic.Pool == "" { // all else that chooses Subnets is permitted
			problem.Field, problem.Message = "", "the annotation logical_switch of the namespace: "+problem.Message
		}
		if problem != nil {
			return problem
		}
	}
	addresses := nic.Requested()
	if len(addresses) == 0 {
		return nil
	}
	suffix = annotations.SuffixIPAddress
	if nic.IPs == (model.Addrs{}) {
		suffix = annotations.SuffixIPPool
	}
	for _, name := range subnets {
		if problem := c.ofOthers(v, of, field(suffix), name, addresses); problem != nil {
			return problem
		}
	}
	return nil
}

// misplaced returns why pods of a namespace may not be in a subnet; nil if they may.
func (c Config) misplaced(v *world.View, of, field, subnet string) *model.Problem {
	if subnet == c.NodeSwitch {
		problem := model.NodeSubnetProblem(field, subnet)
		return &problem
	}
	if c.OpenSubnets || subnet == c.DefaultSubnet {
		return nil
	}
	placement, ok := v.Placement(subnet)
	if !ok || placement.Permits(of) || c.chosen(v, of, subnet) {
		return nil
	}
	problem := model.PlacementProblem(field, subnet, of)
	return &problem
}

// chosen reports whether an administrator chose a subnet for a namespace, in any way. The annotation of the namespace
// is none: its tenant may be able to write it.
func (c Config) chosen(v *world.View, of, subnet string) bool {
	if slices.ContainsFunc(v.VpcsOfNamespace(of), func(vpc *model.Vpc) bool { return vpc.DefaultSubnet == subnet }) {
		return true
	}
	return slices.ContainsFunc(v.SubnetsOfNamespace(of), func(s *model.Subnet) bool { return s.Name == subnet })
}

// ofOthers returns why pods of a namespace may not have some addresses of a subnet: they are in a pool for pods of
// other namespaces.
func (c Config) ofOthers(v *world.View, of, field, subnet string, addresses model.AddressList) *model.Problem {
	if c.OpenSubnets {
		return nil
	}
	pool := model.PoolOfOthers(v.IPPoolsOfSubnet(subnet), addresses, of)
	if pool == nil {
		return nil
	}
	problem := model.PoolPlacementProblem(field, pool, of)
	return &problem
}

// evicted reports whether a new pod may not have the address of a record that is left over from an earlier one, because
// Subnet or pool are not for its namespace. A pod that has the address already keeps it, and the problem says why it is
// the last one. A reservation is an administrator's choice.
func (c Config) evicted(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, ip *model.IP) bool {
	if ip.Reserved {
		return false
	}
	problem := c.misplaced(v, pod.Namespace, "", ip.Subnet)
	isNew := len(nic.Written) == 0
	if problem == nil && isNew && ip.Addrs != (model.Addrs{}) {
		problem = c.ofOthers(v, pod.Namespace, "", ip.Subnet, model.ListOf(ip.Addrs))
	}
	if problem == nil {
		return false
	}
	if !isNew {
		problem.Message += "; the pod keeps its address until it is deleted"
	}
	r.Problems = append(r.Problems, *problem)
	return isNew
}
