package world

import "github.com/wovensdn/woven/pkg/model"

// indexTimed is read for whether any Service has a timeout of affinity.
const indexTimed = "timed"

// timed counts the Services that have one, so that only the first and the last of them wake a reader.
type timed struct {
	count   int
	readers *readers
}

func newTimed(w *World) *timed {
	s := &timed{readers: &w.readers}
	w.Services.changing = append(w.Services.changing, s.service)
	return s
}

func (s *timed) service(_ string, old, now *model.Service) []model.Ref {
	before := s.count
	if old != nil && old.Remembered() > 0 {
		s.count--
	}
	if now != nil && now.Remembered() > 0 {
		s.count++
	}
	if (before > 0) == (s.count > 0) {
		return nil
	}
	return s.readers.of(dep{model.KindService, indexTimed, ""})
}

// AffinityTimeouts tells whether any Service has a timeout of affinity that OVN is to keep.
func (v *View) AffinityTimeouts() bool {
	v.reads = append(v.reads, dep{model.KindService, indexTimed, ""})
	return v.w.timed.count > 0
}
