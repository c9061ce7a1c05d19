// SPDX-License-Identifier: Apache-2.0

package world

import "github.com/wovensdn/woven/pkg/model"

// SetKept stores the addresses that are kept for a running pod whose record is missing; nil if there are none. It
// returns the owners that this wakes.
func (w *World) SetKept(record model.Ref, ip *model.IP) []model.Ref {
	old := w.kept[record]
	switch {
	case old == nil && ip == nil, old != nil && ip != nil && model.Equal(*old, *ip):
		return nil
	case ip == nil:
		delete(w.kept, record)
	default:
		w.kept[record] = ip
	}
	return w.readers.of(w.readers.dep(record.Kind, "", KeyOf(record)))
}

// IsKept reports whether addresses are kept for a running pod whose record is missing, without recording the read.
func (w *World) IsKept(record model.Ref) bool { return w.kept[record] != nil }

// Kept reads the addresses that are kept for a running pod whose record is missing. They come from what tenants cannot
// write (ADR 16).
func (v *View) Kept(record model.Ref) (*model.IP, bool) {
	v.reads = append(v.reads, v.w.readers.dep(record.Kind, "", KeyOf(record)))
	ip, ok := v.w.kept[record]
	return ip, ok
}
