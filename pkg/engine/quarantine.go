// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// quarantine contains the keys of one owner that the database refused, so that only this owner backs off.
type quarantine struct {
	keys     map[key]struct{}
	until    time.Time
	attempts int
}

// failed quarantines a unit that the database refused, and records the problem of its owner.
func (c *Core) failed(f commit.Failure) {
	u := f.Unit
	q := c.isolate(u)
	q.attempts++
	q.until = c.cfg.Now().Add(backoff(q.attempts))
	c.cfg.Log.Info("the northbound database refuses a change, retrying", "owner", u.Owner.String(), "table", u.Ref.Table, "row", u.Ref.UUID, "reason", f.Err.Error())
	c.problem(u.Owner, sourceDatabase, refused(c.rowName(f.Cause.Ref), f.Cause.Ref.Table, f.Err))
}

func refused(row, table string, err error) model.Problem {
	return model.Problem{
		Reason: model.ReasonDatabaseRefused, Message: "the northbound database refuses " + table + " " + row + ": " + err.Error(),
	}
}

// stale retries a unit that had no effect although it was committed: the row that it changes was deleted before. If
// that repeats, it backs off.
func (c *Core) stale(u plan.Unit) {
	q := c.isolate(u)
	q.attempts++
	if q.attempts > 1 {
		q.until = c.cfg.Now().Add(backoff(q.attempts - 1))
	}
}

func (c *Core) isolate(u plan.Unit) *quarantine {
	q := c.quarantine[u.Owner]
	if q == nil {
		q = &quarantine{keys: map[key]struct{}{}}
		c.quarantine[u.Owner] = q
	}
	q.keys[unitKey(u)] = struct{}{}
	return q
}

// rowName is the name of a row in messages: the ID of a wanted row, the UUID of any other.
func (c *Core) rowName(ref fact.Ref) string {
	if want, ok := c.desired.Row(ref); ok {
		return want.Row.ID
	}
	return ref.UUID
}

// retryQuarantined queues the keys of the owners whose back-off is over.
func (c *Core) retryQuarantined() {
	now := c.cfg.Now()
	for owner, q := range c.quarantine {
		switch {
		case now.Before(q.until):
		case len(q.keys) == 0: // they were tried again, and none was refused
			delete(c.quarantine, owner)
		default:
			c.requeue(q)
			clear(q.keys)
		}
	}
}

func (c *Core) requeue(q *quarantine) {
	for k := range q.keys {
		c.dirty.add(k)
	}
}

// unquarantine ends the back-off of an owner whose wanted state has changed.
func (c *Core) unquarantine(owner fact.Owner) {
	if q, ok := c.quarantine[owner]; ok {
		c.requeue(q)
		delete(c.quarantine, owner)
	}
}

// Deadline is when [Core.Retry] or [Core.Next] has something to do; zero for never.
func (c *Core) Deadline() time.Time {
	var first time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, q := range c.quarantine {
		if len(q.keys) > 0 {
			sooner(q.until)
		}
	}
	for owner := range c.retrying {
		sooner(c.owners[owner].retryAt)
	}
	sooner(c.reportsBlocked())
	return first
}

// Retry queues the owners whose writes failed and whose back-off is over, and reports those that wait for others.
func (c *Core) Retry() {
	c.reportBlocked()
	now := c.cfg.Now()
	for owner := range c.retrying {
		if s := c.owners[owner]; !now.Before(s.retryAt) {
			s.retryAt = time.Time{}
			delete(c.retrying, owner)
			c.toReconcile.add(owner)
		}
	}
}
