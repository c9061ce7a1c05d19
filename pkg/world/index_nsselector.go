// SPDX-License-Identifier: Apache-2.0

package world

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/selector"
)

// indexSelected is the index of the subnets whose namespaceSelectors select a namespace.
const indexSelected = "selected"

// selection records which subnets select which namespaces by label. A change of a subnet or a namespace wakes only the
// readers of the namespaces that are newly, or no longer, selected.
type selection struct {
	index   *selector.Index // ids are subnet and number of the selector, objects are namespaces
	readers *readers
}

func newSelection(w *World) *selection {
	s := &selection{index: selector.New(), readers: &w.readers}
	w.Subnets.listeners = append(w.Subnets.listeners, s.subnet)
	w.Namespaces.listeners = append(w.Namespaces.listeners, s.namespace)
	return s
}

func (s *selection) subnet(key Key, old, now *model.Subnet) []model.Ref {
	var before, after []string
	if old != nil {
		before = old.NamespaceSelectors
	}
	if now != nil {
		after = now.NamespaceSelectors
	}
	var woken []model.Ref
	for i, text := range after {
		parsed, err := labels.Parse(text)
		if err != nil {
			parsed = labels.Nothing() // model validates selectors
		}
		woken = append(woken, s.wake(s.index.SetSelector(selectorID(key.Name, i), parsed))...)
	}
	for i := len(after); i < len(before); i++ {
		woken = append(woken, s.wake(s.index.DeleteSelector(selectorID(key.Name, i)))...)
	}
	return woken
}

func (s *selection) namespace(key Key, _, now *model.Namespace) []model.Ref {
	if now == nil {
		return s.wake(s.index.DeleteObject(key.Name))
	}
	return s.wake(s.index.SetObject(key.Name, now.Labels))
}

func (s *selection) wake(d selector.Delta) []model.Ref {
	var woken []model.Ref
	for _, matches := range [][]selector.Match{d.Added, d.Removed} {
		for _, m := range matches {
			woken = append(woken, s.readers.of(s.readers.dep(model.KindSubnet, indexSelected, Key{Name: m.Object}))...)
		}
	}
	return woken
}

// subnets lists the subnets that select a namespace; one may be listed twice.
func (s *selection) subnets(namespace string) []string {
	ids := s.index.Selectors(namespace)
	for i, id := range ids {
		ids[i], _, _ = strings.Cut(id, "/")
	}
	return ids
}

func selectorID(subnet string, i int) string { return subnet + "/" + strconv.Itoa(i) }
