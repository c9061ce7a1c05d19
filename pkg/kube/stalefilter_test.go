// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

var (
	testRef = model.Ref{Kind: model.KindIP, Name: "a.default"}
	epoch   = time.Unix(1_000_000, 0)
)

func TestStaleFilterPassesObjectsWithoutWrites(t *testing.T) {
	g := newStaleFilter()
	for _, n := range []version{{rv: 5, uid: "a"}, {rv: 3, uid: "a"}, {rv: 6, uid: "a", gone: true}} {
		if got := g.admit(testRef, n); got != pass {
			t.Errorf("%+v: %v, want pass", n, got)
		}
	}
	if len(g.objects) != 0 {
		t.Error("the filter tracks an object without writes")
	}
}

func TestStaleFilterOfAWrittenObject(t *testing.T) {
	wrote := func(g *staleFilter, n version) { g.begin(testRef); g.wrote(testRef, n, epoch) }
	tests := map[string]struct {
		before  func(*staleFilter)
		version version
		want    decision
	}{
		"older version":                                    {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 9, uid: "a"}, drop},
		"the written version":                              {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 10, uid: "a"}, pass},
		"later deletion":                                   {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 11, uid: "a", gone: true}, pass},
		"deletion of the previous object":                  {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "b"}) }, version{rv: 9, uid: "a", gone: true}, drop},
		"missing in a list that may be older":              {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 9, uid: "a", gone: true, guessed: true}, verify},
		"a version of the object we removed":               {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 12, uid: "a"}, drop},
		"the deletion of the object we removed":            {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 13, uid: "a", gone: true}, pass},
		"the object we removed is recreated":               {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 14, uid: "b"}, pass},
		"the deletion of a recreated object's predecessor": {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}); wrote(g, version{rv: 20, uid: "b"}) }, version{rv: 13, uid: "a", gone: true}, drop},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newStaleFilter()
			tt.before(g)
			if got := g.admit(testRef, tt.version); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestStaleFilterOfALateResponse(t *testing.T) {
	g := newStaleFilter()
	g.begin(testRef)
	g.admit(testRef, version{rv: 30, uid: "a"})
	g.admit(testRef, version{rv: 33, uid: "a", gone: true})
	if g.wrote(testRef, version{rv: 30, uid: "a"}, epoch) {
		t.Error("the late response to a creation restores a deleted object")
	}
	if len(g.objects) != 0 {
		t.Error("the object is tracked although the watch has caught up")
	}
	g.begin(testRef)
	g.admit(testRef, version{rv: 41, uid: "b"})
	if g.wrote(testRef, version{uid: "a", gone: true}, epoch) {
		t.Error("the late response to a deletion removes the recreated object")
	}
}

func TestStaleFilterListsUnconfirmedWrites(t *testing.T) {
	g := newStaleFilter()
	g.begin(testRef)
	g.wrote(testRef, version{rv: 10, uid: "a"}, epoch)
	if got := g.overdue(epoch.Add(confirmTimeout)); len(got) != 0 {
		t.Errorf("overdue too early: %v", got)
	}
	if got := g.overdue(epoch.Add(confirmTimeout + 1)); len(got) != 1 {
		t.Errorf("overdue: %v", got)
	}
	g.begin(testRef)
	if !g.wrote(testRef, version{gone: true}, epoch) || len(g.objects) != 0 {
		t.Error("an object that a read did not find is still tracked")
	}
}

// For any history of one object, partly written by us, in any interleaving with the watch, the world ends with the
// version of the API server, and never returns to an older version.
func TestStaleFilterConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &fakeServer{t: t, g: newStaleFilter()}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			p.step()
		}
		for len(p.responses)+len(p.watch) > 0 {
			p.deliver()
		}
		if p.world != p.truth {
			t.Fatalf("the world has %+v, the API server has %+v", p.world, p.truth)
		}
		if len(p.g.objects) != 0 {
			t.Fatalf("still tracked: %+v", *p.g.objects[testRef])
		}
	})
}

type state struct {
	uid string
	rv  uint64
}

// fakeServer is an API server with one object name, and with delays of the watch and of responses. Our writes are in
// order, so that at most one response is under way.
type fakeServer struct {
	t         *rapid.T
	g         *staleFilter
	rv        uint64
	uids      int
	truth     state // the zero state is absence
	world     state
	latest    uint64
	watch     []version
	responses []version
}

func (p *fakeServer) step() {
	switch rapid.IntRange(0, 3).Draw(p.t, "step") {
	case 0:
		p.change(false)
	case 1:
		if len(p.responses) == 0 {
			p.g.begin(testRef)
			p.change(true)
		}
	default:
		p.deliver()
	}
}

// change creates, changes or deletes the object, by a write of ours or of another client.
func (p *fakeServer) change(ours bool) {
	p.rv++
	n := version{rv: p.rv, uid: types.UID(p.truth.uid)}
	switch {
	case p.truth.uid == "":
		p.uids++
		p.truth = state{uid: string(rune('a' + p.uids)), rv: p.rv}
		n.uid = types.UID(p.truth.uid)
	case rapid.Bool().Draw(p.t, "delete"):
		p.truth, n.gone = state{}, true
	default:
		p.truth.rv = p.rv
	}
	p.watch = append(p.watch, n)
	if ours {
		if n.gone {
			n.rv = 0 // the response to a deletion has no resource version
		}
		p.responses = append(p.responses, n)
	}
}

func (p *fakeServer) deliver() {
	fromWatch := len(p.watch) > 0 && (len(p.responses) == 0 || rapid.Bool().Draw(p.t, "watch"))
	if fromWatch {
		n := p.watch[0]
		p.watch = p.watch[1:]
		if p.g.admit(testRef, n) == pass {
			p.apply(n)
		}
	} else if len(p.responses) > 0 {
		n := p.responses[0]
		p.responses = p.responses[1:]
		if p.g.wrote(testRef, n, epoch) {
			p.apply(n)
		}
	}
}

func (p *fakeServer) apply(n version) {
	if n.gone {
		p.world = state{}
		return
	}
	if n.rv < p.latest {
		p.t.Fatalf("version %d after version %d", n.rv, p.latest)
	}
	p.latest = n.rv
	p.world = state{uid: string(n.uid), rv: n.rv}
}
