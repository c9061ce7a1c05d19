// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"net/netip"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// ippool: a pool is a part of its subnet that the allocator reserves. In OVN it is an address set, if the pool enables
// that. A deleted pool is removed once none of its addresses is in use.
func (c Config) ippool(ref model.Ref, v *world.View) (r Result) {
	pool, ok := v.IPPool(ref.Name)
	if !ok {
		return r
	}
	if pool.Deleting {
		holder, count := holderOf(v, pool)
		if count == 0 {
			r.want(Finalize{Object: ref})
			return r
		}
		r.problem(model.ReasonIPPoolInUse, "", "IPPool %s is being deleted and still has %d addresses in use, one of them by %s", pool.Name, count, holder)
	} else if !pool.Finalized {
		r.want(Finalize{Object: ref, Present: true})
	}
	subnet, ok := v.SubnetNetwork(pool.Subnet)
	if !ok {
		r.problem(model.ReasonSubnetNotFound, "spec.subnet", "there is no Subnet %s", pool.Subnet)
		return r
	}
	if problem, bad := model.PoolProblem(pool, subnet.CIDR, v.IPPoolsOfSubnet(pool.Subnet)); bad {
		r.Problems = append(r.Problems, problem)
		return r
	}
	poolSets(&r, v, pool)
	return r
}

// holderOf counts the users of a pool's addresses. It reads all records of the subnet, so it is only for pools that are
// being deleted.
func holderOf(v *world.View, pool *model.IPPool) (first string, count int) {
	for _, ip := range v.IPsOfSubnet(pool.Subnet) {
		if !pool.Has(ip.Addrs) {
			continue
		}
		if count == 0 {
			first = ip.Name
		}
		count++
	}
	return first, count
}

// poolSets declares the address sets of a pool, which ACLs can match.
func poolSets(r *Result, v *world.View, pool *model.IPPool) {
	names := pool.SetNames()
	for i, name := range names {
		if problem, taken := model.PoolSetTaken(pool, name, v.IPPoolsOfAddressSet(name)); taken {
			r.Problems = append(r.Problems, problem)
			continue
		}
		set := r.Row(nb.AddressSetTable, name, &nb.AddressSet{Name: name})
		for _, addresses := range pool.Ranges {
			if len(names) > 1 && addresses.First.Is4() != (i == 0) {
				continue
			}
			for _, prefix := range model.RangePrefixes(addresses) {
				r.Member(set, "addresses", element(prefix))
			}
		}
	}
}

// element formats a prefix as an element of an address set.
func element(prefix netip.Prefix) string {
	if prefix.IsSingleIP() {
		return prefix.Addr().String()
	}
	return prefix.String()
}
