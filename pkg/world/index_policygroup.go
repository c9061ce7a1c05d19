// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/selector"
)

// Indexes of groups.
const (
	indexGroups  = "groups"  // the selections that contain a pod
	indexNumbers = "numbers" // the port numbers of a selection with a named port
)

// groups records which selections of policies contain which pods. A change of a pod, a namespace or a policy wakes only
// the pods that enter or leave a selection.
//
// Each namespace that a group selects has its own index: a pod is compared only with the groups that select its
// namespace, a group only with the pods there.
type groups struct {
	w          *World
	groups     map[model.Group]*group
	namespaces *selector.Index // ids are keys of groups of several namespaces, objects are namespaces
	byKey      map[string]*group
	indexes    map[string]*podIndex   // by namespace
	pods       map[string]set[string] // names of all pods by namespace
}

type set[T comparable] = map[T]struct{}

// podIndex is the index of one namespace: ids are keys of groups, objects are names of pods.
type podIndex struct {
	*selector.Index
	namespace string
	groups    int
}

type group struct {
	model.Group
	key        string
	selector   labels.Selector // of pods
	selections map[model.Selection]*selected
}

// selected is the state of a selection.
type selected struct {
	policies int            // number of policies that use it
	number   map[Key]uint16 // number of the named port, by pod
	pods     map[uint16]int // number of pods, by port number
}

func newGroups(w *World) *groups {
	g := &groups{
		w: w, groups: map[model.Group]*group{}, namespaces: selector.New(), byKey: map[string]*group{},
		indexes: map[string]*podIndex{}, pods: map[string]set[string]{},
	}
	w.Pods.listeners = append(w.Pods.listeners, g.pod)
	w.Namespaces.listeners = append(w.Namespaces.listeners, g.namespace)
	for _, t := range w.Policies {
		t.listeners = append(t.listeners, g.policy)
	}
	return g
}

// policy counts the uses of each selection.
func (x *groups) policy(_ Key, old, now *model.Policy) (woken []model.Ref) {
	var before, after []model.Selection
	if old != nil {
		before = old.Selections()
	}
	if now != nil {
		after = now.Selections()
	}
	for _, s := range after {
		if !slices.Contains(before, s) {
			woken = append(woken, x.addSelection(s)...)
		}
	}
	for _, s := range before {
		if !slices.Contains(after, s) {
			woken = append(woken, x.dropSelection(s)...)
		}
	}
	return woken
}

func (x *groups) addSelection(s model.Selection) (woken []model.Ref) {
	g, ok := x.groups[s.Group]
	if !ok {
		g = x.add(s.Group)
	}
	if known, ok := g.selections[s]; ok {
		known.policies++
		return nil
	}
	sel := &selected{policies: 1, number: map[Key]uint16{}, pods: map[uint16]int{}}
	g.selections[s] = sel
	for _, key := range x.members(g) {
		if pod, ok := x.w.Pods.Get(key); ok {
			sel.setNumber(key, pod.NumberOf(s.Port))
		}
		woken = append(woken, x.readers(indexGroups, key)...)
	}
	return append(woken, x.readers(indexNumbers, Key{Name: s.Key()})...)
}

func (x *groups) dropSelection(s model.Selection) (woken []model.Ref) {
	g := x.groups[s.Group]
	g.selections[s].policies--
	if g.selections[s].policies > 0 {
		return nil
	}
	delete(g.selections, s)
	for _, key := range x.members(g) {
		woken = append(woken, x.readers(indexGroups, key)...)
	}
	if len(g.selections) == 0 {
		x.remove(g)
	}
	return append(woken, x.readers(indexNumbers, Key{Name: s.Key()})...)
}

// add adds a group to the indexes of the namespaces that it selects.
func (x *groups) add(of model.Group) *group {
	g := &group{Group: of, key: of.Key(), selector: parsed(of.Pods), selections: map[model.Selection]*selected{}}
	x.groups[of], x.byKey[g.key] = g, g
	if of.Namespace != "" {
		x.enter(of.Namespace, g)
		return g
	}
	for _, m := range x.namespaces.SetSelector(g.key, parsed(of.Namespaces)).Added {
		x.enter(m.Object, g)
	}
	return g
}

func (x *groups) remove(g *group) {
	if g.Namespace != "" {
		x.leave(g.Namespace, g)
	} else {
		for _, m := range x.namespaces.DeleteSelector(g.key).Removed {
			x.leave(m.Object, g)
		}
	}
	delete(x.groups, g.Group)
	delete(x.byKey, g.key)
}

func parsed(text string) labels.Selector {
	s, err := labels.Parse(text)
	if err != nil {
		return labels.Nothing() // model validates selectors
	}
	return s
}

// enter adds a group to the index of a namespace.
func (x *groups) enter(namespace string, g *group) []model.Ref {
	index := x.indexes[namespace]
	if index == nil {
		index = &podIndex{Index: selector.New(), namespace: namespace}
		x.indexes[namespace] = index
		for name := range x.pods[namespace] {
			if pod, ok := x.w.Pods.Get(Key{namespace, name}); ok {
				index.SetObject(name, pod.Labels)
			}
		}
	}
	index.groups++
	return x.wake(index, index.SetSelector(g.key, g.selector))
}

func (x *groups) leave(namespace string, g *group) []model.Ref {
	index := x.indexes[namespace]
	woken := x.wake(index, index.DeleteSelector(g.key))
	if index.groups--; index.groups == 0 {
		delete(x.indexes, namespace)
	}
	return woken
}

// namespace adds and removes the groups that select it by label.
func (x *groups) namespace(key Key, _, now *model.Namespace) (woken []model.Ref) {
	name := key.Name
	var d selector.Delta
	if now == nil {
		d = x.namespaces.DeleteObject(name)
	} else {
		d = x.namespaces.SetObject(name, now.Labels)
	}
	for _, m := range d.Added {
		woken = append(woken, x.enter(name, x.byKey[m.Selector])...)
	}
	for _, m := range d.Removed {
		woken = append(woken, x.leave(name, x.byKey[m.Selector])...)
	}
	return woken
}

func (x *groups) pod(key Key, old, now *model.Pod) []model.Ref {
	switch {
	case now == nil:
		delete(x.pods[key.Namespace], key.Name)
		if len(x.pods[key.Namespace]) == 0 {
			delete(x.pods, key.Namespace)
		}
	case old == nil:
		if x.pods[key.Namespace] == nil {
			x.pods[key.Namespace] = set[string]{}
		}
		x.pods[key.Namespace][key.Name] = struct{}{}
	}
	index := x.indexes[key.Namespace]
	if index == nil {
		return nil
	}
	if now == nil {
		return x.wake(index, index.DeleteObject(key.Name))
	}
	woken := x.wake(index, index.SetObject(key.Name, now.Labels))
	if old != nil && !slices.Equal(old.Ports, now.Ports) {
		for _, id := range index.Selectors(key.Name) {
			woken = append(woken, x.updateNumbers(x.byKey[id], key, now)...)
		}
	}
	return woken
}

// wake returns the readers of the pods that enter or leave groups, and the readers of changed port numbers.
func (x *groups) wake(in *podIndex, d selector.Delta) (woken []model.Ref) {
	for _, m := range d.Added {
		key := Key{in.namespace, m.Object}
		pod, _ := x.w.Pods.Get(key)
		woken = append(woken, x.updateNumbers(x.byKey[m.Selector], key, pod)...)
		woken = append(woken, x.readers(indexGroups, key)...)
	}
	for _, m := range d.Removed {
		key := Key{in.namespace, m.Object}
		woken = append(woken, x.updateNumbers(x.byKey[m.Selector], key, nil)...)
		woken = append(woken, x.readers(indexGroups, key)...)
	}
	return woken
}

// updateNumbers records the numbers of named ports of a pod in a group; pod is nil if it has left the group.
func (x *groups) updateNumbers(g *group, key Key, pod *model.Pod) (woken []model.Ref) {
	for s, sel := range g.selections {
		var number uint16
		if s.Port.Name == "" {
			continue
		}
		if pod != nil {
			number = pod.NumberOf(s.Port)
		}
		if sel.setNumber(key, number) {
			woken = append(woken, x.readers(indexNumbers, Key{Name: s.Key()})...)
		}
	}
	return woken
}

// setNumber records the number of the named port for a pod; 0 means none. It reports whether the set of numbers of all
// pods has changed.
func (s *selected) setNumber(pod Key, number uint16) (changed bool) {
	old := s.number[pod]
	if old == number {
		return false
	}
	delete(s.number, pod)
	if old != 0 {
		if s.pods[old]--; s.pods[old] == 0 {
			delete(s.pods, old)
			changed = true
		}
	}
	if number != 0 {
		s.number[pod] = number
		s.pods[number]++
		changed = changed || s.pods[number] == 1
	}
	return changed
}

// members lists the keys of the pods in a group.
func (x *groups) members(g *group) (keys []Key) {
	namespaces := []string{g.Namespace}
	if g.Namespace == "" {
		namespaces = x.namespaces.Objects(g.key)
	}
	for _, namespace := range namespaces {
		if index := x.indexes[namespace]; index != nil {
			for _, name := range index.Objects(g.key) {
				keys = append(keys, Key{namespace, name})
			}
		}
	}
	return keys
}

func (x *groups) readers(index string, key Key) []model.Ref {
	return x.w.readers.of(x.w.readers.dep(model.KindPod, index, key))
}

// Selections lists the selections of policies that contain a pod, sorted. A selection with a named port may contain
// pods without such a port.
func (v *View) Selections(namespace, pod string) (out []model.Selection) {
	v.reads = append(v.reads, v.w.readers.dep(model.KindPod, indexGroups, Key{namespace, pod}))
	index := v.w.groups.indexes[namespace]
	if index == nil {
		return nil
	}
	for _, id := range index.Selectors(pod) {
		out = slices.AppendSeq(out, maps.Keys(v.w.groups.byKey[id].selections))
	}
	slices.SortFunc(out, func(a, b model.Selection) int { return cmp.Compare(a.Key(), b.Key()) })
	return out
}

// Numbers lists the numbers of a selection's named port in its pods, sorted.
func (v *View) Numbers(s model.Selection) []uint16 {
	v.reads = append(v.reads, v.w.readers.dep(model.KindPod, indexNumbers, Key{Name: s.Key()}))
	g := v.w.groups.groups[s.Group]
	if g == nil || g.selections[s] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(g.selections[s].pods))
}
