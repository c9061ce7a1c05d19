// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// step is a renewal by a node, at seconds after the start, of a Lease of the given duration in seconds; a negative
// duration means that the Lease is deleted.
type step struct {
	node     string
	at       float64
	duration int
}

func seconds(s float64) time.Time {
	return time.Unix(1e9, 0).Add(time.Duration(s * float64(time.Second)))
}

// beats are renewals once a second, of a Lease of 4 s.
func beats(node string, from, count int) (out []step) {
	for i := range count {
		out = append(out, step{node, float64(from + i), 4})
	}
	return out
}

func TestFailureDetector(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"alone", beats("a", 0, 100), nil},
		{"not lost after three renewals of another node", slices.Concat(beats("b", 0, 1), beats("a", 0, 1), beats("b", 1, 3)), nil},
		{"lost after four", slices.Concat(beats("b", 0, 1), beats("a", 0, 1), beats("b", 1, 4)), []string{"a lost at 5"}},
		{"renewals of different nodes are not added", slices.Concat(beats("b", 0, 1), beats("c", 0, 1), beats("a", 0, 1), beats("b", 1, 3), beats("c", 1, 3)), nil},
		{"the first renewal does not count", slices.Concat(beats("a", 0, 1), beats("b", 1, 4)), nil},
		{"renewals before the node's own last one do not count", slices.Concat(beats("a", 0, 1), beats("b", 0, 4), beats("a", 3, 1), beats("b", 4, 3)), nil},
		{"one transition for one loss", slices.Concat(beats("a", 0, 1), beats("b", 0, 50)), []string{"a lost at 5"}},
		{"a longer Lease", slices.Concat([]step{{"a", 0, 60}}, beats("b", 0, 62)), []string{"a lost at 61"}},
		{"no Lease is longer than a minute", slices.Concat([]step{{"a", 0, 1e6}}, beats("b", 0, 62)), []string{"a lost at 61"}},
		{"no Lease is shorter than four seconds", slices.Concat([]step{{"a", 0, 1}}, beats("b", 0, 4)), nil},
		{"one renewal does not bring it back", slices.Concat(beats("a", 0, 1), beats("b", 0, 6), beats("a", 6, 1), beats("b", 6, 3)), []string{"a lost at 5"}},
		{"two renewals bring it back", slices.Concat(beats("a", 0, 1), beats("b", 0, 6), beats("a", 6, 1), beats("b", 6, 3), beats("a", 7, 1)), []string{"a lost at 5", "a back at 11"}},
		{"two renewals with a pause do not", slices.Concat(beats("a", 0, 1), beats("b", 0, 6), beats("a", 6, 1), beats("b", 6, 4), beats("a", 7, 1)), []string{"a lost at 5"}},
		{"a deleted Lease is not monitored", slices.Concat(beats("a", 0, 1), beats("b", 0, 6), []step{{"a", 0, -1}}, beats("b", 6, 5)), []string{"a lost at 5", "a back at 7"}},
		{"no transition for a Lease that is deleted in time", slices.Concat(beats("a", 0, 1), []step{{"a", 0, -1}}, beats("b", 5, 6)), nil},
		{"a pause of the other node restarts the count", slices.Concat(beats("a", 0, 1), beats("b", 0, 4), beats("b", 6, 4)), nil},
		{"lost after a restarted count", slices.Concat(beats("a", 0, 1), beats("b", 0, 4), beats("b", 6, 5)), []string{"a lost at 9"}},
		{"a clock that is set back is a pause", slices.Concat(beats("a", 0, 1), beats("b", 10, 4), beats("b", 0, 4)), nil},
		{"one failed request is no pause", slices.Concat(beats("a", 0, 1), []step{{"b", 0, 4}, {"b", 1, 4}, {"b", 3.1, 4}, {"b", 4.1, 4}, {"b", 5.1, 4}}), []string{"a lost at 5"}},
		{"two nodes fail", slices.Concat(beats("a", 0, 1), beats("b", 0, 1), beats("c", 0, 5)), []string{"a lost at 6", "b lost at 6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, got := newFailureDetector(), []string(nil)
			for i, s := range c.steps {
				detect := p.gone
				if s.duration >= 0 {
					detect = func(node string) []transition { return p.renewed(node, seconds(s.at), s.duration) }
				}
				for _, v := range detect(s.node) {
					got = append(got, fmt.Sprintf("%s %s at %d", v.node, map[bool]string{true: "lost", false: "back"}[v.lost], i))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// cluster simulates nodes that renew like pkg/node: once a second; a request without a response within a second is
// cancelled, and followed by the next.
type cluster struct {
	next map[string]float64 // when a node begins its next request
	away [][2]float64       // when the API server does not respond
	slow map[string]float64 // how long a node needs to reach it again afterwards
	dead map[string]float64 // when a node stops renewing
}

// stored is when the API server stores a node's request of this time; false if the node cancels it before. After a long
// outage, one node recovers later than another.
func (c *cluster) stored(node string, at float64) (float64, bool) {
	for _, w := range c.away {
		if at >= w[0] && at < w[1] {
			return w[1], at+1 >= w[1]
		}
		if w[1]-w[0] > maxPause.Seconds()+1 && at >= w[1] && at < w[1]+c.slow[node] {
			return 0, false
		}
	}
	return at, true
}

// No outage of the API server, which affects all nodes alike, makes a node lost, provided that the API server then
// works for the 3 s that the slowest node needs to recover. A node that fails while the API server works is lost.
func TestFailureDetectorWithOutages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{next: map[string]float64{}, dead: map[string]float64{}, slow: map[string]float64{}}
		for i := range rapid.IntRange(2, 6).Draw(t, "nodes") {
			name := fmt.Sprint("n", i)
			c.next[name] = rapid.Float64Range(0, 1).Draw(t, "phase")
			c.slow[name] = rapid.Float64Range(0, 1.5).Draw(t, "slow")
		}
		last := 0.0
		for last < 60 {
			from := last + rapid.Float64Range(3, 20).Draw(t, "works")
			last = from + rapid.Float64Range(0, 15).Draw(t, "away")
			c.away = append(c.away, [2]float64{from, last})
		}
		dies := rapid.Bool().Draw(t, "dies")
		if dies {
			c.dead["n0"] = last + 5
		}
		got := c.run(last+30, func() float64 { return rapid.Float64Range(1, 1.1).Draw(t, "period") })
		switch {
		case !dies && len(got) > 0:
			t.Fatalf("transitions without a failed node: %v, API server unreachable at %v", got, c.away)
		case dies && (len(got) != 1 || got[0] != transition{"n0", true}):
			t.Fatalf("transitions after n0 failed: %v, API server unreachable at %v", got, c.away)
		}
	})
}

// arrival is a renewal that the API server has stored.
type arrival struct {
	stored, stamped float64
	node            string
}

func (c *cluster) run(until float64, period func() float64) (out []transition) {
	var all []arrival
	for _, node := range slices.Sorted(maps.Keys(c.next)) {
		at := c.next[node]
		for at < until && (c.dead[node] == 0 || at < c.dead[node]) {
			stored, ok := c.stored(node, at)
			if !ok {
				at++
				continue
			}
			all = append(all, arrival{stored: stored, stamped: at, node: node})
			at = max(stored, at+period())
		}
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.stored, b.stored) })
	p := newFailureDetector()
	for _, a := range all {
		out = append(out, p.renewed(a.node, seconds(a.stamped), 4)...)
	}
	return out
}
