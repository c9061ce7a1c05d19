// SPDX-License-Identifier: Apache-2.0

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

// Rate limits of DriftRepaired events, so that a client that deletes the rows of thousands of objects does not cause as
// many events.
const (
	repairInterval       = time.Minute // between two events of one object
	repairEventBurst     = 50          // of all objects
	repairEventsASecond  = 1           // of all objects
	repairedObjectsLimit = 10_000      // objects that are remembered
)

// repairCount counts the repairs of one object since its last event.
type repairCount struct {
	since   time.Time // of the last event; zero if there was none
	changes int       // that no event has reported
}

// Repaired emits an event about changes of other clients to an object's rows in the northbound database. If the rate
// limit suppresses the event, the changes are counted in the next one.
func (s *Status) Repaired(r engine.Repair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.leading {
		return
	}
	now := s.clock.Now()
	s.forgetRepairs(now)
	count := s.repairs[r.Ref]
	count.changes += r.Changes
	if !count.since.IsZero() && now.Sub(count.since) < repairInterval || !s.repairEvents.TryAccept() {
		s.repairs[r.Ref] = count
		return
	}
	text := "another client changed the northbound database: " + r.What
	if count.changes > 1 {
		text += fmt.Sprintf("; %d changes of this object were repaired since the last event", count.changes)
	}
	s.repairs[r.Ref] = repairCount{since: now}
	s.warn(r.Ref, model.ReasonDriftRepaired, text)
}

// forgetRepairs deletes expired entries if there are too many.
func (s *Status) forgetRepairs(now time.Time) {
	if len(s.repairs) < repairedObjectsLimit {
		return
	}
	for ref, count := range s.repairs {
		if now.Sub(count.since) >= repairInterval {
			delete(s.repairs, ref)
		}
	}
}

// warn emits an event of type Warning.
func (s *Status) warn(ref model.Ref, reason, text string) {
	k, ok := s.kinds[ref.Kind]
	if !ok {
		return
	}
	about := &corev1.ObjectReference{
		Kind: string(ref.Kind), APIVersion: apiVersionOf(k),
		Namespace: ref.Namespace, Name: ref.Name, UID: s.in.uid(ref),
	}
	s.events.Event(about, corev1.EventTypeWarning, reason, clip(text))
}

func newRepairLimiter(clk clock.PassiveClock) flowcontrol.PassiveRateLimiter {
	return flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(repairEventsASecond, repairEventBurst, clk)
}
