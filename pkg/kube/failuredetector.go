package kube

import (
	"cmp"
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/model"
)

const (
	// mostBeats bounds what a Lease's duration may ask for.
	mostBeats = model.HeartbeatStoppedSeconds
	// beatsToReturn is how many signs of life bring a lost node back.
	beatsToReturn = 2
	// unbroken is the longest time between two renewals of one node that counts as
	// no interruption: one request of a second's patience may fail.
	unbroken = 2250 * time.Millisecond
)

// failureDetector judges which gateway nodes live, from the renewals of their Leases in
// the order in which the API server has stored them.
//
// A node is lost when, since its last renewal, one and the same other node was
// seen to renew as often as the lost node's Lease lasts in seconds. Only renewals
// count that follow an earlier one of that other node without interruption. The
// lost node is back with its second renewal that comes in time.
//
// So a node is measured by its peers and not by a clock. What stops all of them,
// such as an API server that is away, slow or restarted, or a controller that was
// itself stopped, is the death of none: nothing was renewed meanwhile. After an
// interruption each node begins to prove others lost anew, so that it does not
// matter whose renewal comes first. Of several versions that a watch leaves out
// after it broke, the last counts as one renewal, and as an interruption. The
// only clock is that of the node that renews, and only differences of its own times count.
//
// A node without another one to measure it is never lost; nobody could take its
// place. All methods are pure but for the state.
type failureDetector struct {
	seq   uint64 // number of the last renewal of any node
	nodes map[string]*member
}

// member is a node as its renewals tell of it.
type member struct {
	need  int               // so many renewals of another node make this one lost
	last  uint64            // number of its last renewal
	at    time.Time         // of that renewal, by the node's own clock
	row   int               // its latest renewals that each followed another one without interruption
	beats [mostBeats]uint64 // numbers of these, the last one first
	lost  bool
	again int // renewals since it was lost, each in time
}

// transition is a change of the verdict on a node.
type transition struct {
	node string
	lost bool
}

func newFailureDetector() *failureDetector { return &failureDetector{nodes: map[string]*member{}} }

// renewed takes a renewal, or a Lease that is seen for the first time. seconds
// is the Lease's duration.
func (p *failureDetector) renewed(node string, at time.Time, seconds int) (out []transition) {
	me := p.nodes[node]
	if me == nil {
		me = &member{}
		p.nodes[node] = me
	}
	p.seq++
	me.beat(p.seq, at)
	me.need = min(max(seconds, model.HeartbeatSeconds), mostBeats)
	if me.lost {
		me.again++
		me.lost = me.again < beatsToReturn
		if !me.lost {
			out = append(out, transition{node: node})
		}
	}
	for name, other := range p.nodes {
		if name == node || me.ago(other.need) <= other.last {
			continue
		}
		other.again = 0
		if !other.lost {
			other.lost = true
			out = append(out, transition{node: name, lost: true})
		}
	}
	slices.SortFunc(out, func(a, b transition) int { return cmp.Compare(a.node, b.node) })
	return out
}

// gone takes the end of a Lease: its node is not judged any more.
func (p *failureDetector) gone(node string) (out []transition) {
	if me := p.nodes[node]; me != nil && me.lost {
		out = append(out, transition{node: node})
	}
	delete(p.nodes, node)
	return out
}

func (me *member) beat(seq uint64, at time.Time) {
	if pause := at.Sub(me.at); pause < 0 || pause > unbroken {
		me.row = -1
	}
	me.row = min(me.row+1, len(me.beats))
	me.last, me.at = seq, at
	copy(me.beats[1:], me.beats[:len(me.beats)-1])
	me.beats[0] = seq
}

// ago is the number of the n-th last renewal; 0 if there was an interruption since.
func (me *member) ago(n int) uint64 {
	if n > me.row {
		return 0
	}
	return me.beats[n-1]
}
