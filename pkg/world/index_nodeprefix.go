package world

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// indexWithin is read for the nodes that have an address in some prefixes.
const indexWithin = "within"

// within knows which prefixes are asked for, so that a node's new address wakes
// those alone whom it concerns.
type within struct {
	asked   map[string]model.Prefixes
	readers *readers
}

func newWithin(w *World) *within {
	s := &within{asked: map[string]model.Prefixes{}, readers: &w.readers}
	w.Nodes.listeners = append(w.Nodes.listeners, s.node)
	return s
}

func (s *within) node(_ Key, old, now *model.Node) []model.Ref {
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
	for key, prefixes := range s.asked {
		readers := s.readers.of(dep{model.KindNode, indexWithin, Key{Name: key}})
		if len(readers) == 0 {
			delete(s.asked, key)
		} else if holdsAny(prefixes, before) || holdsAny(prefixes, after) {
			woken = append(woken, readers...)
		}
	}
	return woken
}

func holdsAny(p model.Prefixes, addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return p.V4.Contains(a) || p.V6.Contains(a) })
}

// NodesWithin lists the nodes that have an InternalIP in one of the prefixes, by name.
func (v *View) NodesWithin(p model.Prefixes) []*model.Node {
	key := model.PrefixesText(p)
	v.w.within.asked[key] = p
	v.reads = append(v.reads, dep{model.KindNode, indexWithin, Key{Name: key}})
	var out []*model.Node
	for _, n := range v.w.Nodes.All() {
		if holdsAny(p, n.InternalIPs) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *model.Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
