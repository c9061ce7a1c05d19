// SPDX-License-Identifier: Apache-2.0

package world

import (
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// text is a read as text: "Subnet//ovn-default" for an object, "Subnet//ovn-default (network)" for a facet of it or a
// bucket of an index.
func (r *readers) text(d dep) string {
	name := r.names[d.column]
	text := d.key.Ref(name.kind).String()
	if name.index != "" {
		text += " (" + name.index + ")"
	}
	return text
}

// Kinds lists the kinds that have a table, ordered.
func (w *World) Kinds() []model.Kind { return slices.Sorted(maps.Keys(w.tables)) }

// Reads lists the reads of an owner, in their order.
func (w *World) Reads(owner model.Ref) []string {
	out := []string{}
	for _, d := range w.readers.byOwner[owner] {
		out = append(out, w.readers.text(d))
	}
	return out
}

// ReadersOf lists the owners that a change of an object, or of a facet of it, wakes; ordered.
func (w *World) ReadersOf(object model.Ref) (readers []model.Ref) {
	for d, set := range w.readers.byDep {
		if w.readers.names[d.column].kind != object.Kind || d.key != KeyOf(object) || set == nil {
			continue
		}
		readers = append(readers, w.readers.of(d)...)
	}
	return sortedUnique(readers)
}

// Readerships returns the number of readers of each read.
func (w *World) Readerships() map[string]int {
	out := make(map[string]int, len(w.readers.byDep))
	for d, set := range w.readers.byDep {
		out[w.readers.text(d)] = max(1, len(set.more))
	}
	return out
}
