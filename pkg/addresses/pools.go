// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// poolChanged handles a change of an IPPool; nil means that it did not or does not exist. The allocator's pools are
// updated by [Registry.Flush], so that many pools of one subnet, as at startup, are one change.
func (r *Registry) poolChanged(old, now *model.IPPool) {
	if old != nil && (now == nil || now.Subnet != old.Subnet) {
		r.repool[old.Subnet] = struct{}{}
	}
	if now != nil {
		r.repool[now.Subnet] = struct{}{}
	}
}

// Flush updates the allocator's pools.
func (r *Registry) Flush() {
	for subnet := range r.repool {
		r.subnetChanged(subnet)
	}
	clear(r.repool)
}

// subnetChanged updates the allocator after a change of a Subnet or its pools, and retries claims that found the subnet
// full.
func (r *Registry) subnetChanged(name string) {
	r.usage[name] = struct{}{}
	subnet, ok := r.world.Subnets.Get(world.Key{Name: name})
	if !ok {
		r.allocator.DeleteSubnet(name)
		return
	}
	err := r.allocator.SetSubnet(ipam.Subnet{
		Name: subnet.Name, CIDR: subnet.CIDR, Exclude: subnet.Unallocated(), Gateway: subnet.Gateway,
		GatewayMAC: gatewayMAC(subnet), Pools: r.usablePools(subnet),
	})
	ref := model.Ref{Kind: model.KindSubnet, Name: name}
	if err != nil {
		r.listener.Problem(ref, model.Problem{Reason: model.ReasonSubnetInvalid, Message: err.Error()})
	} else {
		r.listener.Problem(ref)
	}
	r.contest(name)
	r.retryClaims(name)
}

// usablePools omits the pools whose IPPool overlaps an older one or is not inside the subnet.
func (r *Registry) usablePools(subnet *model.Subnet) (usable []ipam.Pool) {
	pools := r.pools(subnet.Name)
	for _, pool := range pools {
		if _, bad := model.PoolProblem(pool, subnet.CIDR, pools); !bad {
			usable = append(usable, ipam.Pool{Name: pool.Name, Ranges: pool.Ranges})
		}
	}
	return usable
}

// pools lists the pools of a subnet by name.
func (r *Registry) pools(subnet string) (pools []*model.IPPool) {
	for _, pool := range r.world.IPPools.All() {
		if pool.Subnet == subnet {
			pools = append(pools, pool)
		}
	}
	slices.SortFunc(pools, func(a, b *model.IPPool) int { return cmp.Compare(a.Name, b.Name) })
	return pools
}
