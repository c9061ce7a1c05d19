// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// candidate is where an address may be allocated: a subnet, or a pool of it.
type candidate struct {
	subnet string
	pool   *model.IPPool // nil for the addresses that are in no pool
}

// candidates returns where a NIC of a pod in this namespace may get its address from, in order of preference. A pool in
// the NIC's annotation decides the subnet. In the subnets of the namespace, pools bound to the namespace come first;
// addresses outside of pools are candidates only without such a pool. ok is false if something is missing; problem is
// the reason, or nil if there is nothing to report.
func (c Config) candidates(v *world.View, of string, nic *model.PodNIC) (out []candidate, problem *model.Problem, ok bool) {
	if nic.Pool != "" && nic.IPs == (model.Addrs{}) {
		if out, problem, ok = c.named(v, of, nic); ok {
			problem = c.refused(v, of, nic, []string{out[0].subnet})
		}
		return out, problem, ok && problem == nil
	}
	subnets, ok := c.subnets(v, of, nic)
	if !ok {
		return nil, nil, false
	}
	if problem = c.refused(v, of, nic, subnets); problem != nil {
		return nil, problem, false
	}
	var pools []*model.IPPool
	if nic.IPs == (model.Addrs{}) && len(nic.List) == 0 {
		pools = v.IPPoolsOfNamespace(of)
	}
	for _, subnet := range subnets {
		bound := false
		for _, pool := range pools {
			if pool.Subnet == subnet && !pool.Deleting {
				out, bound = append(out, candidate{subnet, pool}), true
			}
		}
		if !bound {
			out = append(out, candidate{subnet: subnet})
		}
	}
	return out, nil, true
}

// named returns the pool that a NIC names.
func (c Config) named(v *world.View, of string, nic *model.PodNIC) ([]candidate, *model.Problem, bool) {
	pool, ok := v.IPPool(nic.Pool)
	problem := &model.Problem{
		Reason: model.ReasonAcquireAddressFailed, Field: model.AnnotationField(nic.Provider.Key(annotations.SuffixIPPool)),
	}
	switch {
	case !ok:
		problem.Message = "there is no IPPool " + nic.Pool
	case pool.Deleting:
		problem.Message = "IPPool " + pool.Name + " is being deleted"
	case nic.Subnet != "" && nic.Subnet != pool.Subnet:
		problem.Message = "IPPool " + pool.Name + " is of Subnet " + pool.Subnet + ", but the annotation logical_switch names " + nic.Subnet
	case !c.OpenSubnets && !pool.Permits(of):
		*problem = model.PoolPlacementProblem(problem.Field, pool, of)
	default:
		return []candidate{{pool.Subnet, pool}}, nil, true
	}
	return nil, problem, false
}

// fromAny reports whether a record is from one of the candidates.
func fromAny(candidates []candidate, ip *model.IP) bool {
	for _, s := range candidates {
		if s.subnet == ip.Subnet && (s.pool == nil || s.pool.HasAll(ip.Addrs)) {
			return true
		}
	}
	return false
}

// names returns the names of the candidates' subnets and pools. pools is nil if no candidate is a pool.
func names(candidates []candidate) (subnets, pools []string) {
	pooled := false
	for _, s := range candidates {
		subnets = append(subnets, s.subnet)
		pool := ""
		if s.pool != nil {
			pool, pooled = s.pool.Name, true
		}
		pools = append(pools, pool)
	}
	if !pooled {
		return subnets, nil
	}
	return subnets, pools
}
