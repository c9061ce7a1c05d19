// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"iter"
	"maps"

	"github.com/wovensdn/woven/pkg/fact"
)

// holders is the set of owners of one member. Most members have one owner, so one owner needs no map.
type holders struct {
	one  fact.Owner
	more map[fact.Owner]struct{} // nil while there is only one
}

func (h *holders) add(owner fact.Owner) {
	if h.more == nil {
		if h.one == owner {
			return
		}
		h.more = map[fact.Owner]struct{}{h.one: {}}
	}
	h.more[owner] = struct{}{}
}

// drop removes an owner and reports whether it was the last one.
func (h *holders) drop(owner fact.Owner) (last bool) {
	if h.more == nil {
		return h.one == owner
	}
	delete(h.more, owner)
	return len(h.more) == 0
}

// all yields the owners, in no particular order.
func (h *holders) all() iter.Seq[fact.Owner] {
	if h.more != nil {
		return maps.Keys(h.more)
	}
	return func(yield func(fact.Owner) bool) { yield(h.one) }
}

// first is the smallest owner, independent of the order of arrival.
func (h *holders) first() fact.Owner {
	if h.more == nil {
		return h.one
	}
	var least fact.Owner
	found := false
	for o := range h.more {
		if !found || o.Compare(least) < 0 {
			least, found = o, true
		}
	}
	return least
}
