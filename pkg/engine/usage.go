package engine

import (
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/world"
)

// FlushUsage tells the counters of the subnets that have changed, and of their pools.
func (c *Core) FlushUsage() {
	if !c.active {
		return
	}
	for _, subnet := range slices.Sorted(maps.Keys(c.usage)) {
		if _, ok := c.world.Subnets.Get(world.Key{Name: subnet}); ok {
			c.cfg.Writer.Usage(Usage{Subnet: subnet, Stats: c.ipam.Stats(subnet), Ranges: c.ipam.Ranges(subnet)})
			for _, pool := range c.pools(subnet) {
				c.cfg.Writer.Usage(Usage{Subnet: subnet, Pool: pool.Name, Stats: c.ipam.PoolStats(subnet, pool.Name), Ranges: c.ipam.PoolRanges(subnet, pool.Name)})
			}
		}
	}
	clear(c.usage)
}
