package compile

import (
	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// source is where an address may come from: a subnet, or a pool of it.
type source struct {
	subnet string
	pool   *model.IPPool // nil for the addresses that are in no pool
}

// sources lists where a NIC of a pod in this namespace may get its address from,
// in order of preference. The pool that the NIC names says which subnet; in the
// subnets of its namespace, the pools bound to the namespace go before the rest
// of the subnet, which is theirs only if there are none. ok is false if something
// is missing, for which problem is the reason, if it is worth telling.
func (c Config) sources(v *world.View, of string, nic *model.PodNIC) (out []source, problem *model.Problem, ok bool) {
	if nic.Pool != "" && nic.IPs == (model.Addrs{}) {
		return named(v, nic)
	}
	subnets, ok := c.subnets(v, of, nic)
	if !ok {
		return nil, nil, false
	}
	var pools []*model.IPPool
	if nic.IPs == (model.Addrs{}) && len(nic.List) == 0 {
		pools = v.IPPoolsOfNamespace(of)
	}
	for _, subnet := range subnets {
		bound := false
		for _, pool := range pools {
			if pool.Subnet == subnet && !pool.Deleting {
				out, bound = append(out, source{subnet, pool}), true
			}
		}
		if !bound {
			out = append(out, source{subnet: subnet})
		}
	}
	return out, nil, true
}

func named(v *world.View, nic *model.PodNIC) ([]source, *model.Problem, bool) {
	pool, ok := v.IPPool(nic.Pool)
	problem := &model.Problem{
		Reason: "AcquireAddressFailed", Field: model.AnnotationField(nic.Provider.Key(annotations.SuffixIPPool)),
	}
	switch {
	case !ok:
		problem.Message = "there is no IPPool " + nic.Pool
	case pool.Deleting:
		problem.Message = "IPPool " + pool.Name + " is being deleted"
	case nic.Subnet != "" && nic.Subnet != pool.Subnet:
		problem.Message = "IPPool " + pool.Name + " is of Subnet " + pool.Subnet + ", and the annotation logical_switch names " + nic.Subnet
	default:
		return []source{{pool.Subnet, pool}}, nil, true
	}
	return nil, problem, false
}

// from tells whether a record is of one of the sources.
func from(sources []source, ip *model.IP) bool {
	for _, s := range sources {
		if s.subnet == ip.Subnet && (s.pool == nil || s.pool.HasAll(ip.Addrs)) {
			return true
		}
	}
	return false
}

// names are those of the sources' subnets and pools; no pools if there are none at all.
func names(sources []source) (subnets, pools []string) {
	pooled := false
	for _, s := range sources {
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
