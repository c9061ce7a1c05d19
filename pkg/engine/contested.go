package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// hold has the allocator know a record. Of two records of one address, or one
// MAC, the older one has it, in whatever order they came; the other is contested,
// and of no use to its pod until it is free.
func (c *Core) hold(ip *model.IP) (woken []model.Ref) {
	err := c.ipam.Record(allocationOf(ip))
	rivals := []*model.IP{ip}
	for {
		var conflict *ipam.ConflictError
		if !errors.As(err, &conflict) {
			break
		}
		other, recorded := c.world.IPs.Get(world.Key{Name: conflict.Holder})
		if !recorded || older(other, ip) <= 0 {
			break
		}
		c.ipam.Release(other.Name)
		rivals = append(rivals, other)
		err = c.ipam.Record(allocationOf(ip))
	}
	if len(rivals) == 1 {
		return c.award(ip, err)
	}
	c.ipam.Release(ip.Name)
	slices.SortFunc(rivals, older)
	for _, r := range rivals {
		woken = append(woken, c.award(r, c.ipam.Record(allocationOf(r)))...)
	}
	for _, other := range c.contestants(ip.Subnet) { // they may have been told of a holder who is none any more
		if !slices.Contains(rivals, other) {
			woken = append(woken, c.award(other, c.ipam.Record(allocationOf(other)))...)
		}
	}
	return woken
}

func allocationOf(ip *model.IP) ipam.Allocation {
	return ipam.Allocation{Subnet: ip.Subnet, Owner: ip.Name, Addrs: ip.Addrs, MAC: ip.MAC}
}

// older orders records by age. The API server tells that in seconds; of two of one
// second that of a user is the younger one, because we record only what is free.
func older(a, b *model.IP) int {
	byUser := func(ip *model.IP) int {
		if ip.Reserved {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(byUser(a), byUser(b)), cmp.Compare(a.Name, b.Name))
}

// award writes into the world whether a record has its address, and why not.
func (c *Core) award(ip *model.IP, err error) []model.Ref {
	ref, cause := model.Ref{Kind: model.KindIP, Name: ip.Name}, ""
	c.problem(ref, sourceAddress)
	c.uncontest(ip)
	if err != nil {
		cause = err.Error()
		c.problem(ref, sourceAddress, model.Problem{Reason: model.ReasonAddressConflict, Field: "spec.ipAddress", Message: fmt.Sprintf("IP %s: %s", ip.Name, cause)})
		if c.contested[ip.Subnet] == nil {
			c.contested[ip.Subnet] = map[string]struct{}{}
		}
		c.contested[ip.Subnet][ip.Name] = struct{}{}
	}
	if ip.Contested == cause {
		return nil
	}
	changed := *ip
	changed.Contested = cause
	return append(c.world.IPs.Set(&changed), holder(ip))
}

func (c *Core) uncontest(ip *model.IP) {
	delete(c.contested[ip.Subnet], ip.Name)
	if len(c.contested[ip.Subnet]) == 0 {
		delete(c.contested, ip.Subnet)
	}
}

// contest looks again at the records of a subnet that have not got their addresses: one may be free now.
func (c *Core) contest(subnet string) {
	for _, ip := range c.contestants(subnet) {
		c.toCompile.add(c.hold(ip)...)
	}
}

// contestants are the records of a subnet that have not got their addresses, the oldest first.
func (c *Core) contestants(subnet string) (ips []*model.IP) {
	for name := range c.contested[subnet] {
		if ip, ok := c.world.IPs.Get(world.Key{Name: name}); ok {
			ips = append(ips, ip)
		}
	}
	slices.SortFunc(ips, older)
	return ips
}
