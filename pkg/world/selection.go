package world

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/selector"
)

// indexSelected is read for the subnets whose namespaceSelectors select a namespace.
const indexSelected = "selected"

// selection knows which subnets select which namespaces, by label. A change of
// either wakes the readers of just the namespaces that were won or lost.
type selection struct {
	index   *selector.Index // ids are subnet and number of the selector, objects are namespaces
	readers *readers
}

func newSelection(w *World) *selection {
	s := &selection{index: selector.New(), readers: &w.readers}
	w.Subnets.changing = append(w.Subnets.changing, s.subnet)
	w.Namespaces.changing = append(w.Namespaces.changing, s.namespace)
	return s
}

func (s *selection) subnet(name string, old, now *model.Subnet) []model.Ref {
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
			parsed = labels.Nothing() // not the text that model writes
		}
		woken = append(woken, s.wake(s.index.SetSelector(selectorID(name, i), parsed))...)
	}
	for i := len(after); i < len(before); i++ {
		woken = append(woken, s.wake(s.index.DeleteSelector(selectorID(name, i)))...)
	}
	return woken
}

func (s *selection) namespace(name string, _, now *model.Namespace) []model.Ref {
	if now == nil {
		return s.wake(s.index.DeleteObject(name))
	}
	return s.wake(s.index.SetObject(name, now.Labels))
}

func (s *selection) wake(d selector.Delta) []model.Ref {
	var woken []model.Ref
	for _, matches := range [][]selector.Match{d.Added, d.Removed} {
		for _, m := range matches {
			woken = append(woken, s.readers.of(dep{model.KindSubnet, indexSelected, m.Object})...)
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
