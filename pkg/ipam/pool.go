// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// Pool is a part of a subnet that is allocated only to requests that name it. Excluded addresses stay excluded.
type Pool struct {
	Name   string
	Ranges []model.Range // not shared with another pool of the subnet
}

// NoPoolError names a pool that does not exist or cannot be used. It is an [ErrNoSubnet].
type NoPoolError struct{ Subnet, Pool string }

func (e *NoPoolError) Error() string {
	return fmt.Sprintf("subnet %s has no pool %s, or it cannot be used", e.Subnet, e.Pool)
}

// Is reports whether target is [ErrNoSubnet].
func (e *NoPoolError) Is(target error) bool { return target == ErrNoSubnet }

type pool struct{ spaces model.Dual[space] }

// setPools creates the spaces of the pools again; the cool-down of their addresses continues.
func (s *subnet) setPools(def Subnet) {
	old := s.pools
	s.pools = map[string]*pool{}
	for _, p := range def.Pools {
		now, ok := old[p.Name]
		if !ok {
			now = &pool{spaces: model.Dual[space]{V4: newSpace(), V6: newSpace()}}
		}
		s.pools[p.Name] = now
		now.spaces.V4.setPart(&s.spaces.V4, p.Ranges, def.Exclude)
		now.spaces.V6.setPart(&s.spaces.V6, p.Ranges, def.Exclude)
	}
}

// setPart sets s to the part of whole that is inside ranges.
func (s *space) setPart(whole *space, ranges, exclude []model.Range) {
	mine := clip(ranges, whole.hosts)
	exclude = append(slices.Clone(exclude), complement(whole.hosts, mine)...)
	clear(s.held)
	for addr, al := range whole.held {
		if slices.ContainsFunc(mine, func(r model.Range) bool { return r.Contains(addr) }) {
			s.held[addr] = al
		}
	}
	s.set(whole.prefix, whole.gateway, exclude)
}

// setAside returns the ranges of all pools: excluded for requests that name no pool.
func (def Subnet) setAside() []model.Range {
	out := slices.Clone(def.Exclude)
	for _, p := range def.Pools {
		out = append(out, p.Ranges...)
	}
	return out
}

// family returns the space of one IP family of a subnet or of one of its pools.
func (s *subnet) family(name string, family model.Family) (*space, error) {
	spaces := &s.spaces
	if name != "" {
		p, ok := s.pools[name]
		if !ok {
			return nil, &NoPoolError{Subnet: s.def.Name, Pool: name}
		}
		spaces = &p.spaces
	}
	if family == model.IPv4 {
		return &spaces.V4, nil
	}
	return &spaces.V6, nil
}

// hold takes an address in the subnet, and in its pool if it has one.
func (s *subnet) hold(addr netip.Addr, al *Allocation) {
	s.each(addr, func(sp *space) { sp.hold(addr, al) })
}

func (s *subnet) release(addr netip.Addr, limit int) {
	s.each(addr, func(sp *space) { sp.release(addr, limit) })
}

// each calls fn with the subnet's space that contains an address, and with the pool's.
func (s *subnet) each(addr netip.Addr, fn func(*space)) {
	if !addr.IsValid() {
		return
	}
	pick := func(d *model.Dual[space]) *space {
		if addr.Is4() {
			return &d.V4
		}
		return &d.V6
	}
	fn(pick(&s.spaces))
	for _, p := range s.pools {
		if sp := pick(&p.spaces); sp.inPool(addr) {
			fn(sp)
		}
	}
}

// anyHolder returns the owner of the lowest address in use; zero if there is none.
func (s *space) anyHolder() (owner model.Ref) {
	var lowest netip.Addr
	for addr := range s.held {
		if s.inPool(addr) && (!lowest.IsValid() || addr.Less(lowest)) {
			lowest = addr
		}
	}
	if al, ok := s.held[lowest]; ok {
		return al.Owner
	}
	return owner
}

// PoolStats returns the counters of a pool; all are zero for one that does not exist. O(1).
func (a *Allocator) PoolStats(subnet, name string) Stats {
	if s, ok := a.subnets[subnet]; ok {
		if p, ok := s.pools[name]; ok {
			return Stats{V4: p.spaces.V4.stats(), V6: p.spaces.V6.stats(), Held: len(p.spaces.V4.held) + len(p.spaces.V6.held)}
		}
	}
	return Stats{V4: zeroStats(), V6: zeroStats()}
}

// PoolRanges formats the addresses that [Allocator.PoolStats] counts.
func (a *Allocator) PoolRanges(subnet, name string) (out RangeTexts) {
	s, ok := a.subnets[subnet]
	if !ok {
		return out
	}
	if p, ok := s.pools[name]; ok {
		out.Using.V4, out.Available.V4 = p.spaces.V4.texts()
		out.Using.V6, out.Available.V6 = p.spaces.V6.texts()
	}
	return out
}
