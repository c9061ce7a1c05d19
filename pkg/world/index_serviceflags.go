package world

import "github.com/wovensdn/woven/pkg/model"

// What is read for whether any Service is of a kind.
const (
	indexTimed = "timed" // has a timeout of affinity that OVN is to keep
	indexLocal = "local" // is led by nodes to their own backends
)

// anyService counts the Services of a kind, so that only the first and the last of them wake a reader.
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
	return a.readers.of(dep{model.KindService, a.index, Key{}})
}

func (a *anyService) there(v *View) bool {
	v.reads = append(v.reads, dep{model.KindService, a.index, Key{}})
	return a.count > 0
}

// AffinityTimeouts tells whether any Service has a timeout of affinity that OVN is to keep.
func (v *View) AffinityTimeouts() bool { return v.w.timed.there(v) }

// LocalServices tells whether nodes lead what comes to any Service from outside to their own backends.
func (v *View) LocalServices() bool { return v.w.local.there(v) }
