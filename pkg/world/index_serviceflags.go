// SPDX-License-Identifier: Apache-2.0

package world

import "github.com/wovensdn/woven/pkg/model"

// Indexes of whether any Service has a property.
const (
	indexTimed = "timed" // a session affinity timeout that OVN implements
	indexLocal = "local" // externalTrafficPolicy: Local
)

// anyService counts the Services with a property, so that only the first and the last of them wake a reader.
type anyService struct {
	index   string
	is      func(*model.Service) bool
	count   int
	readers *readers
}

func newAnyService(w *World, index string, is func(*model.Service) bool) *anyService {
	a := &anyService{index: index, is: is, readers: &w.readers}
	w.Services.listeners = append(w.Services.listeners, a.service)
	return a
}

func (a *anyService) service(_ Key, old, now *model.Service) []model.Ref {
	before := a.count
	if old != nil && a.is(old) {
		a.count--
	}
	if now != nil && a.is(now) {
		a.count++
	}
	if (before > 0) == (a.count > 0) {
		return nil
	}
	return a.readers.of(a.readers.dep(model.KindService, a.index, Key{}))
}

func (a *anyService) exists(v *View) bool {
	v.reads = append(v.reads, v.w.readers.dep(model.KindService, a.index, Key{}))
	return a.count > 0
}

// AffinityTimeouts reports whether any Service has a session affinity timeout that OVN implements.
func (v *View) AffinityTimeouts() bool { return v.w.timed.exists(v) }

// LocalServices reports whether any Service has externalTrafficPolicy: Local, so that nodes forward traffic from
// outside only to their own backends.
func (v *View) LocalServices() bool { return v.w.local.exists(v) }
