// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"time"

	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Rate limits of events of problems. A user may change an object as often as the API server allows, and the queue of
// the event recorder, which drops events when it is full, is common to all objects.
const (
	problemEventBurst    = 10          // events of one object at once
	problemEventInterval = time.Minute // between two events of one object after that
	limitedObjects       = 10_000      // limiters that are kept although their objects may not need them any more
)

// problemEvents knows which problems have an event, and limits the events of each object. The lock of [Status] guards
// it, except queue.
type problemEvents struct {
	clock    clock.WithTicker
	emitted  map[model.Ref]map[string]struct{} // present problems that have an event
	withheld map[model.Ref]engine.Report       // the newest report of an object with a problem that has no event yet
	limiters map[model.Ref]*eventLimiter
	queue    workqueue.TypedDelayingInterface[model.Ref] // of withheld
}

// eventLimiter limits the events of one object.
type eventLimiter struct {
	flowcontrol.PassiveRateLimiter
	uid  string
	used time.Time
}

func newProblemEvents(clk clock.WithTicker) *problemEvents {
	return &problemEvents{
		clock: clk, emitted: map[model.Ref]map[string]struct{}{}, withheld: map[model.Ref]engine.Report{}, limiters: map[model.Ref]*eventLimiter{},
		queue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[model.Ref]{Clock: clk}),
	}
}

// due returns the problems of a report that get an event now. Those that the limit withholds get theirs later, if they
// still exist then.
func (p *problemEvents) due(r engine.Report) (due []model.Problem) {
	before, now, held := p.emitted[r.Ref], map[string]struct{}{}, false
	for _, problem := range r.Problems {
		text := problem.Reason + ": " + problem.Error()
		_, known := before[text]
		if !known {
			if held = held || !p.allow(r.Ref, r.UID); held {
				continue
			}
			due = append(due, problem)
		}
		now[text] = struct{}{}
	}
	p.forget(r.Ref)
	if len(now) > 0 {
		p.emitted[r.Ref] = now
	}
	if held {
		p.withheld[r.Ref] = r
		p.queue.AddAfter(r.Ref, problemEventInterval)
	}
	return due
}

// forget forgets the problems of an object, but not its limit.
func (p *problemEvents) forget(ref model.Ref) {
	delete(p.emitted, ref)
	delete(p.withheld, ref)
}

// allow reports whether an object may have an event now, and counts it. An object that was created again under its name
// is another object.
func (p *problemEvents) allow(ref model.Ref, uid string) bool {
	now := p.clock.Now()
	l, known := p.limiters[ref]
	if !known || l.uid != uid {
		p.expire(now)
		l = &eventLimiter{uid: uid, PassiveRateLimiter: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(
			float32(1/problemEventInterval.Seconds()), problemEventBurst, p.clock)}
		p.limiters[ref] = l
	}
	l.used = now
	return l.TryAccept()
}

// expire deletes the limiters that have recovered, if there are too many.
func (p *problemEvents) expire(now time.Time) {
	if len(p.limiters) < limitedObjects {
		return
	}
	for ref, l := range p.limiters {
		if now.Sub(l.used) >= problemEventBurst*problemEventInterval {
			delete(p.limiters, ref)
		}
	}
}

// emitWithheld emits the withheld events of the next object whose time has come. It returns false when the queue is
// shut down.
func (s *Status) emitWithheld() bool {
	ref, shutdown := s.problems.queue.Get()
	if shutdown {
		return false
	}
	defer s.problems.queue.Done(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.problems.withheld[ref]; ok && s.leading {
		s.emitProblems(r)
	}
	return true
}

// emitProblems emits events of new problems. The caller holds the lock.
func (s *Status) emitProblems(r engine.Report) {
	for _, problem := range s.problems.due(r) {
		s.warn(r.Ref, problem.Reason, problem.Error())
	}
}
