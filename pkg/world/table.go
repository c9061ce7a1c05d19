// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// Table contains the objects of one kind.
type Table[T any] struct {
	kind    model.Kind
	objects map[Key]*T
	invalid map[Key]bool // exists, but its present state is invalid
	meta    func(*T) *model.Meta
	indexes []Index[T]
	buckets []map[Key]map[Key]struct{} // by index: bucket -> keys
	facets  []facet[T]
	// listeners update the indexes over several tables. They run on each change and return the owners that it wakes.
	listeners []Listener[T]
	// appliers run on the changes of [World.Apply].
	appliers []Listener[T]
	readers  *readers
	column   column // of the objects themselves
}

// Listener is called with a change of an object: old is nil if the object is new, now if it is deleted. It returns the
// owners that the change wakes besides the readers of the object.
type Listener[T any] func(key Key, old, now *T) []model.Ref

// AnyTable is a [Table] without its type parameter.
type AnyTable interface {
	Kind() model.Kind
	// Len counts the valid objects.
	Len() int
	// Keys iterates over the objects that exist, valid or not, in no particular order.
	Keys() iter.Seq[Key]
	// Meta returns the metadata of an object, without recording the read. It is empty for an object that exists and has
	// never been valid; ok reports whether the object exists.
	Meta(key Key) (meta model.Meta, ok bool)
	// Apply applies an event of one object, see [World.Apply].
	Apply(key Key, object any, invalid bool) ([]model.Ref, error)
}

// Index puts objects into buckets, each of which can be read as a whole.
type Index[T any] struct {
	Name    string
	Buckets func(*T) []Key
}

// A facet is a part of an object that can be read on its own.
type facet[T any] struct {
	name    string
	project func(*T) any
}

// object is a pointer to a struct that embeds [model.Meta].
type object[T any] interface {
	*T
	Metadata() *model.Meta
}

// AddTable adds the table of a kind to a world.
func AddTable[T any, P object[T]](w *World, kind model.Kind, indexes ...Index[T]) *Table[T] {
	t := &Table[T]{
		kind: kind, objects: map[Key]*T{}, invalid: map[Key]bool{}, indexes: indexes, readers: &w.readers, column: w.readers.column(kind, ""),
		meta: func(o *T) *model.Meta { return P(o).Metadata() },
	}
	for range indexes {
		t.buckets = append(t.buckets, map[Key]map[Key]struct{}{})
	}
	w.tables[kind] = t
	return t
}

// Kind is the kind of the table's objects.
func (t *Table[T]) Kind() model.Kind { return t.kind }

// Get returns an object without recording the read; for the engine and for tests.
func (t *Table[T]) Get(key Key) (*T, bool) {
	o, ok := t.objects[key]
	return o, ok
}

// Len counts the valid objects.
func (t *Table[T]) Len() int { return len(t.objects) }

// All returns the valid objects by key. The caller must not change the map.
func (t *Table[T]) All() map[Key]*T { return t.objects }

// List lists the valid objects by key, without recording the read.
func (t *Table[T]) List() []*T { return t.pick(slices.SortedFunc(maps.Keys(t.objects), Key.Compare)) }

// Bucket lists the valid objects in a bucket of an index by key, without recording the read.
func (t *Table[T]) Bucket(index string, bucket Key) []*T { return t.pick(t.bucket(index, bucket)) }

func (t *Table[T]) pick(keys []Key) []*T {
	out := make([]*T, 0, len(keys))
	for _, key := range keys {
		if o, ok := t.objects[key]; ok {
			out = append(out, o)
		}
	}
	return out
}

// Keys iterates over the objects that exist, valid or not, in no particular order.
func (t *Table[T]) Keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for key := range t.objects {
			if !yield(key) {
				return
			}
		}
		for key := range t.invalid {
			if _, also := t.objects[key]; !also && !yield(key) {
				return
			}
		}
	}
}

// Meta implements [AnyTable].
func (t *Table[T]) Meta(key Key) (model.Meta, bool) {
	if o, ok := t.objects[key]; ok {
		return *t.meta(o), true
	}
	return model.Meta{}, t.invalid[key]
}

// OnApply registers fn for each change of an object by [World.Apply]; the functions run in the order of registration.
// They run neither for an invalid state of an object, nor on [Table.Set] and [Table.Delete].
func (t *Table[T]) OnApply(fn Listener[T]) { t.appliers = append(t.appliers, fn) }

// Apply implements [AnyTable].
func (t *Table[T]) Apply(key Key, object any, invalid bool) ([]model.Ref, error) {
	ref := key.Ref(t.kind)
	if invalid {
		return append(t.Invalidate(key), ref), nil
	}
	now, ok := object.(*T)
	if !ok && object != nil {
		return nil, fmt.Errorf("%T is not a projection of kind %s", object, t.kind)
	}
	if now != nil && t.equal(key, now) {
		return nil, nil
	}
	old := t.objects[key]
	var woken []model.Ref
	if now == nil {
		woken = t.Delete(key)
	} else {
		woken = t.replace(key, now)
	}
	for _, fn := range t.appliers {
		woken = append(woken, fn(key, old, now)...)
	}
	return append(woken, ref), nil
}

// Set stores an object and returns the owners that this wakes: none if the stored projection is equal.
func (t *Table[T]) Set(o *T) []model.Ref {
	meta := t.meta(o)
	key := Key{Namespace: meta.Namespace, Name: meta.Name}
	if t.equal(key, o) {
		return nil
	}
	return t.replace(key, o)
}

// equal reports whether the table has an equal and valid object.
func (t *Table[T]) equal(key Key, o *T) bool {
	old := t.objects[key]
	return old != nil && !t.invalid[key] && model.Equal(*old, *o)
}

func (t *Table[T]) replace(key Key, o *T) []model.Ref {
	old := t.objects[key]
	wasInvalid := t.invalid[key]
	delete(t.invalid, key)
	t.objects[key] = o
	return t.changed(key, old, o, wasInvalid)
}

// Delete removes an object and returns the owners that this wakes.
func (t *Table[T]) Delete(key Key) []model.Ref {
	old, ok := t.objects[key]
	wasInvalid := t.invalid[key]
	if !ok && !wasInvalid {
		return nil
	}
	delete(t.objects, key)
	delete(t.invalid, key)
	return t.changed(key, old, nil, wasInvalid)
}

// Invalidate records that the object exists in an invalid state. The last valid projection, if there is one, stays
// readable, so that its rows stay. Without one, owners that read the object are paused until it is valid or deleted.
func (t *Table[T]) Invalidate(key Key) []model.Ref {
	if t.invalid[key] {
		return nil
	}
	t.invalid[key] = true
	return t.readers.of(dep{t.column, key})
}

// Read reads an object: the reader of the view is woken when it changes.
func (t *Table[T]) Read(v *View, key Key) (*T, bool) {
	v.reads = append(v.reads, dep{t.column, key})
	return t.read(v, key)
}

// ReadBucket reads the objects in one bucket of an index, by key: the reader of the view is woken when one of them
// changes, and when one enters or leaves the bucket.
func (t *Table[T]) ReadBucket(v *View, index string, bucket Key) []*T {
	v.reads = append(v.reads, t.readers.dep(t.kind, index, bucket))
	keys := t.bucket(index, bucket)
	out := make([]*T, 0, len(keys))
	for _, k := range keys {
		if o, ok := t.read(v, k); ok {
			out = append(out, o)
		}
	}
	return out
}

func (t *Table[T]) read(v *View, key Key) (*T, bool) {
	o, ok := t.objects[key]
	if !ok && t.invalid[key] {
		v.invalid = append(v.invalid, key.Ref(t.kind))
	}
	return o, ok
}

func (t *Table[T]) changed(key Key, old, now *T, force bool) []model.Ref {
	woken := t.readers.of(dep{t.column, key})
	for _, f := range t.facets {
		if force || old == nil || now == nil || !model.Equal(f.project(old), f.project(now)) {
			woken = append(woken, t.readers.of(t.readers.dep(t.kind, f.name, key))...)
		}
	}
	for i, ix := range t.indexes {
		for _, b := range t.reindex(i, ix, key, old, now) {
			woken = append(woken, t.readers.of(t.readers.dep(t.kind, ix.Name, b))...)
		}
	}
	for _, fn := range t.listeners {
		woken = append(woken, fn(key, old, now)...)
	}
	return sortedUnique(woken)
}

// reindex moves a key between buckets and returns its buckets before and after.
func (t *Table[T]) reindex(i int, ix Index[T], key Key, old, now *T) []Key {
	var touched []Key
	if old != nil {
		for _, b := range ix.Buckets(old) {
			touched = append(touched, b)
			delete(t.buckets[i][b], key)
			if len(t.buckets[i][b]) == 0 {
				delete(t.buckets[i], b)
			}
		}
	}
	if now != nil {
		for _, b := range ix.Buckets(now) {
			touched = append(touched, b)
			if t.buckets[i][b] == nil {
				t.buckets[i][b] = map[Key]struct{}{}
			}
			t.buckets[i][b][key] = struct{}{}
		}
	}
	slices.SortFunc(touched, Key.Compare)
	return slices.Compact(touched)
}

func (t *Table[T]) bucket(name string, key Key) []Key {
	for i, ix := range t.indexes {
		if ix.Name == name {
			return slices.SortedFunc(maps.Keys(t.buckets[i][key]), Key.Compare)
		}
	}
	return nil
}
