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

func TestGuardKnowsNothingOfObjectsWithoutWrites(t *testing.T) {
	g := newStaleFilter()
	for _, n := range []version{{rv: 5, uid: "a"}, {rv: 3, uid: "a"}, {rv: 6, uid: "a", gone: true}} {
		if got := g.admit(testRef, n); got != pass {
			t.Errorf("%+v: %v, want pass", n, got)
		}
	}
	if len(g.objects) != 0 {
		t.Error("it remembers something")
	}
}

func TestGuardOfAWrittenObject(t *testing.T) {
	wrote := func(g *staleFilter, n version) { g.begin(testRef); g.wrote(testRef, n, epoch) }
	tests := map[string]struct {
		before  func(*staleFilter)
		version version
		want    decision
	}{
		"older version":                         {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 9, uid: "a"}, drop},
		"the written version":                   {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 10, uid: "a"}, pass},
		"later deletion":                        {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 11, uid: "a", gone: true}, pass},
		"deletion of the predecessor":           {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "b"}) }, version{rv: 9, uid: "a", gone: true}, drop},
		"a list lacks it, which may be older":   {func(g *staleFilter) { wrote(g, version{rv: 10, uid: "a"}) }, version{rv: 9, uid: "a", gone: true, guessed: true}, verify},
		"what we removed lives":                 {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 12, uid: "a"}, drop},
		"what we removed is gone":               {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 13, uid: "a", gone: true}, pass},
		"a namesake of what we removed":         {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}) }, version{rv: 14, uid: "b"}, pass},
		"removed, made anew: the first is gone": {func(g *staleFilter) { wrote(g, version{uid: "a", gone: true}); wrote(g, version{rv: 20, uid: "b"}) }, version{rv: 13, uid: "a", gone: true}, drop},
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

func TestGuardOfAnAnswerThatComesLate(t *testing.T) {
	g := newStaleFilter()
	g.begin(testRef)
	g.admit(testRef, version{rv: 30, uid: "a"})
	g.admit(testRef, version{rv: 33, uid: "a", gone: true})
	if g.wrote(testRef, version{rv: 30, uid: "a"}, epoch) {
		t.Error("an object that was seen deleted is resurrected by the answer to its creation")
	}
	if len(g.objects) != 0 {
		t.Error("it is not forgotten although the watch has caught up")
	}
	g.begin(testRef)
	g.admit(testRef, version{rv: 41, uid: "b"})
	if g.wrote(testRef, version{uid: "a", gone: true}, epoch) {
		t.Error("a namesake that the watch has brought is removed by the answer to the removal of its predecessor")
	}
}

func TestGuardHasUnconfirmedWritesLookedUp(t *testing.T) {
	g := newStaleFilter()
	g.begin(testRef)
	g.wrote(testRef, version{rv: 10, uid: "a"}, epoch)
	if got := g.overdue(epoch.Add(settleTime)); len(got) != 0 {
		t.Errorf("overdue too early: %v", got)
	}
	if got := g.overdue(epoch.Add(settleTime + 1)); len(got) != 1 {
		t.Errorf("overdue: %v", got)
	}
	g.begin(testRef)
	if !g.wrote(testRef, version{gone: true}, epoch) || len(g.objects) != 0 {
		t.Error("an object that a read did not find is not given up")
	}
}

// TestGuardConverges plays a history of one object, some of it written by us,
// in any interleaving with the watch: what the world believes in the end is what
// is there, and it never goes back to an older version.
func TestGuardConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &play{t: t, g: newStaleFilter()}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			p.step()
		}
		for len(p.answers)+len(p.watch) > 0 {
			p.deliver()
		}
		if p.world != p.truth {
			t.Fatalf("the world believes %+v, there is %+v", p.world, p.truth)
		}
		if len(p.g.objects) != 0 {
			t.Fatalf("not forgotten: %+v", *p.g.objects[testRef])
		}
	})
}

type state struct {
	uid string
	rv  uint64
}

// play is an API server with one name, a watch that lags, and answers that lag.
// Our writes are in order, so that there is one answer at most.
type play struct {
	t       *rapid.T
	g       *staleFilter
	rv      uint64
	uids    int
	truth   state // the zero state is absence
	world   state
	latest  uint64
	watch   []version
	answers []version
}

func (p *play) step() {
	switch rapid.IntRange(0, 3).Draw(p.t, "step") {
	case 0:
		p.change(false)
	case 1:
		if len(p.answers) == 0 {
			p.g.begin(testRef)
			p.change(true)
		}
	default:
		p.deliver()
	}
}

// change creates, changes or deletes the object, by us or by others.
func (p *play) change(ours bool) {
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
			n.rv = 0 // the answer to a deletion does not tell
		}
		p.answers = append(p.answers, n)
	}
}

func (p *play) deliver() {
	fromWatch := len(p.watch) > 0 && (len(p.answers) == 0 || rapid.Bool().Draw(p.t, "watch"))
	if fromWatch {
		n := p.watch[0]
		p.watch = p.watch[1:]
		if p.g.admit(testRef, n) == pass {
			p.believe(n)
		}
	} else if len(p.answers) > 0 {
		n := p.answers[0]
		p.answers = p.answers[1:]
		if p.g.wrote(testRef, n, epoch) {
			p.believe(n)
		}
	}
}

func (p *play) believe(n version) {
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
