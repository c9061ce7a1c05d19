// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"
)

func parse(t testing.TB, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEqualSelectorsHaveEqualNames(t *testing.T) {
	for _, equal := range [][]string{
		{"a=b", "a==b", "a in (b)", "a in (b,b)", "a=b,a=b"},
		{"a!=b", "a notin (b)"},
		{"a=b,c", "c,a=b"},
		{"a in (x,y)", "a in (y,x)"},
	} {
		for _, text := range equal {
			if Name(parse(t, text)) != Name(parse(t, equal[0])) {
				t.Errorf("%q and %q have different names", equal[0], text)
			}
		}
	}
	seen := map[string]string{}
	for _, text := range []string{"", "a", "!a", "a=b", "a!=b", "a=", "a in (b,c)", "a=b,a=c", "a>1", "a<1"} {
		name := Name(parse(t, text))
		if other, ok := seen[name]; ok || len(name) != 32 {
			t.Errorf("%q and %q share name %q", text, other, name)
		}
		seen[name] = text
	}
	if other, ok := seen[Name(labels.Nothing())]; ok {
		t.Errorf("labels.Nothing() and %q share a name", other)
	}
}

func TestDeltas(t *testing.T) {
	x := New()
	steps := []struct {
		name string
		do   func() Delta
		want Delta
	}{
		{"first object", func() Delta { return x.SetObject("p", map[string]string{"app": "a"}) }, Delta{}},
		{"selector of it", func() Delta { return x.SetSelector("s", parse(t, "app=a")) }, Delta{Added: []Match{{"s", "p"}}}},
		{"equal selector", func() Delta { return x.SetSelector("same", parse(t, "app in (a)")) }, Delta{Added: []Match{{"same", "p"}}}},
		{"set again", func() Delta { return x.SetSelector("s", parse(t, "app==a")) }, Delta{}},
		{"second object", func() Delta { return x.SetObject("q", map[string]string{"app": "a", "x": "1"}) }, Delta{Added: []Match{{"s", "q"}, {"same", "q"}}}},
		{"same labels", func() Delta { return x.SetObject("q", map[string]string{"app": "a", "x": "1"}) }, Delta{}},
		{"other label", func() Delta { return x.SetObject("q", map[string]string{"app": "a", "x": "2"}) }, Delta{}},
		{"moved away", func() Delta { return x.SetObject("p", map[string]string{"app": "b"}) }, Delta{Removed: []Match{{"s", "p"}, {"same", "p"}}}},
		{"selector moved", func() Delta { return x.SetSelector("s", parse(t, "app")) }, Delta{Added: []Match{{"s", "p"}}}},
		{"nothing", func() Delta { return x.SetSelector("same", labels.Nothing()) }, Delta{Removed: []Match{{"same", "q"}}}},
		{"everything", func() Delta { return x.SetSelector("same", labels.Everything()) }, Delta{Added: []Match{{"same", "p"}, {"same", "q"}}}},
		{"object gone", func() Delta { return x.DeleteObject("q") }, Delta{Removed: []Match{{"s", "q"}, {"same", "q"}}}},
		{"object gone twice", func() Delta { return x.DeleteObject("q") }, Delta{}},
		{"selector gone", func() Delta { return x.DeleteSelector("s") }, Delta{Removed: []Match{{"s", "p"}}}},
		{"selector gone twice", func() Delta { return x.DeleteSelector("s") }, Delta{}},
	}
	for _, step := range steps {
		if diff := gocmp.Diff(step.want, step.do()); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	x.DeleteSelector("same")
	x.DeleteObject("p")
	if n := len(x.ids) + len(x.groups) + len(x.objects) + len(x.byLabel) + len(x.byAnchor) + len(x.byKey) + len(x.unanchored); n != 0 {
		t.Errorf("%d entries remain in an empty index: %+v", n, x)
	}
}

// Groups that require other values of the same label are not candidates.
func TestChangesEvaluateFewGroups(t *testing.T) {
	x := New()
	for i := range 1000 {
		x.SetSelector(fmt.Sprint(i), parse(t, fmt.Sprintf("tier,app=a%d,env!=test", i)))
	}
	if got := len(x.candidates(map[string]string{"app": "a7", "tier": "x", "other": "y"})); got != 1 {
		t.Errorf("%d groups are candidates, want 1", got)
	}
}

var (
	drawText = rapid.SampledFrom([]string{
		"", "a", "!a", "a=1", "a!=1", "a in (1,2)", "a notin (1,2)", "b=1", "a=1,b=2", "a,b", "!a,!b", "a=1,b!=1",
		"c>1", "c<2", "a=1,a=2", "b in (1,2),a", "a==1", "a in (1)",
	})
	drawLabels = rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"1", "2", "3"}), 0, 3)
	drawName   = rapid.Map(rapid.IntRange(0, 5), func(i int) string { return fmt.Sprint(i) })
)

// naive matches every selector with every object.
type naive struct {
	selectors map[string]labels.Selector
	objects   map[string]labels.Set
}

func (n naive) matches() map[Match]bool {
	out := map[Match]bool{}
	for id, s := range n.selectors {
		for key, set := range n.objects {
			if s.Matches(set) {
				out[Match{id, key}] = true
			}
		}
	}
	return out
}

func TestIndexEqualsNaiveMatching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, n := New(), naive{map[string]labels.Selector{}, map[string]labels.Set{}}
		sum := map[Match]bool{} // the sum of the deltas
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var d Delta
			name := drawName.Draw(t, "name")
			switch rapid.IntRange(0, 5).Draw(t, "action") {
			case 0, 1:
				s, err := labels.Parse(drawText.Draw(t, "selector"))
				if err != nil {
					t.Fatal(err)
				}
				d, n.selectors[name] = x.SetSelector(name, s), s
			case 2, 3:
				set := drawLabels.Draw(t, "labels")
				d, n.objects[name] = x.SetObject(name, set), set
			case 4:
				d = x.DeleteSelector(name)
				delete(n.selectors, name)
			case 5:
				d = x.DeleteObject(name)
				delete(n.objects, name)
			}
			apply(t, sum, d)
			want := n.matches()
			if diff := gocmp.Diff(want, sum); diff != "" {
				t.Fatalf("the sum of the deltas differs from the matches:\n%s", diff)
			}
			checkReads(t, x, n, want)
		}
	})
}

func apply(t *rapid.T, sum map[Match]bool, d Delta) {
	for _, m := range d.Removed {
		if !sum[m] {
			t.Fatalf("%v was removed but never added", m)
		}
		delete(sum, m)
	}
	for _, m := range d.Added {
		if sum[m] {
			t.Fatalf("%v was added twice", m)
		}
		sum[m] = true
	}
}

func checkReads(t *rapid.T, x *Index, n naive, want map[Match]bool) {
	matches := slices.Collect(maps.Keys(want))
	for id := range n.selectors {
		var objects []string
		for _, m := range matches {
			if m.Selector == id {
				objects = append(objects, m.Object)
			}
		}
		slices.Sort(objects)
		if got := x.Objects(id); !slices.Equal(got, objects) {
			t.Fatalf("selector %s has %v, want %v", id, got, objects)
		}
	}
	for key := range n.objects {
		var ids []string
		for _, m := range matches {
			if m.Object == key {
				ids = append(ids, m.Selector)
			}
		}
		slices.Sort(ids)
		if got := x.Selectors(key); !slices.Equal(got, ids) {
			t.Fatalf("object %s has %v, want %v", key, got, ids)
		}
	}
}

// BenchmarkSetObject relabels one of 100,000 objects with 10,000 selectors.
func BenchmarkSetObject(b *testing.B) {
	x := New()
	for i := range 10_000 {
		x.SetSelector(fmt.Sprint(i), parse(b, fmt.Sprintf("app=a%d,tier", i)))
	}
	object := func(app int) map[string]string {
		return map[string]string{"app": fmt.Sprint("a", app), "tier": "x", "pod-template-hash": fmt.Sprint(app)}
	}
	for i := range 100_000 {
		x.SetObject(fmt.Sprint(i), object(i%10_000))
	}
	sets := []map[string]string{object(1), object(2)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.SetObject("7", sets[i%2])
	}
}
