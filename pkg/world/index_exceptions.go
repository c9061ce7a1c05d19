// SPDX-License-Identifier: Apache-2.0

package world

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// indexExceptions is the index of the exceptions in blocks of policies, by namespace and direction.
const indexExceptions = "exceptions"

// exceptions records which prefixes the policies of a namespace except from their blocks. A change of a policy wakes
// the readers only if it adds the first or removes the last use of a prefix.
type exceptions struct {
	uses    map[Key]map[netip.Prefix]int // by namespace and direction
	lists   map[Key][]netip.Prefix       // of the prefixes; missing after a change, until it is read
	readers *readers
}

func newExceptions(w *World) *exceptions {
	x := &exceptions{uses: map[Key]map[netip.Prefix]int{}, lists: map[Key][]netip.Prefix{}, readers: &w.readers}
	for _, t := range w.Policies {
		t.listeners = append(t.listeners, x.policy)
	}
	return x
}

// directionKey is the key of a direction in a namespace.
func directionKey(namespace string, ingress bool) Key {
	if ingress {
		return Key{namespace, "ingress"}
	}
	return Key{namespace, "egress"}
}

func (x *exceptions) policy(key Key, old, now *model.Policy) (woken []model.Ref) {
	for _, ingress := range []bool{true, false} {
		at, changed := directionKey(key.Namespace, ingress), false
		before, after := exceptionsOf(old, ingress), exceptionsOf(now, ingress)
		for prefix := range after {
			if _, both := before[prefix]; !both {
				changed = x.count(at, prefix, 1) == 1 || changed
			}
		}
		for prefix := range before {
			if _, both := after[prefix]; !both {
				changed = x.count(at, prefix, -1) == 0 || changed
			}
		}
		if changed {
			delete(x.lists, at)
			woken = append(woken, x.readers.of(x.readers.dep(model.KindNetworkPolicy, indexExceptions, at))...)
		}
	}
	return woken
}

// count adds to the uses of a prefix and returns their number.
func (x *exceptions) count(at Key, prefix netip.Prefix, add int) int {
	if x.uses[at] == nil {
		x.uses[at] = map[netip.Prefix]int{}
	}
	x.uses[at][prefix] += add
	n := x.uses[at][prefix]
	if n == 0 {
		delete(x.uses[at], prefix)
	}
	if len(x.uses[at]) == 0 {
		delete(x.uses, at)
	}
	return n
}

// exceptionsOf returns the different exceptions of the rules of one direction of a policy.
func exceptionsOf(p *model.Policy, ingress bool) set[netip.Prefix] {
	if p == nil {
		return nil
	}
	side, out := &p.Egress, set[netip.Prefix]{}
	if ingress {
		side = &p.Ingress
	}
	for i := range side.Rules {
		for _, block := range side.Rules[i].Blocks {
			for _, except := range block.Except {
				out[except] = struct{}{}
			}
		}
	}
	return out
}

// Exceptions returns the prefixes that policies of a namespace except from their blocks in one direction, in no
// particular order. The caller must not change the list.
func (v *View) Exceptions(namespace string, ingress bool) []netip.Prefix {
	x, at := v.w.exceptions, directionKey(namespace, ingress)
	v.reads = append(v.reads, v.w.readers.dep(model.KindNetworkPolicy, indexExceptions, at))
	list, ok := x.lists[at]
	if !ok && len(x.uses[at]) > 0 {
		list = slices.Collect(maps.Keys(x.uses[at]))
		x.lists[at] = list
	}
	return list
}
