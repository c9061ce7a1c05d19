package engine

import (
	"time"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

// quarantine holds what the database refused for one owner, so that the owner
// backs off alone and the rest goes on.
type quarantine struct {
	keys     map[key]struct{}
	until    time.Time
	attempts int
}

// failed keeps a unit back and tells its owner why.
func (c *Core) failed(u plan.Unit, err error) {
	q := c.isolate(u)
	q.attempts++
	q.until = c.cfg.Now().Add(backoff(q.attempts))
	c.cfg.Log.Info("the northbound database refuses a change", "owner", u.Owner.String(), "table", u.Ref.Table, "row", u.Ref.UUID, "reason", err.Error())
	c.problem(u.Owner, sourceDatabase, model.Problem{
		Reason: model.ReasonDatabaseRefused, Message: "the northbound database refuses " + u.Ref.Table + " " + c.describe(u.Ref) + ": " + err.Error(),
	})
}

// stale looks again at a unit that was committed and is not there: the row that
// it builds on had gone. If that repeats, it backs off.
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

// describe names a row for a human.
func (c *Core) describe(ref fact.Ref) string {
	if want, ok := c.desired.Row(ref); ok {
		return want.Row.ID
	}
	return ref.UUID
}

// releaseQuarantine lets owners try again whose time has come.
func (c *Core) releaseQuarantine() {
	now := c.cfg.Now()
	for owner, q := range c.quarantine {
		switch {
		case now.Before(q.until):
		case len(q.keys) == 0: // tried again and nothing came back
			delete(c.quarantine, owner)
		default:
			c.retry(q)
			clear(q.keys)
		}
	}
}

func (c *Core) retry(q *quarantine) {
	for k := range q.keys {
		c.dirty.add(k)
	}
}

// unquarantine lets an owner try at once, because it wants something else now.
func (c *Core) unquarantine(owner fact.Owner) {
	if q, ok := c.quarantine[owner]; ok {
		c.retry(q)
		delete(c.quarantine, owner)
	}
}

// Deadline is when [Core.Retry] has something to do; zero for never.
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
	return first
}

// Retry looks again at the owners whose writes failed and whose time has come.
func (c *Core) Retry() {
	now := c.cfg.Now()
	for owner := range c.retrying {
		if s := c.owners[owner]; !now.Before(s.retryAt) {
			s.retryAt = time.Time{}
			delete(c.retrying, owner)
			c.toSettle.add(owner)
		}
	}
}
