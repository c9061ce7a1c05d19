// SPDX-License-Identifier: Apache-2.0

package world

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

// groupModel is a small world with readers of all groups and numbers, which are compared with a naive computation.
type groupModel struct {
	*World
	selections []model.Selection // all that policies may have
	readers    map[model.Ref]func(*View) any
	seen       map[model.Ref]any // the last read of each reader
}

var (
	groupNamespaces = []string{"a", "b", "c"}
	groupPods       = []string{"p", "q", "r", "s"}
	groupSelectors  = []string{"", "app=x", "app in (x,y)", "app,tier!=t", "!tier", "app notin (x)"}
	groupLabels     = []map[string]string{nil, {"app": "x"}, {"app": "y"}, {"app": "x", "tier": "t"}, {"tier": "u"}}
	groupPorts      = []model.NamedPort{{}, {Protocol: model.TCP, Name: "http"}, {Protocol: model.UDP, Name: "dns"}}
)

func newGroupModel() *groupModel {
	c := &groupModel{World: New(), readers: map[model.Ref]func(*View) any{}, seen: map[model.Ref]any{}}
	for _, pods := range groupSelectors {
		groups := []model.Group{{Namespace: "a", Pods: pods}, {Namespace: "b", Pods: pods}}
		for _, namespaces := range groupSelectors {
			groups = append(groups, model.Group{Namespaces: namespaces, Pods: pods})
		}
		for _, g := range groups {
			for _, port := range groupPorts {
				c.selections = append(c.selections, model.Selection{Group: g, Port: port})
			}
		}
	}
	for _, namespace := range groupNamespaces {
		for _, pod := range groupPods {
			c.readers[model.Ref{Kind: "reader of groups", Namespace: namespace, Name: pod}] = func(v *View) any { return v.Selections(namespace, pod) }
		}
	}
	for _, s := range c.selections {
		if s.Port.Name != "" {
			c.readers[model.Ref{Kind: "reader of numbers", Name: s.Key()}] = func(v *View) any { return v.Numbers(s) }
		}
	}
	return c
}

// selects reports whether a group selects a pod, by definition.
func (c *groupModel) selects(g model.Group, pod *model.Pod) bool {
	if g.Namespace != "" {
		return g.Namespace == pod.Namespace && matches(g.Pods, pod.Labels)
	}
	namespace, ok := c.Namespaces.Get(Key{Name: pod.Namespace})
	return ok && matches(g.Namespaces, namespace.Labels) && matches(g.Pods, pod.Labels)
}

func matches(text string, set map[string]string) bool {
	return groupParsed[text].Matches(labels.Set(set))
}

var groupParsed = func() map[string]labels.Selector {
	out := map[string]labels.Selector{}
	for _, text := range groupSelectors {
		s, err := labels.Parse(text)
		if err != nil {
			panic(err)
		}
		out[text] = s
	}
	return out
}()

// expected is the expected read of each reader, computed from the objects.
func (c *groupModel) expected() map[model.Ref]any {
	used := map[model.Selection]bool{}
	for _, table := range c.Policies {
		for _, p := range table.All() {
			for _, s := range p.Selections() {
				used[s] = true
			}
		}
	}
	out := map[model.Ref]any{}
	for ref := range c.readers {
		switch ref.Kind {
		case "reader of groups":
			out[ref] = []model.Selection(nil)
		default:
			out[ref] = []uint16(nil)
		}
	}
	for _, pod := range c.Pods.All() {
		var in []model.Selection
		for s := range used {
			if !c.selects(s.Group, pod) {
				continue
			}
			in = append(in, s)
			reader := model.Ref{Kind: "reader of numbers", Name: s.Key()}
			if number := pod.NumberOf(s.Port); number != 0 {
				numbers, _ := out[reader].([]uint16)
				numbers = append(slices.Clone(numbers), number)
				slices.Sort(numbers)
				out[reader] = slices.Compact(numbers)
			}
		}
		slices.SortFunc(in, func(a, b model.Selection) int { return cmp.Compare(a.Key(), b.Key()) })
		out[model.Ref{Kind: "reader of groups", Namespace: pod.Namespace, Name: pod.Name}] = in
	}
	return out
}

// look compares the reads with the expected ones, and the woken readers with those whose reads have changed. A reader
// of numbers may also be woken when a policy starts or stops to use the selection.
func (c *groupModel) look(t *rapid.T, woken []model.Ref, changed []model.Selection) {
	mayWake := map[model.Ref]bool{}
	for _, s := range changed {
		mayWake[model.Ref{Kind: "reader of numbers", Name: s.Key()}] = true
	}
	expected := c.expected()
	for _, ref := range slices.SortedFunc(maps.Keys(c.readers), model.Ref.Compare) {
		var now any
		c.Read(ref, func(v *View) { now = c.readers[ref](v) })
		if !same(expected[ref], now) {
			t.Fatalf("%v reads %v, want %v", ref, now, expected[ref])
		}
		differs := c.seen[ref] != nil && !same(c.seen[ref], now)
		switch is := slices.Contains(woken, ref); {
		case differs && !is:
			t.Fatalf("%v was not woken, but its read has changed to %v from %v", ref, now, c.seen[ref])
		case is && !differs && !mayWake[ref]:
			t.Fatalf("%v was woken, but still reads %v", ref, now)
		}
		c.seen[ref] = now
	}
}

func same(a, b any) bool {
	switch x := a.(type) {
	case []model.Selection:
		y, ok := b.([]model.Selection)
		return ok && slices.Equal(x, y)
	case []uint16:
		y, ok := b.([]uint16)
		return ok && slices.Equal(x, y)
	default:
		return false
	}
}

func drawGroup(t *rapid.T) model.Group {
	g := model.Group{Pods: rapid.SampledFrom(groupSelectors).Draw(t, "pods")}
	if rapid.Bool().Draw(t, "by name") {
		g.Namespace = rapid.SampledFrom(groupNamespaces[:2]).Draw(t, "namespace")
	} else {
		g.Namespaces = rapid.SampledFrom(groupSelectors).Draw(t, "namespaces")
	}
	return g
}

func drawPolicy(t *rapid.T, name string) *model.Policy {
	p := &model.Policy{Meta: model.Meta{Name: name}, Kind: model.KindClusterNetworkPolicy, Subject: drawGroup(t)}
	for range rapid.IntRange(0, 2).Draw(t, "rules") {
		rule := model.PolicyRule{Groups: []model.Group{drawGroup(t)}}
		if port := rapid.SampledFrom(groupPorts).Draw(t, "port"); port.Name != "" {
			rule.Ports = []model.PolicyPort{{Protocol: port.Protocol, Name: port.Name}}
		}
		if rapid.Bool().Draw(t, "ingress") {
			p.Ingress.Rules = append(p.Ingress.Rules, rule)
		} else {
			p.Egress.Rules = append(p.Egress.Rules, rule)
		}
	}
	return p
}

func drawPod(t *rapid.T, namespace, name string) *model.Pod {
	pod := &model.Pod{Meta: model.Meta{Namespace: namespace, Name: name}, Labels: rapid.SampledFrom(groupLabels).Draw(t, "labels")}
	for _, port := range groupPorts[1:] {
		if number := rapid.SampledFrom([]uint16{0, 80, 81}).Draw(t, port.Name); number != 0 {
			pod.Ports = append(pod.Ports, model.PolicyPort{Protocol: port.Protocol, Name: port.Name, First: number, Last: number})
		}
	}
	return pod
}

// After any order of creations, changes and deletions, groups contain the pods that their selectors select, named ports
// have the numbers of the pods, and exactly the readers whose groups or numbers changed are woken.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newGroupModel()
		c.look(t, nil, nil)
		t.Repeat(map[string]func(*rapid.T){
			"pod": func(t *rapid.T) {
				namespace, name := rapid.SampledFrom(groupNamespaces).Draw(t, "in"), rapid.SampledFrom(groupPods).Draw(t, "name")
				if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
					c.look(t, c.Pods.Delete(Key{namespace, name}), nil)
					return
				}
				c.look(t, c.Pods.Set(drawPod(t, namespace, name)), nil)
			},
			"namespace": func(t *rapid.T) {
				name := rapid.SampledFrom(groupNamespaces).Draw(t, "name")
				if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
					c.look(t, c.Namespaces.Delete(Key{Name: name}), nil)
					return
				}
				now := &model.Namespace{Meta: model.Meta{Name: name}, Labels: rapid.SampledFrom(groupLabels).Draw(t, "labels")}
				c.look(t, c.Namespaces.Set(now), nil)
			},
			"policy": func(t *rapid.T) {
				table, name := c.Policies[model.KindClusterNetworkPolicy], rapid.SampledFrom([]string{"k", "l", "m"}).Draw(t, "name")
				var changed []model.Selection
				if old, ok := table.Get(Key{Name: name}); ok {
					changed = old.Selections()
				}
				if rapid.IntRange(0, 3).Draw(t, "gone") == 0 {
					c.look(t, table.Delete(Key{Name: name}), changed)
					return
				}
				now := drawPolicy(t, name)
				c.look(t, table.Set(now), append(changed, now.Selections()...))
			},
		})
		c.empty(t)
	})
}

// empty fails the test if state is left without policies.
func (c *groupModel) empty(t *rapid.T) {
	for _, name := range []string{"k", "l", "m"} {
		c.Policies[model.KindClusterNetworkPolicy].Delete(Key{Name: name})
	}
	if x := c.groups; len(x.groups)+len(x.byKey)+len(x.indexes) > 0 {
		t.Fatalf("without policies there are %d groups, %d keys and %d indexes", len(x.groups), len(x.byKey), len(x.indexes))
	}
}
