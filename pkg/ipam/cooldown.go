// SPDX-License-Identifier: Apache-2.0

package ipam

import "net/netip"

// cooldown is a queue of released addresses, in order of release, that allows removal from the middle. An entry whose
// turn differs from the recorded one is stale: its address was taken or released again since.
type cooldown struct {
	turns map[netip.Addr]uint64
	queue []cooldownEntry
	head  int
	next  uint64
}

type cooldownEntry struct {
	addr netip.Addr
	turn uint64
}

func newCooldown() cooldown { return cooldown{turns: map[netip.Addr]uint64{}} }

func (c *cooldown) len() int { return len(c.turns) }

func (c *cooldown) push(addr netip.Addr) {
	c.next++
	c.turns[addr] = c.next
	c.queue = append(c.queue, cooldownEntry{addr: addr, turn: c.next})
	c.compact()
}

func (c *cooldown) remove(addr netip.Addr) {
	delete(c.turns, addr)
	c.compact()
}

// first returns the address that was released longest ago and is accepted; nil accepts all.
func (c *cooldown) first(accept func(netip.Addr) bool) (netip.Addr, bool) {
	for ; c.head < len(c.queue) && c.stale(c.queue[c.head]); c.head++ {
	}
	for _, e := range c.queue[c.head:] {
		if !c.stale(e) && (accept == nil || accept(e.addr)) {
			return e.addr, true
		}
	}
	return netip.Addr{}, false
}

// retain keeps the addresses for which keep is true, in their order.
func (c *cooldown) retain(keep func(netip.Addr) bool) {
	old := *c
	*c = newCooldown()
	for _, e := range old.queue[old.head:] {
		if !old.stale(e) && keep(e.addr) {
			c.push(e.addr)
		}
	}
}

func (c *cooldown) stale(e cooldownEntry) bool {
	turn, ok := c.turns[e.addr]
	return !ok || turn != e.turn
}

// compact drops stale entries once they are the majority, so that it costs O(1) for each change on average and memory
// stays proportional to the length.
func (c *cooldown) compact() {
	const small = 32
	if len(c.queue) < small || len(c.queue) < 2*len(c.turns) {
		return
	}
	live := make([]cooldownEntry, 0, len(c.turns))
	for _, e := range c.queue[c.head:] {
		if !c.stale(e) {
			live = append(live, e)
		}
	}
	c.queue, c.head = live, 0
}
