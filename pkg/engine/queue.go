// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// key identifies a row (Column empty) or a member that is compared with the database.
type key = desired.MemberKey

func rowKey(ref fact.Ref) key { return key{Ref: ref} }

// queue contains the dirty keys. If they are more than fit into one transaction, they are written in this order (ADR
// 11):
//
//  1. rows that are wanted, parents before children,
//  2. elements that are wanted: sets are complete before rows refer to them,
//  3. rows of late tables; a whole table at once; a row together with the elements that
//     point to it, so that a port is never without its groups,
//  4. elements and then rows that are not wanted any more.
type queue struct {
	wanted  func(key) bool
	rows    []map[fact.Ref]struct{} // in the order of fact.Tables
	members map[key]struct{}
	with    map[fact.Ref]map[key]struct{} // elements that are written with the row that they refer to
	lost    map[key]struct{}
	gone    []map[fact.Ref]struct{} // in the order of fact.Tables
	index   map[string]int
	n       int
}

func newQueue(wanted func(key) bool) *queue {
	q := &queue{wanted: wanted, members: map[key]struct{}{}, with: map[fact.Ref]map[key]struct{}{}, lost: map[key]struct{}{}, index: map[string]int{}}
	for i, t := range fact.Tables() {
		q.index[t.Name] = i
		q.rows = append(q.rows, map[fact.Ref]struct{}{})
		q.gone = append(q.gone, map[fact.Ref]struct{}{})
	}
	return q
}

// add queues a key, according to whether it is wanted now.
func (q *queue) add(k key) {
	if k.Column == "" {
		q.addRow(k)
	} else {
		q.addMember(k)
	}
}

func (q *queue) addRow(k key) {
	i := q.index[k.Table]
	to, from := q.rows[i], q.gone[i]
	if !fact.Tables()[i].Whole && !q.wanted(k) {
		to, from = from, to
		for m := range q.with[k.Ref] { // the elements of the row are written without it
			q.members[m] = struct{}{}
		}
		delete(q.with, k.Ref)
	}
	q.n += put(to, k.Ref) - drop(from, k.Ref)
}

func (q *queue) addMember(k key) {
	if !q.wanted(k) {
		q.n += put(q.lost, k) - drop(q.members, k)
		if target, ok := q.comesWith(k); ok {
			q.n -= drop(q.with[target], k)
		}
		return
	}
	q.n -= drop(q.lost, k)
	target, ok := q.comesWith(k)
	if !ok {
		q.n += put(q.members, k)
		return
	}
	if q.with[target] == nil {
		q.with[target] = map[key]struct{}{}
	}
	q.n += put(q.with[target], k) - drop(q.members, k)
}

func put[K comparable](in map[K]struct{}, k K) int {
	before := len(in)
	in[k] = struct{}{}
	return len(in) - before
}

func drop[K comparable](from map[K]struct{}, k K) int {
	before := len(from)
	delete(from, k)
	return before - len(from)
}

// comesWith returns the row that an element refers to. It is true if that row is queued, too, and is of a late table.
func (q *queue) comesWith(k key) (fact.Ref, bool) {
	refers := fact.TableOf(k.Table).Members[k.Column].Refers
	if refers == "" || !fact.TableOf(refers).Late {
		return fact.Ref{}, false
	}
	target := fact.Ref{Table: refers, UUID: k.Value}
	_, waits := q.rows[q.index[refers]][target]
	return target, waits
}

func (q *queue) addAll(d *desired.Dirty) {
	each(d, q.add)
}

func (q *queue) has(k key) bool {
	if k.Column == "" {
		i := q.index[k.Table]
		return in(q.rows[i], k.Ref) || in(q.gone[i], k.Ref)
	}
	target, _ := q.comesWith(k)
	return in(q.members, k) || in(q.lost, k) || in(q.with[target], k)
}

func in[K comparable](set map[K]struct{}, k K) bool {
	_, ok := set[k]
	return ok
}

func (q *queue) len() int { return q.n }

// take removes up to n keys, and the keys that must be written with them.
func (q *queue) take(n int) *desired.Dirty {
	d := desired.NewDirty()
	tables := fact.Tables()
	for i, t := range tables {
		if !t.Late {
			q.rows[i], d.Rows = move(q.rows[i], d.Rows, n-d.Len())
		}
	}
	q.members, d.Members = move(q.members, d.Members, n-d.Len())
	for i, t := range tables {
		if t.Late {
			q.takeLate(d, i, n)
		}
	}
	q.lost, d.Members = move(q.lost, d.Members, n-d.Len())
	for i := len(tables) - 1; i >= 0; i-- {
		q.gone[i], d.Rows = move(q.gone[i], d.Rows, n-d.Len())
	}
	q.n -= d.Len()
	return d
}

func (q *queue) takeLate(d *desired.Dirty, i, n int) {
	if len(q.rows[i]) == 0 {
		return
	}
	if fact.Tables()[i].Whole && d.Len() < n {
		n = d.Len() + len(q.rows[i])
	}
	for ref := range q.rows[i] {
		if d.Len() >= n {
			return
		}
		delete(q.rows[i], ref)
		d.Row(ref)
		for m := range q.with[ref] {
			d.Member(m)
		}
		delete(q.with, ref)
	}
	q.rows[i] = map[fact.Ref]struct{}{} // see move
}

// move takes up to n keys out of a set. A set that is empty afterwards is replaced: a Go map keeps its largest size,
// and iterating it costs that size.
func move[K comparable](from map[K]struct{}, to []K, n int) (map[K]struct{}, []K) {
	if len(from) == 0 {
		return from, to
	}
	for k := range from {
		if n <= 0 {
			return from, to
		}
		n--
		to = append(to, k)
		delete(from, k)
	}
	return map[K]struct{}{}, to
}

// each calls fn for all dirty keys.
func each(d *desired.Dirty, fn func(key)) {
	for _, ref := range d.Rows {
		fn(rowKey(ref))
	}
	for _, k := range d.Members {
		fn(k)
	}
}

// owners is a queue without duplicates, in order of arrival.
type owners struct {
	order []fact.Owner
	in    map[fact.Owner]struct{}
}

func newOwners() *owners { return &owners{in: map[fact.Owner]struct{}{}} }

func (o *owners) add(refs ...fact.Owner) {
	for _, ref := range refs {
		if _, ok := o.in[ref]; !ok {
			o.in[ref] = struct{}{}
			o.order = append(o.order, ref)
		}
	}
}

// drain removes and returns all owners of the queue.
func (o *owners) drain() []fact.Owner {
	order := o.order
	o.order = nil
	if len(o.in) > small {
		o.in = map[fact.Owner]struct{}{} // see move
	} else {
		clear(o.in)
	}
	return order
}

func (o *owners) len() int { return len(o.order) }
