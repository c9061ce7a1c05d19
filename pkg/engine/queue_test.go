// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// The keys of the tests: rows of early and late tables, and elements, some of which refer to late rows.
var (
	queueRows = func() (refs []fact.Ref) {
		for _, table := range []string{
			nb.LogicalSwitchTable, nb.AddressSetTable, nb.PortGroupTable, nb.ACLTable, nb.LogicalSwitchPortTable, nb.LogicalRouterPolicyTable,
		} {
			for i := range 3 {
				refs = append(refs, fact.RefTo(table, fmt.Sprint(i)))
			}
		}
		return refs
	}()
	queueMembers = func() (keys []key) {
		for i := range 2 {
			set, group := fact.RefTo(nb.AddressSetTable, fmt.Sprint(i)), fact.RefTo(nb.PortGroupTable, fmt.Sprint(i))
			for j := range 3 {
				keys = append(keys, key{Ref: set, Column: "addresses", Value: fmt.Sprint("10.0.0.", j)},
					key{Ref: group, Column: "ports", Value: fact.RefTo(nb.LogicalSwitchPortTable, fmt.Sprint(j)).UUID})
			}
		}
		return keys
	}()
)

// naive is a queue that evaluates all keys each time: the queued keys, with whether they were wanted when they were
// added.
type naive map[key]bool

// waitsWith returns the row that an element is written with: the row of a port that is queued, too.
func (q naive) waitsWith(k key) (key, bool) {
	if k.Column != "ports" || !q[k] {
		return key{}, false
	}
	row := rowKey(fact.Ref{Table: nb.LogicalSwitchPortTable, UUID: k.Value})
	wanted, waits := q[row]
	return row, waits && wanted
}

// phase is the position of a key in the order of writing that [queue] documents: smaller is earlier.
func phase(k key, wanted bool) int {
	position := slices.IndexFunc(fact.Tables(), func(t *fact.Table) bool { return t.Name == k.Table })
	table, late := fact.Tables()[position], 1000
	switch {
	case k.Column != "" && wanted:
		return 500
	case k.Column != "":
		return 2000
	case wanted && !table.Late:
		return position
	case wanted || table.Whole:
		return late + position
	default:
		return 3000 - position
	}
}

// The queue agrees with the naive one, whatever keys become dirty, wanted, unwanted or are taken in whatever order.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wants := map[key]bool{}
		q, all := newQueue(func(k key) bool { return wants[k] }), naive{}
		early := map[key]bool{} // elements that are written without their row: they were added before it, or it is no longer wanted
		add := func(t *rapid.T, k key) {
			wants[k] = rapid.Bool().Draw(t, "wanted")
			q.add(k)
			all[k] = wants[k]
			if k.Column == "" {
				for m := range all {
					early[m] = early[m] || !wants[k] && m.Column == "ports" && m.Value == k.UUID
				}
				return
			}
			_, waits := all.waitsWith(k)
			early[k] = !waits
		}
		t.Repeat(map[string]func(*rapid.T){
			"":        func(t *rapid.T) { q.check(t, all) },
			"row":     func(t *rapid.T) { add(t, rowKey(rapid.SampledFrom(queueRows).Draw(t, "row"))) },
			"element": func(t *rapid.T) { add(t, rapid.SampledFrom(queueMembers).Draw(t, "element")) },
			"take": func(t *rapid.T) {
				n := rapid.IntRange(1, 8).Draw(t, "n")
				taken := q.take(n)
				all.take(t, taken, n, early)
			},
		})
		for q.len() > 0 {
			all.take(t, q.take(3), 3, early)
		}
		q.check(t, all)
	})
}

// check compares the queued keys.
func (q *queue) check(t *rapid.T, all naive) {
	if q.len() != len(all) {
		t.Fatalf("len() is %d, want %d", q.len(), len(all))
	}
	for _, ref := range queueRows {
		if _, waits := all[rowKey(ref)]; q.has(rowKey(ref)) != waits {
			t.Fatalf("has(%v) is %v", ref, !waits)
		}
	}
	for _, k := range queueMembers {
		if _, waits := all[k]; q.has(k) != waits {
			t.Fatalf("has(%v) is %v", k, !waits)
		}
	}
}

// take removes the taken keys, and fails the test if others should have been taken.
func (q naive) take(t *rapid.T, taken *desired.Dirty, n int, early map[key]bool) {
	if taken.Len() == 0 && len(q) > 0 {
		t.Fatalf("none of %d keys was taken", len(q))
	}
	taking := naive{}
	each(taken, func(k key) {
		wanted, waits := q[k]
		if _, twice := taking[k]; twice || !waits {
			t.Fatalf("%v is taken twice, or was not queued", k)
		}
		taking[k] = wanted
	})
	last, extra := 0, 0 // the last phase, and how many keys may exceed n: a whole table, and the elements of rows
	for k, wanted := range taking {
		row, with := q.waitsWith(k)
		switch {
		case !with || early[k]:
			last = max(last, phase(k, wanted))
		case !has(taking, row):
			t.Fatalf("element %v is taken without its row", k)
		default:
			extra++
		}
		if fact.TableOf(k.Table).Whole && k.Column == "" {
			extra++
		}
	}
	if taken.Len() > n+extra {
		t.Fatalf("%d keys are taken, want at most %d and the %d that belong to them", taken.Len(), n, extra)
	}
	for k, wanted := range q {
		if !has(taking, k) {
			q.left(t, k, wanted, last, taking, early[k])
		}
	}
	for k := range taking {
		delete(q, k)
		delete(early, k)
	}
}

func has(in naive, k key) bool {
	_, ok := in[k]
	return ok
}

// left fails the test if a key that was left should have been taken.
func (q naive) left(t *rapid.T, k key, wanted bool, last int, taking naive, early bool) {
	row, with := q.waitsWith(k)
	with = with && !early
	if with && has(taking, row) {
		t.Fatalf("row %v is taken without its element %v", row, k)
	}
	if !with && phase(k, wanted) < last {
		t.Fatalf("%v (wanted: %v) is left, but a later key is taken", k, wanted)
	}
	for other := range taking {
		if k.Column == "" && other.Column == "" && other.Table == k.Table && fact.TableOf(k.Table).Whole {
			t.Fatalf("%v is taken without %v of the same table, which is written as a whole", other, k)
		}
	}
}
