// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"math/big"
	"net/netip"
	"slices"

	"k8s.io/utils/third_party/forked/golang/btree"

	"github.com/wovensdn/woven/pkg/model"
)

// space is one IP family of one subnet.
//
// The pool is the host addresses of the prefix without the excluded ones. It is the disjoint union of free, cooling and
// the held addresses inside it. Held addresses outside the pool are possible: recorded before the subnet was narrowed,
// or static ones in an excluded range.
type space struct {
	prefix   netip.Prefix
	gateway  netip.Addr
	hosts    model.Range   // zero without a prefix
	excluded []model.Range // inside hosts, sorted, disjoint, not adjacent
	capacity *big.Int      // size of the pool

	held    map[netip.Addr]*Allocation
	counted int // held addresses inside the pool
	free    *btree.BTree[model.Range]
	cooling cooldown
}

const btreeDegree = 16

func newSpace() space {
	return space{capacity: new(big.Int), held: map[netip.Addr]*Allocation{}, free: newFree(), cooling: newCooldown()}
}

func newFree() *btree.BTree[model.Range] {
	return btree.New(btreeDegree, func(a, b model.Range) bool { return a.First.Less(b.First) })
}

// set changes the pool. Held addresses stay; cooling addresses that are still in the pool keep their order. An address
// that was excluded meanwhile counts as never used.
func (s *space) set(prefix netip.Prefix, gateway netip.Addr, exclude []model.Range) {
	s.prefix, s.gateway, s.hosts = prefix, gateway, model.Range{}
	if prefix.IsValid() {
		s.hosts = model.HostRange(prefix)
	}
	if gateway.IsValid() {
		exclude = append(slices.Clone(exclude), model.Range{First: gateway, Last: gateway})
	}
	s.excluded = clip(exclude, s.hosts)

	s.free, s.capacity = newFree(), new(big.Int)
	for _, r := range complement(s.hosts, s.excluded) {
		s.free.ReplaceOrInsert(r)
		s.capacity.Add(s.capacity, rangeSize(r))
	}
	s.counted = 0
	for addr := range s.held {
		if s.inPool(addr) {
			s.counted++
			s.takeFree(addr)
		}
	}
	s.cooling.retain(s.takeFree)
}

// inPool reports whether addr may be allocated dynamically, whether it is free or not.
func (s *space) inPool(addr netip.Addr) bool {
	if !s.isHost(addr) {
		return false
	}
	i, found := slices.BinarySearchFunc(s.excluded, addr, func(r model.Range, a netip.Addr) int {
		return r.First.Compare(a)
	})
	return !found && (i == 0 || s.excluded[i-1].Last.Less(addr))
}

// isHost reports whether addr is in the prefix and neither its network nor its broadcast address.
func (s *space) isHost(addr netip.Addr) bool {
	return s.hosts.First.IsValid() && s.hosts.Contains(addr)
}

// hold assigns addr to an allocation; it must be free.
func (s *space) hold(addr netip.Addr, al *Allocation) {
	s.held[addr] = al
	if !s.inPool(addr) {
		return
	}
	s.counted++
	if !s.takeFree(addr) {
		s.cooling.remove(addr)
	}
}

// release releases addr, which then cools down. If more than limit addresses do, the one released longest ago counts as
// never used, so that memory stays bounded on a huge prefix.
func (s *space) release(addr netip.Addr, limit int) {
	delete(s.held, addr)
	if !s.inPool(addr) {
		return
	}
	s.counted--
	s.cooling.push(addr)
	if s.cooling.len() > limit {
		oldest, _ := s.cooling.first(nil)
		s.cooling.remove(oldest)
		s.addFree(oldest)
	}
}

// propose returns the lowest address never used, else the one released longest ago; only addresses inside within,
// unless it is empty. It changes nothing.
func (s *space) propose(within []model.Range) (netip.Addr, bool) {
	if len(within) == 0 {
		if r, ok := s.free.Min(); ok {
			return r.First, true
		}
		return s.cooling.first(nil)
	}
	for _, w := range clip(within, s.hosts) {
		if addr, ok := s.lowestFree(w); ok {
			return addr, true
		}
	}
	return s.cooling.first(func(addr netip.Addr) bool {
		return slices.ContainsFunc(within, func(w model.Range) bool { return w.Contains(addr) })
	})
}

// lowestFree returns the lowest never used address inside w.
func (s *space) lowestFree(w model.Range) (netip.Addr, bool) {
	if r, ok := s.freeAround(w.First); ok && r.Contains(w.First) {
		return w.First, true
	}
	var found netip.Addr
	s.free.AscendGreaterOrEqual(w, func(r model.Range) bool {
		if w.Contains(r.First) {
			found = r.First
		}
		return false
	})
	return found, found.IsValid()
}

// freeAround returns the last free range that begins at or before addr.
func (s *space) freeAround(addr netip.Addr) (found model.Range, ok bool) {
	s.free.DescendLessOrEqual(model.Range{First: addr}, func(r model.Range) bool {
		found, ok = r, true
		return false
	})
	return found, ok
}

// takeFree removes addr from the free ranges and reports whether it was free.
func (s *space) takeFree(addr netip.Addr) bool {
	r, ok := s.freeAround(addr)
	if !ok || !r.Contains(addr) {
		return false
	}
	s.free.Delete(r)
	if r.First != addr {
		s.free.ReplaceOrInsert(model.Range{First: r.First, Last: addr.Prev()})
	}
	if r.Last != addr {
		s.free.ReplaceOrInsert(model.Range{First: addr.Next(), Last: r.Last})
	}
	return true
}

// addFree adds addr, which is not free yet, to the free ranges and joins it with its neighbours.
func (s *space) addFree(addr netip.Addr) {
	joined := model.Range{First: addr, Last: addr}
	if r, ok := s.freeAround(addr); ok && r.Last.Next() == addr {
		s.free.Delete(r)
		joined.First = r.First
	}
	if next, ok := s.free.Get(model.Range{First: addr.Next()}); ok {
		s.free.Delete(next)
		joined.Last = next.Last
	}
	s.free.ReplaceOrInsert(joined)
}
