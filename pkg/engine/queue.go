package engine

import (
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

// key identifies a row (Column empty) or a member that is compared with the database.
type key = desired.MemberKey

func rowKey(ref fact.Ref) key { return key{Ref: ref} }

// queue holds what is dirty, by table, so that parents are taken before their
// children when there is more than fits into one transaction.
type queue struct {
	rows    []map[fact.Ref]struct{} // in the order of fact.Tables
	members map[key]struct{}
	index   map[string]int
}

func newQueue() *queue {
	q := &queue{members: map[key]struct{}{}, index: map[string]int{}}
	for i, t := range fact.Tables() {
		q.index[t.Name] = i
		q.rows = append(q.rows, map[fact.Ref]struct{}{})
	}
	return q
}

func (q *queue) add(k key) {
	if k.Column == "" {
		q.rows[q.index[k.Table]][k.Ref] = struct{}{}
	} else {
		q.members[k] = struct{}{}
	}
}

func (q *queue) addAll(d *desired.Dirty) {
	each(d, q.add)
}

func (q *queue) has(k key) bool {
	if k.Column == "" {
		_, ok := q.rows[q.index[k.Table]][k.Ref]
		return ok
	}
	_, ok := q.members[k]
	return ok
}

func (q *queue) len() int {
	n := len(q.members)
	for _, t := range q.rows {
		n += len(t)
	}
	return n
}

// take removes up to n keys, rows of parents first and members last.
func (q *queue) take(n int) *desired.Dirty {
	d := desired.NewDirty()
	for i := range q.rows {
		q.rows[i], d.Rows = move(q.rows[i], d.Rows, n-d.Len())
	}
	q.members, d.Members = move(q.members, d.Members, n-d.Len())
	return d
}

// move takes up to n keys out of a set. A set that is empty then is replaced: a Go
// map keeps the size that it once had, and walking it costs that size.
func move[K comparable](from map[K]struct{}, to []K, n int) (map[K]struct{}, []K) {
	if len(from) == 0 {
		return from, to
	}
	for k := range from {
		if n == 0 {
			return from, to
		}
		n--
		to = append(to, k)
		delete(from, k)
	}
	return map[K]struct{}{}, to
}

// each calls fn for all that is dirty.
func each(d *desired.Dirty, fn func(key)) {
	for _, ref := range d.Rows {
		fn(rowKey(ref))
	}
	for _, k := range d.Members {
		fn(k)
	}
}

// owners is a set of objects to look at, in order of arrival.
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

// drain takes all that is there now.
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
