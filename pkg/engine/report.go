// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

func (c *Core) state(owner fact.Owner) *ownerState {
	s, ok := c.owners[owner]
	if !ok {
		s = &ownerState{}
		c.owners[owner] = s
	}
	return s
}

// awaitKeys makes an owner wait until these keys are programmed.
func (c *Core) awaitKeys(owner fact.Owner, d *desired.Dirty) {
	s := c.state(owner)
	each(d, func(k key) {
		if !slices.Contains(c.waiters[k], owner) {
			s.outstanding++
			c.waiters[k] = append(c.waiters[k], owner)
		}
	})
}

// programmed records that the database has a key as it is wanted.
func (c *Core) programmed(k key) {
	for _, owner := range c.waiters[k] {
		s := c.owners[owner]
		if s == nil {
			continue
		}
		s.outstanding--
		if s.outstanding == 0 {
			delete(s.other, sourceDatabase)
			delete(s.other, sourceName)
			delete(s.other, sourceBlocked)
			c.toReconcile.add(owner)
		}
	}
	delete(c.waiters, k)
}

// small is the size up to which a map is cleared rather than replaced, see move.
const small = 64

// Committed records the outcome of the units that [Core.Next] returned.
func (c *Core) Committed(units []plan.Unit, out commit.Outcome, took time.Duration) {
	c.cfg.Observer.Committed(out.Operations, len(units), took.Seconds(), out.Err)
	if len(c.inflight) > small {
		c.inflight = map[key]struct{}{} // see move
	} else {
		clear(c.inflight)
	}
	if out.Err != nil {
		for _, u := range units {
			c.dirty.add(unitKey(u))
		}
		return
	}
	for _, u := range out.Done {
		c.unblock(u.Ref)
		k := unitKey(u)
		if _, waits := c.blockedOn[k]; !waits && !c.dirty.has(k) {
			c.programmed(k)
		}
	}
	for _, u := range out.Stale {
		c.stale(u)
	}
	for _, f := range out.Failed {
		c.failed(f)
	}
}

// Sources of problems that the compile function does not return.
const (
	sourceName     = "name"
	sourceConflict = "conflict"
	sourceDatabase = "database"
	sourceBlocked  = "blocked"
	sourceAddress  = "address"
	sourceWrite    = "write"
)

// problem replaces the problems of one source.
func (c *Core) problem(owner fact.Owner, source string, problems ...model.Problem) {
	s, ok := c.owners[owner]
	if !ok && len(problems) == 0 {
		return
	}
	if !ok {
		s = c.state(owner)
	}
	if slices.Equal(s.other[source], problems) {
		return
	}
	if len(problems) == 0 {
		delete(s.other, source)
	} else {
		if s.other == nil {
			s.other = map[string][]model.Problem{}
		}
		s.other[source] = problems
	}
	c.toReconcile.add(owner)
}

// reconcileAll carries out the wants of the queued owners, and reports their state if it has changed.
func (c *Core) reconcileAll() {
	for c.toReconcile.len() > 0 {
		for _, owner := range c.toReconcile.drain() {
			s, ok := c.owners[owner]
			if !ok {
				continue
			}
			if c.active && s.outstanding == 0 && !c.waitsForRetry(s) {
				for _, w := range s.wants {
					c.carryOut(owner, w)
				}
			}
			c.report(owner, s)
			if s.idle() && !(c.cfg.Writer.HasStatus(owner.Kind) && c.exists(owner)) {
				delete(c.owners, owner)
			}
		}
	}
}

func (c *Core) waitsForRetry(s *ownerState) bool {
	return !s.retryAt.IsZero() && c.cfg.Now().Before(s.retryAt)
}

func (s *ownerState) idle() bool {
	return len(s.wants)+s.outstanding+len(s.compiled)+len(s.input)+len(s.other) == 0 &&
		(s.reported == nil || len(s.reported.Problems) == 0)
}

func (c *Core) report(owner fact.Owner, s *ownerState) {
	r := c.reportOf(owner, s)
	meta, exists := c.world.Meta(owner)
	if s.reported != nil && (s.reportedUID != meta.UID || !exists) {
		c.forgetReport(owner, s)
	}
	switch {
	case s.reported == nil && len(r.Problems) == 0 && (!c.cfg.Writer.HasStatus(owner.Kind) || !r.Programmed):
		return
	case s.reported != nil && s.reported.Programmed == r.Programmed && s.reported.Generation == r.Generation && slices.Equal(s.reported.Problems, r.Problems):
		return
	case !c.leading || !exists:
		return
	}
	if r.Programmed {
		c.flushUsageOf(owner)
	}
	r.UID = meta.UID
	s.reported, s.reportedUID = &r, meta.UID
	c.cfg.Writer.Report(r)
}

func (c *Core) reportOf(owner fact.Owner, s *ownerState) Report {
	r := Report{Ref: owner, Generation: s.generation, Programmed: c.cfg.Writer.HasStatus(owner.Kind) && c.active && s.outstanding == 0}
	r.Problems = slices.Concat(s.input, s.compiled)
	for _, source := range []string{sourceAddress, sourceWrite, sourceName, sourceConflict, sourceDatabase, sourceBlocked} {
		r.Problems = append(r.Problems, s.other[source]...)
	}
	return r
}

// forgetReport forgets the last report of a deleted object, so that a recreated object of that name is reported again.
func (c *Core) forgetReport(owner fact.Owner, s *ownerState) {
	s.reported = nil
	if !c.cfg.Writer.HasStatus(owner.Kind) {
		c.cfg.Writer.Report(Report{Ref: owner})
	}
}
