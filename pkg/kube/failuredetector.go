// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/model"
)

const (
	// maxBeats limits the number of renewals that a Lease's duration stands for.
	maxBeats = model.HeartbeatStoppedSeconds
	// beatsToReturn is how many renewals bring a lost node back.
	beatsToReturn = 2
	// maxPause is the longest time between two renewals of one node that is no interruption: one request, with its
	// timeout of one second, may fail.
	maxPause = 2250 * time.Millisecond
)

// failureDetector decides which gateway nodes are alive, from the renewals of their Leases in the order in which the
// API server has stored them.
//
// A node is lost when, since its last renewal, another node has renewed as often as the duration of the lost node's
// Lease has seconds. All these renewals are of the same other node, and each follows an earlier one without
// interruption. The lost node is back with its second renewal in time.
//
// So a node is compared with its peers and not with a clock. A cause that stops all of them, such as an API server that
// is down, slow or restarted, or a controller that was paused, makes no node lost: nothing was renewed meanwhile. After
// an interruption each node starts counting again, so that it does not matter which renewal arrives first. If a watch
// skips versions after it was interrupted, the last version counts as one renewal, and as an interruption. The only
// clock is that of the node that renews, and only differences between its own times count.
//
// A node without peers is never lost; no other node could replace it. The methods are pure functions of the state and
// their arguments.
type failureDetector struct {
	seq   uint64 // number of the last renewal of any node
	nodes map[string]*member
}

// member is the state of a node, from its renewals.
type member struct {
	need  int              // how many renewals of another node make this one lost
	last  uint64           // number of its last renewal
	at    time.Time        // time of its last renewal, by the node's own clock
	row   int              // number of its latest renewals that each followed another one without interruption
	beats [maxBeats]uint64 // sequence numbers of these, the last one first
	lost  bool
	again int // renewals since it was lost, each in time
}

// transition means that a node is lost, or back.
type transition struct {
	node string
	lost bool
}

func newFailureDetector() *failureDetector { return &failureDetector{nodes: map[string]*member{}} }

// renewed processes a renewal, or a Lease that is seen for the first time. seconds is the Lease's duration.
func (p *failureDetector) renewed(node string, at time.Time, seconds int) (out []transition) {
	me := p.nodes[node]
	if me == nil {
		me = &member{}
		p.nodes[node] = me
	}
	p.seq++
	me.beat(p.seq, at)
	me.need = min(max(seconds, model.HeartbeatSeconds), maxBeats)
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

// gone processes the deletion of a Lease: its node is no longer monitored.
func (p *failureDetector) gone(node string) (out []transition) {
	if me := p.nodes[node]; me != nil && me.lost {
		out = append(out, transition{node: node})
	}
	delete(p.nodes, node)
	return out
}

func (me *member) beat(seq uint64, at time.Time) {
	if pause := at.Sub(me.at); pause < 0 || pause > maxPause {
		me.row = -1
	}
	me.row = min(me.row+1, len(me.beats))
	me.last, me.at = seq, at
	copy(me.beats[1:], me.beats[:len(me.beats)-1])
	me.beats[0] = seq
}

// ago is the sequence number of the n-th last renewal; 0 if there was an interruption since.
func (me *member) ago(n int) uint64 {
	if n > me.row {
		return 0
	}
	return me.beats[n-1]
}
