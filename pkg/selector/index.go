// SPDX-License-Identifier: Apache-2.0

// Package selector is an index of objects by label selector. Each change of an object or a selector returns the matches
// that it added and removed.
//
// Equal selectors share one group, which keeps its members once. A change of an object evaluates only groups that
// require one of its labels with its value; a new group evaluates only objects that have a label that it requires.
// Selectors that only exclude labels have no label to look up and are evaluated for every object.
//
// The package is pure and not safe for concurrent use.
package selector

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// Match is one selector that matches one object.
type Match struct {
	Selector string // id of the selector
	Object   string // key of the object
}

// Delta is the effect of a change. Each list is sorted by selector and object.
type Delta struct {
	Added, Removed []Match
}

// Index holds selectors and objects.
type Index struct {
	ids     map[string]*group // by id of the selector
	groups  map[string]*group // by normal form
	objects map[string]*object

	byLabel    map[string]map[string]set[string] // label key → value → keys of objects
	byAnchor   map[string]map[string]set[*group] // label key → value → groups anchored there
	byKey      map[string]set[*group]            // label key → groups anchored there, for any value
	unanchored set[*group]
}

type object struct {
	labels labels.Set
	groups set[*group]
}

type set[T comparable] = map[T]struct{}

// New returns an empty index.
func New() *Index {
	return &Index{
		ids: map[string]*group{}, groups: map[string]*group{}, objects: map[string]*object{},
		byLabel: map[string]map[string]set[string]{}, byAnchor: map[string]map[string]set[*group]{},
		byKey: map[string]set[*group]{}, unanchored: set[*group]{},
	}
}

// SetSelector adds a selector or replaces the one with this id.
func (x *Index) SetSelector(id string, s labels.Selector) Delta {
	old, had := x.ids[id]
	if had && old.normal == normal(s) {
		return Delta{}
	}
	now := x.group(s)
	now.ids[id] = struct{}{}
	x.ids[id] = now
	var d Delta
	for key := range now.members {
		if !had || !has(old.members, key) {
			d.Added = append(d.Added, Match{Selector: id, Object: key})
		}
	}
	if had {
		for key := range old.members {
			if !has(now.members, key) {
				d.Removed = append(d.Removed, Match{Selector: id, Object: key})
			}
		}
		x.leave(old, id)
	}
	return d.sorted()
}

// DeleteSelector removes a selector and all its matches.
func (x *Index) DeleteSelector(id string) Delta {
	g, ok := x.ids[id]
	if !ok {
		return Delta{}
	}
	var d Delta
	for key := range g.members {
		d.Removed = append(d.Removed, Match{Selector: id, Object: key})
	}
	delete(x.ids, id)
	x.leave(g, id)
	return d.sorted()
}

// SetObject adds an object or replaces its labels. The caller must not modify the map afterwards.
func (x *Index) SetObject(key string, labelSet map[string]string) Delta {
	o, had := x.objects[key]
	if had && maps.Equal(o.labels, labelSet) {
		return Delta{}
	}
	if !had {
		o = &object{groups: set[*group]{}}
		x.objects[key] = o
	}
	x.unindex(key, o)
	o.labels = labelSet
	for k, v := range labelSet {
		add(x.byLabel, k, v, key)
	}
	var d Delta
	for g := range x.candidates(labelSet) {
		if !has(o.groups, g) && g.selector.Matches(o.labels) {
			o.join(key, g)
			d.Added = appendMatches(d.Added, g, key)
		}
	}
	for g := range o.groups {
		if !g.selector.Matches(o.labels) {
			o.part(key, g)
			d.Removed = appendMatches(d.Removed, g, key)
		}
	}
	return d.sorted()
}

// DeleteObject removes an object and all its matches.
func (x *Index) DeleteObject(key string) Delta {
	o, ok := x.objects[key]
	if !ok {
		return Delta{}
	}
	var d Delta
	for g := range o.groups {
		o.part(key, g)
		d.Removed = appendMatches(d.Removed, g, key)
	}
	x.unindex(key, o)
	delete(x.objects, key)
	return d.sorted()
}

// Objects returns the keys of the objects that a selector matches, sorted.
func (x *Index) Objects(id string) []string {
	g, ok := x.ids[id]
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(g.members))
}

// Selectors returns the ids of the selectors that match an object, sorted.
func (x *Index) Selectors(key string) []string {
	o, ok := x.objects[key]
	if !ok {
		return nil
	}
	var out []string
	for g := range o.groups {
		out = slices.AppendSeq(out, maps.Keys(g.ids))
	}
	slices.Sort(out)
	return out
}

// group returns the group of a selector. It creates a missing group with its members.
func (x *Index) group(s labels.Selector) *group {
	fresh := newGroup(s)
	if g, ok := x.groups[fresh.normal]; ok {
		return g
	}
	x.groups[fresh.normal] = fresh
	if fresh.normal == nothing {
		return fresh
	}
	x.anchorGroup(fresh)
	join := func(key string) {
		if o := x.objects[key]; s.Matches(o.labels) {
			o.join(key, fresh)
		}
	}
	switch a := fresh.anchor; {
	case a.key == "":
		for key := range x.objects {
			join(key)
		}
	case len(a.values) == 0:
		for _, keys := range x.byLabel[a.key] {
			for key := range keys {
				join(key)
			}
		}
	default:
		for _, value := range a.values {
			for key := range x.byLabel[a.key][value] {
				join(key)
			}
		}
	}
	return fresh
}

// anchorGroup adds a group to the maps by label.
func (x *Index) anchorGroup(g *group) {
	switch a := g.anchor; {
	case a.key == "":
		x.unanchored[g] = struct{}{}
	case len(a.values) == 0:
		if x.byKey[a.key] == nil {
			x.byKey[a.key] = set[*group]{}
		}
		x.byKey[a.key][g] = struct{}{}
	default:
		for _, value := range a.values {
			add(x.byAnchor, a.key, value, g)
		}
	}
}

// leave removes a selector from its group, and the group with its last selector.
func (x *Index) leave(g *group, id string) {
	delete(g.ids, id)
	if len(g.ids) > 0 {
		return
	}
	for key := range g.members {
		delete(x.objects[key].groups, g)
	}
	delete(x.groups, g.normal)
	delete(x.unanchored, g)
	if keyed := x.byKey[g.anchor.key]; keyed != nil {
		delete(keyed, g)
		if len(keyed) == 0 {
			delete(x.byKey, g.anchor.key)
		}
	}
	for _, value := range g.anchor.values {
		remove(x.byAnchor, g.anchor.key, value, g)
	}
}

// candidates returns the groups that an object with these labels may match.
func (x *Index) candidates(labelSet map[string]string) set[*group] {
	out := maps.Clone(x.unanchored)
	for k, v := range labelSet {
		maps.Copy(out, x.byKey[k])
		maps.Copy(out, x.byAnchor[k][v])
	}
	return out
}

func (x *Index) unindex(key string, o *object) {
	for k, v := range o.labels {
		remove(x.byLabel, k, v, key)
	}
}

func (o *object) join(key string, g *group) {
	o.groups[g] = struct{}{}
	g.members[key] = struct{}{}
}

func (o *object) part(key string, g *group) {
	delete(o.groups, g)
	delete(g.members, key)
}

func has[T comparable](s set[T], v T) bool {
	_, ok := s[v]
	return ok
}

func add[T comparable](m map[string]map[string]set[T], key, value string, member T) {
	if m[key] == nil {
		m[key] = map[string]set[T]{}
	}
	if m[key][value] == nil {
		m[key][value] = set[T]{}
	}
	m[key][value][member] = struct{}{}
}

func remove[T comparable](m map[string]map[string]set[T], key, value string, member T) {
	delete(m[key][value], member)
	if len(m[key][value]) == 0 {
		delete(m[key], value)
	}
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

func appendMatches(list []Match, g *group, key string) []Match {
	for id := range g.ids {
		list = append(list, Match{Selector: id, Object: key})
	}
	return list
}

func (d Delta) sorted() Delta {
	byNames := func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Selector, b.Selector), cmp.Compare(a.Object, b.Object))
	}
	slices.SortFunc(d.Added, byNames)
	slices.SortFunc(d.Removed, byNames)
	return d
}
