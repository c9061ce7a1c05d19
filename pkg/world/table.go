package world

import (
	"maps"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// Table holds the objects of one kind.
type Table[T any] struct {
	kind    model.Kind
	objects map[string]*T
	invalid map[string]bool // exists, but its present state cannot be used
	indexes []index[T]
	buckets []map[string]map[string]struct{} // by index: bucket -> keys
	facets  []facet[T]
	// changing are told of every change and return whom it wakes besides.
	changing []func(key string, old, now *T) []model.Ref
	readers  *readers
}

type index[T any] struct {
	name string
	keys func(*T) []string
}

// A facet is a part of an object that can be read on its own.
type facet[T any] struct {
	name    string
	project func(*T) any
}

func newTable[T any](kind model.Kind, r *readers, indexes ...index[T]) *Table[T] {
	t := &Table[T]{kind: kind, objects: map[string]*T{}, invalid: map[string]bool{}, indexes: indexes, readers: r}
	for range indexes {
		t.buckets = append(t.buckets, map[string]map[string]struct{}{})
	}
	return t
}

// Get reads an object without recording it; for the engine and for tests.
func (t *Table[T]) Get(key string) (*T, bool) {
	o, ok := t.objects[key]
	return o, ok
}

// Len counts the valid objects.
func (t *Table[T]) Len() int { return len(t.objects) }

// All yields the valid objects by key, in no particular order.
func (t *Table[T]) All() map[string]*T { return t.objects }

// Set stores an object and returns the owners that this wakes: none when the
// projection is equal to the one that was there.
func (t *Table[T]) Set(key string, o *T) []model.Ref {
	old := t.objects[key]
	wasInvalid := t.invalid[key]
	if old != nil && !wasInvalid && model.Equal(*old, *o) {
		return nil
	}
	delete(t.invalid, key)
	t.objects[key] = o
	return t.changed(key, old, o, wasInvalid)
}

// Delete removes an object and returns the owners that this wakes.
func (t *Table[T]) Delete(key string) []model.Ref {
	old, ok := t.objects[key]
	wasInvalid := t.invalid[key]
	if !ok && !wasInvalid {
		return nil
	}
	delete(t.objects, key)
	delete(t.invalid, key)
	return t.changed(key, old, nil, wasInvalid)
}

// Invalidate says that the object exists in a state that cannot be used. The
// last valid projection, if there is one, stays readable: nothing that worked
// stops. Without one, owners that read the object are frozen until it is valid
// or gone.
func (t *Table[T]) Invalidate(key string) []model.Ref {
	if t.invalid[key] {
		return nil
	}
	t.invalid[key] = true
	return t.readers.of(dep{kind: t.kind, key: key})
}

// Invalid tells whether the object exists in a state that cannot be used.
func (t *Table[T]) Invalid(key string) bool { return t.invalid[key] }

func (t *Table[T]) read(v *View, key string) (*T, bool) {
	o, ok := t.objects[key]
	if !ok && t.invalid[key] {
		v.invalid = append(v.invalid, refOf(t.kind, key))
	}
	return o, ok
}

func refOf(kind model.Kind, key string) model.Ref {
	if namespace, name, ok := strings.Cut(key, "/"); ok {
		return model.Ref{Kind: kind, Namespace: namespace, Name: name}
	}
	return model.Ref{Kind: kind, Name: key}
}

func (t *Table[T]) changed(key string, old, now *T, force bool) []model.Ref {
	woken := t.readers.of(dep{kind: t.kind, key: key})
	for _, f := range t.facets {
		if force || old == nil || now == nil || !model.Equal(f.project(old), f.project(now)) {
			woken = append(woken, t.readers.of(dep{t.kind, f.name, key})...)
		}
	}
	for i, ix := range t.indexes {
		for _, b := range t.reindex(i, ix, key, old, now) {
			woken = append(woken, t.readers.of(dep{t.kind, ix.name, b})...)
		}
	}
	for _, tell := range t.changing {
		woken = append(woken, tell(key, old, now)...)
	}
	return sortedUnique(woken)
}

// reindex moves a key between buckets and returns the buckets that hold or held it.
func (t *Table[T]) reindex(i int, ix index[T], key string, old, now *T) []string {
	var touched []string
	if old != nil {
		for _, b := range ix.keys(old) {
			touched = append(touched, b)
			delete(t.buckets[i][b], key)
			if len(t.buckets[i][b]) == 0 {
				delete(t.buckets[i], b)
			}
		}
	}
	if now != nil {
		for _, b := range ix.keys(now) {
			touched = append(touched, b)
			if t.buckets[i][b] == nil {
				t.buckets[i][b] = map[string]struct{}{}
			}
			t.buckets[i][b][key] = struct{}{}
		}
	}
	slices.Sort(touched)
	return slices.Compact(touched)
}

func (t *Table[T]) bucket(name, key string) []string {
	for i, ix := range t.indexes {
		if ix.name == name {
			return slices.Sorted(maps.Keys(t.buckets[i][key]))
		}
	}
	return nil
}
