// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// indexWithin is the index of the nodes with an address in given prefixes.
const indexWithin = "within"

// nodePrefixes records the prefixes that are read, so that a node's new address wakes only the readers of prefixes that
// contain it.
type nodePrefixes struct {
	read    map[string]model.Prefixes
	readers *readers
}

func newNodePrefixes(w *World) *nodePrefixes {
	s := &nodePrefixes{read: map[string]model.Prefixes{}, readers: &w.readers}
	w.Nodes.listeners = append(w.Nodes.listeners, s.node)
	return s
}

func (s *nodePrefixes) node(_ Key, old, now *model.Node) []model.Ref {
	var before, after []netip.Addr
	if old != nil {
		before = old.InternalIPs
	}
	if now != nil {
		after = now.InternalIPs
	}
	if slices.Equal(before, after) {
		return nil
	}
	var woken []model.Ref
	for key, prefixes := range s.read {
		readers := s.readers.of(s.readers.dep(model.KindNode, indexWithin, Key{Name: key}))
		if len(readers) == 0 {
			delete(s.read, key)
		} else if containAny(prefixes, before) || containAny(prefixes, after) {
			woken = append(woken, readers...)
		}
	}
	return woken
}

func containAny(p model.Prefixes, addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return p.V4.Contains(a) || p.V6.Contains(a) })
}

// NodesWithin lists the nodes that have an InternalIP in one of the prefixes, by name.
func (v *View) NodesWithin(p model.Prefixes) []*model.Node {
	key := model.PrefixesText(p)
	v.w.nodePrefixes.read[key] = p
	v.reads = append(v.reads, v.w.readers.dep(model.KindNode, indexWithin, Key{Name: key}))
	var out []*model.Node
	for _, n := range v.w.Nodes.All() {
		if containAny(p, n.InternalIPs) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *model.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
