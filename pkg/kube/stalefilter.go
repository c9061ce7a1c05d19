// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/wovensdn/woven/pkg/model"
)

// confirmTimeout is how long the watch may take to confirm a write of ours before the object is read again.
const confirmTimeout = time.Minute

// staleFilter drops stale versions of objects. Our writes enter the world at once; the watch reports them, and the
// versions before them, later. So for each object with a write under way, or with one that the watch has not confirmed
// yet, staleFilter records the newest version of both sources, and admits only versions that are not older. Resource
// versions of one resource are ordered (KEP-5504). After we have removed an object, any version with its UID is stale.
//
// The methods are pure functions of the state and their arguments. The caller holds a lock from the decision until the
// version is queued, so that both have the same order.
type staleFilter struct {
	objects map[model.Ref]*tracked
}

type tracked struct {
	inflight int       // writes under way
	since    time.Time // of the last write's end
	floor    uint64    // newest version that a write of ours got
	removed  types.UID // of the object that we removed, until the watch reports its deletion
	seen     version   // newest version of the watch since the first write began
}

// version is one version of an object, or its absence.
type version struct {
	rv   uint64 // of the deletion, if gone
	uid  types.UID
	gone bool
	// guessed means that the informer missed the deletion and found the object missing in a list: rv is the last
	// version that it has seen, not that of the deletion.
	guessed bool
}

type decision int

const (
	pass decision = iota
	drop
	verify // read the object
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

// fail ends a write whose response has no object.
func (g *staleFilter) fail(ref model.Ref, now time.Time) {
	if t := g.objects[ref]; t != nil {
		t.inflight--
		t.since = now
		g.forgetConfirmed(ref, t)
	}
}

// wrote ends a write, or a read, that returned this version. An empty UID of a deleted object means any object of that
// name. It reports whether the version is new.
func (g *staleFilter) wrote(ref model.Ref, n version, now time.Time) bool {
	t := g.objects[ref]
	if t == nil {
		return true
	}
	t.inflight--
	t.since = now
	defer g.forgetConfirmed(ref, t)
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
		// A read found no object: this is the newest state unless the watch has reported a version since.
		t.floor, t.removed = 0, ""
		return t.seen.rv == 0 || t.seen.gone
	}
	if t.seen.rv != 0 && (t.seen.gone || t.seen.uid != n.uid) {
		return t.seen.gone // the watch is ahead: it has reported the deletion, or a recreated object
	}
	t.removed = n.uid
	return true
}

// admit decides about a version that the watch reports.
func (g *staleFilter) admit(ref model.Ref, n version) decision {
	t := g.objects[ref]
	if t == nil {
		return pass
	}
	defer g.forgetConfirmed(ref, t)
	switch {
	case n.uid == t.removed && !n.gone:
		return drop
	case n.uid == t.removed:
		// The last versions of the object were dropped, so a guessed version may be older than they are.
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

// forgetConfirmed forgets an object once the watch has caught up with our writes.
func (g *staleFilter) forgetConfirmed(ref model.Ref, t *tracked) {
	if t.inflight == 0 && t.removed == "" && t.seen.rv >= t.floor {
		delete(g.objects, ref)
	}
}

// overdue lists the objects that the watch has not confirmed for too long.
func (g *staleFilter) overdue(now time.Time) []model.Ref {
	var out []model.Ref
	for ref, t := range g.objects {
		if t.inflight == 0 && now.Sub(t.since) > confirmTimeout {
			out = append(out, ref)
		}
	}
	return out
}
