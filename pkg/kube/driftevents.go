package kube

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Who deletes the rows of thousands of objects must not make as many events: an object
// gets one in a minute, and all together so many at once, and so many a second.
const (
	repairInterval       = time.Minute
	repairEventBurst     = 50
	repairEventsASecond  = 1
	repairedObjectsLimit = 10_000
)

// repairNews is what was put right of one object since its last event.
type repairNews struct {
	told    time.Time
	changes int // not told
}

// Repaired makes an event of changes that others made to an object's rows in the
// northbound database. What is not told because of too many events is counted in the next one.
func (s *Status) Repaired(r engine.Repair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leading {
		return
	}
	now := s.clock.Now()
	s.forgetRepairs(now)
	news := s.repairs[r.Ref]
	news.changes += r.Changes
	if !news.told.IsZero() && now.Sub(news.told) < repairInterval || !s.repairEvents.TryAccept() {
		s.repairs[r.Ref] = news
		return
	}
	text := "the northbound database was changed by others: " + r.What
	if news.changes > 1 {
		text += fmt.Sprintf("; %d changes of this object were repaired since the last event", news.changes)
	}
	s.repairs[r.Ref] = repairNews{told: now}
	s.warn(r.Ref, model.ReasonDriftRepaired, "Repair", text)
}

// forgetRepairs bounds what is remembered.
func (s *Status) forgetRepairs(now time.Time) {
	if len(s.repairs) < repairedObjectsLimit {
		return
	}
	for ref, news := range s.repairs {
		if now.Sub(news.told) >= repairInterval {
			delete(s.repairs, ref)
		}
	}
}

// warn makes an event about an object.
func (s *Status) warn(ref model.Ref, reason, action, text string) {
	k, ok := s.kinds[ref.Kind]
	if !ok {
		return
	}
	about := &corev1.ObjectReference{
		Kind: string(ref.Kind), APIVersion: apiVersionOf(k),
		Namespace: ref.Namespace, Name: ref.Name, UID: s.in.uid(ref),
	}
	s.events.Eventf(about, nil, corev1.EventTypeWarning, reason, action, "%s", clip(text))
}

func newRepairLimiter(clk clock.PassiveClock) flowcontrol.PassiveRateLimiter {
	return flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(repairEventsASecond, repairEventBurst, clk)
}
