package engine

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// applyIPPool keeps the allocator's pools as the objects say: with the next
// step, so that many pools of one subnet, as at the start, are one change.
func (c *Core) applyIPPool(_ world.Key, old, now *model.IPPool) []model.Ref {
	if old != nil && (now == nil || now.Subnet != old.Subnet) {
		c.redefine[old.Subnet] = struct{}{}
	}
	if now != nil {
		c.redefine[now.Subnet] = struct{}{}
	}
	return nil
}

// define tells the allocator what a subnet is, and looks again at the claims that
// found it full.
func (c *Core) define(name string) {
	c.usage[name] = struct{}{}
	subnet, ok := c.world.Subnets.Get(world.Key{Name: name})
	if !ok {
		c.ipam.DeleteSubnet(name)
		return
	}
	err := c.ipam.SetSubnet(ipam.Subnet{
		Name: subnet.Name, CIDR: subnet.CIDR, Exclude: subnet.Exclude, Gateway: subnet.Gateway,
		GatewayMAC: compile.GatewayMAC(subnet.Vpc, subnet.Name), Pools: c.usablePools(subnet),
	})
	ref := model.Ref{Kind: model.KindSubnet, Name: name}
	if err != nil {
		c.problem(ref, sourceAddress, model.Problem{Reason: model.ReasonSubnetInvalid, Message: err.Error()})
	} else {
		c.problem(ref, sourceAddress)
	}
	c.contest(name)
	c.feed(name)
}

// usablePools leaves out those whose IPPool has the problem that it overlaps
// another one, or is not inside the subnet.
func (c *Core) usablePools(subnet *model.Subnet) []ipam.Pool {
	pools := c.pools(subnet.Name)
	var out []ipam.Pool
	for _, pool := range pools {
		if _, bad := model.PoolProblem(pool, subnet.CIDR, pools); !bad {
			out = append(out, ipam.Pool{Name: pool.Name, Ranges: pool.Ranges})
		}
	}
	return out
}

// pools lists the pools of a subnet by name.
func (c *Core) pools(subnet string) []*model.IPPool {
	var out []*model.IPPool
	for _, pool := range c.world.IPPools.All() {
		if pool.Subnet == subnet {
			out = append(out, pool)
		}
	}
	slices.SortFunc(out, func(a, b *model.IPPool) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
