package kube

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wovensdn/woven/pkg/model"
)

// settleTime is how long the watch may take to confirm a write of ours before
// the object is read to find out.
const settleTime = time.Minute

// staleFilter keeps stale versions away from the world. What we write enters the world at
// once; the watch tells the same, and what was before it, later. So for each
// object with a write under way, or one that the watch has not confirmed yet,
// staleFilter knows the newest version of either source, and admits only news that is
// not older. Resource versions of one resource are ordered (KEP-5504); of an
// object that we removed, any news of the same UID is stale.
//
// All methods are pure but for the state; the caller holds a lock across the
// decision and the handing over, so that the order of both is the same.
type staleFilter struct {
	objects map[model.Ref]*tracked
}

type tracked struct {
	inflight int       // writes under way
	since    time.Time // of the last write's end
	floor    uint64    // newest version that a write of ours got
	removed  types.UID // incarnation that we removed, until the watch says so too
	seen     version   // newest that the watch brought since the first write began
}

// version is one version of an object, or its absence.
type version struct {
	rv   uint64 // of the deletion, if gone
	uid  types.UID
	gone bool
	// guessed: the informer noticed the absence in a list; rv is the last
	// version that it had seen, not that of the deletion.
	guessed bool
}

type decision int

const (
	pass decision = iota
	drop
	verify // read the object to find out
)

func newStaleFilter() *staleFilter { return &staleFilter{objects: map[model.Ref]*tracked{}} }

// begin announces a write.
func (g *staleFilter) begin(ref model.Ref) {
	t := g.objects[ref]
	if t == nil {
		t = &tracked{}
		g.objects[ref] = t
	}
	if t.inflight == 0 {
		t.seen = version{}
	}
	t.inflight++
}

// fail ends a write that left nothing known.
func (g *staleFilter) fail(ref model.Ref, now time.Time) {
	if t := g.objects[ref]; t != nil {
		t.inflight--
		t.since = now
		g.settle(ref, t)
	}
}

// wrote ends a write (or a read) that found the object in this state. An empty
// UID of a gone object means any incarnation. It reports whether that is news.
func (g *staleFilter) wrote(ref model.Ref, n version, now time.Time) bool {
	t := g.objects[ref]
	if t == nil {
		return true
	}
	t.inflight--
	t.since = now
	defer g.settle(ref, t)
	if n.gone {
		return t.wroteGone(n)
	}
	if t.seen.rv > n.rv || t.floor > n.rv {
		return false
	}
	t.floor, t.removed = n.rv, ""
	return true
}

func (t *tracked) wroteGone(n version) bool {
	if n.uid == "" {
		// A read found nothing: true unless the watch has since brought something.
		t.floor, t.removed = 0, ""
		return t.seen.rv == 0 || t.seen.gone
	}
	if t.seen.rv != 0 && (t.seen.gone || t.seen.uid != n.uid) {
		return t.seen.gone // the watch is ahead: it told already, or a namesake exists
	}
	t.removed = n.uid
	return true
}

// admit judges what the watch brings.
func (g *staleFilter) admit(ref model.Ref, n version) decision {
	t := g.objects[ref]
	if t == nil {
		return pass
	}
	defer g.settle(ref, t)
	switch {
	case n.uid == t.removed && !n.gone:
		return drop
	case n.uid == t.removed:
		// Its last versions were dropped, so that a guess may be older than they are.
		n.rv = max(n.rv, t.floor)
	case n.rv < t.floor && n.guessed:
		return verify
	case n.rv < t.floor:
		return drop
	}
	t.removed = ""
	t.seen = n
	return pass
}

// settle forgets an object once the watch has caught up with our writes.
func (g *staleFilter) settle(ref model.Ref, t *tracked) {
	if t.inflight == 0 && t.removed == "" && t.seen.rv >= t.floor {
		delete(g.objects, ref)
	}
}

// overdue lists the objects that the watch has not confirmed for too long.
func (g *staleFilter) overdue(now time.Time) []model.Ref {
	var out []model.Ref
	for ref, t := range g.objects {
		if t.inflight == 0 && now.Sub(t.since) > settleTime {
			out = append(out, ref)
		}
	}
	return out
}
