package ipam

import "net/netip"

// rest is a queue of released addresses, in order of release, from the middle
// of which an address can be taken. A queue entry whose turn is not the
// recorded one is stale: its address was taken or released again since.
type rest struct {
	turns map[netip.Addr]uint64
	queue []restEntry
	head  int
	next  uint64
}

type restEntry struct {
	addr netip.Addr
	turn uint64
}

func newRest() rest { return rest{turns: map[netip.Addr]uint64{}} }

func (r *rest) len() int { return len(r.turns) }

func (r *rest) push(addr netip.Addr) {
	r.next++
	r.turns[addr] = r.next
	r.queue = append(r.queue, restEntry{addr: addr, turn: r.next})
	r.compact()
}

func (r *rest) remove(addr netip.Addr) {
	delete(r.turns, addr)
	r.compact()
}

// first returns the address that rested longest among those accepted; nil accepts all.
func (r *rest) first(accept func(netip.Addr) bool) (netip.Addr, bool) {
	for ; r.head < len(r.queue) && r.stale(r.queue[r.head]); r.head++ {
	}
	for _, e := range r.queue[r.head:] {
		if !r.stale(e) && (accept == nil || accept(e.addr)) {
			return e.addr, true
		}
	}
	return netip.Addr{}, false
}

// retain keeps the addresses for which keep is true, in their order.
func (r *rest) retain(keep func(netip.Addr) bool) {
	old := *r
	*r = newRest()
	for _, e := range old.queue[old.head:] {
		if !old.stale(e) && keep(e.addr) {
			r.push(e.addr)
		}
	}
}

func (r *rest) stale(e restEntry) bool {
	turn, ok := r.turns[e.addr]
	return !ok || turn != e.turn
}

// compact drops stale entries once they are the larger part, so that it costs
// O(1) for each change on average and memory stays proportional to what rests.
func (r *rest) compact() {
	const small = 32
	if len(r.queue) < small || len(r.queue) < 2*len(r.turns) {
		return
	}
	live := make([]restEntry, 0, len(r.turns))
	for _, e := range r.queue[r.head:] {
		if !r.stale(e) {
			live = append(live, e)
		}
	}
	r.queue, r.head = live, 0
}
