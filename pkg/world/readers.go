// SPDX-License-Identifier: Apache-2.0

package world

import (
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// dep is a dependency: an object, a facet of one, or a bucket of an index. There are several for each pod, and the
// garbage collector follows each pointer in them, so that what is read of a kind is a number.
type dep struct {
	column column
	key    Key
}

// column numbers what can be read of a kind, see [readers.column].
type column int

// columnName is a kind and one of its facets or indexes; the index is empty for the objects themselves.
type columnName struct {
	kind  model.Kind
	index string
}

// readers is the dependency graph in both directions. Most dependencies have one reader (a pod and its own address), so
// a single reader is stored without a map.
type readers struct {
	byOwner map[model.Ref][]dep
	byDep   map[dep]*readerSet
	columns map[columnName]column
	names   []columnName // by column
}

type readerSet struct {
	one  model.Ref
	more map[model.Ref]struct{} // nil while there is only one
}

func newReaders() readers {
	return readers{byOwner: map[model.Ref][]dep{}, byDep: map[dep]*readerSet{}, columns: map[columnName]column{}}
}

// column returns the number of a facet or index of a kind, or of its objects.
func (r *readers) column(kind model.Kind, index string) column {
	name := columnName{kind, index}
	c, ok := r.columns[name]
	if !ok {
		c = column(len(r.names))
		r.columns[name], r.names = c, append(r.names, name)
	}
	return c
}

// dep is the dependency on a facet of an object or on a bucket of an index.
func (r *readers) dep(kind model.Kind, index string, key Key) dep {
	return dep{r.column(kind, index), key}
}

// set replaces the reads of an owner; reads is not kept.
func (r *readers) set(owner model.Ref, reads []dep) {
	reads = unique(reads)
	old := r.byOwner[owner]
	if slices.Equal(old, reads) {
		return
	}
	kept, had := contains(reads), contains(old)
	for _, d := range old {
		if !kept(d) {
			r.remove(d, owner)
		}
	}
	for _, d := range reads {
		if !had(d) {
			r.add(d, owner)
		}
	}
	if len(reads) == 0 {
		delete(r.byOwner, owner)
		return
	}
	r.byOwner[owner] = slices.Clone(reads)
}

// fewReads is up to how many reads a search in a list is faster than a map.
const fewReads = 32

// contains returns a function that reports whether a list contains a dependency.
func contains(list []dep) func(dep) bool {
	if len(list) <= fewReads {
		return func(d dep) bool { return slices.Contains(list, d) }
	}
	all := make(map[dep]struct{}, len(list))
	for _, d := range list {
		all[d] = struct{}{}
	}
	return func(d dep) bool { _, ok := all[d]; return ok }
}

// unique removes repeated reads and keeps the order.
func unique(reads []dep) []dep {
	out := reads[:0]
	if len(reads) <= fewReads {
		for _, d := range reads {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
		return out
	}
	seen := make(map[dep]struct{}, len(reads))
	for _, d := range reads {
		if _, ok := seen[d]; !ok {
			seen[d] = struct{}{}
			out = append(out, d)
		}
	}
	return out
}

func (r *readers) add(d dep, owner model.Ref) {
	s, ok := r.byDep[d]
	switch {
	case !ok:
		r.byDep[d] = &readerSet{one: owner}
	case s.more == nil:
		s.more = map[model.Ref]struct{}{s.one: {}, owner: {}}
	default:
		s.more[owner] = struct{}{}
	}
}

func (r *readers) remove(d dep, owner model.Ref) {
	s, ok := r.byDep[d]
	if !ok {
		return
	}
	if s.more != nil {
		delete(s.more, owner)
	}
	if len(s.more) == 0 {
		delete(r.byDep, d)
	}
}

func (r *readers) of(d dep) []model.Ref {
	s, ok := r.byDep[d]
	if !ok {
		return nil
	}
	if s.more == nil {
		return []model.Ref{s.one}
	}
	out := make([]model.Ref, 0, len(s.more))
	for o := range s.more {
		out = append(out, o)
	}
	return out
}
