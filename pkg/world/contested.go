// SPDX-License-Identifier: Apache-2.0

package world

import "github.com/wovensdn/woven/pkg/model"

// SetContested records why an IP object does not have its addresses; an empty cause means that it has them. It returns
// the owners that this wakes, and whether the cause has changed.
func (w *World) SetContested(record model.Ref, cause string) (woken []model.Ref, changed bool) {
	if w.contested[record] == cause {
		return nil, false
	}
	if cause == "" {
		delete(w.contested, record)
	} else {
		w.contested[record] = cause
	}
	return w.readers.of(w.readers.dep(record.Kind, "", KeyOf(record))), true
}

// ContestedBy is [View.Contested] without recording the read.
func (w *World) ContestedBy(record model.Ref) string { return w.contested[record] }

// Contested reads why an IP object does not have its addresses: another one has them. It is empty for an IP object that
// has them.
func (v *View) Contested(record model.Ref) string {
	v.reads = append(v.reads, v.w.readers.dep(record.Kind, "", KeyOf(record)))
	return v.w.contested[record]
}
