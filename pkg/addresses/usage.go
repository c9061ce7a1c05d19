// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/world"
)

// Usage is the usage of the addresses of a subnet or pool.
type Usage struct {
	Subnet string
	Pool   string // empty for the whole subnet
	Stats  ipam.Stats
	Ranges ipam.RangeTexts
}

// TakeUsage returns the counters of the subnets that have changed since the last call, by name, and of their pools. It
// costs O(n log n) in the allocations of these subnets.
func (r *Registry) TakeUsage() (all []Usage) {
	for _, subnet := range slices.Sorted(maps.Keys(r.usage)) {
		all = append(all, r.TakeUsageOf(subnet)...)
	}
	clear(r.usage)
	return all
}

// TakeUsageOf is [Registry.TakeUsage] for one subnet.
func (r *Registry) TakeUsageOf(subnet string) (all []Usage) {
	_, changed := r.usage[subnet]
	_, exists := r.world.Subnets.Get(world.Key{Name: subnet})
	if !changed || !exists {
		return nil
	}
	delete(r.usage, subnet)
	all = append(all, Usage{Subnet: subnet, Stats: r.allocator.Stats(subnet), Ranges: r.allocator.Ranges(subnet)})
	for _, pool := range r.pools(subnet) {
		all = append(all, Usage{
			Subnet: subnet, Pool: pool.Name,
			Stats: r.allocator.PoolStats(subnet, pool.Name), Ranges: r.allocator.PoolRanges(subnet, pool.Name),
		})
	}
	return all
}
