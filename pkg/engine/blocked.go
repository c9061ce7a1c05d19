// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
)

// blockedGrace is how long a fact waits for a row before its objects report it: mostly the row comes with one of the
// next transactions.
const blockedGrace = 500 * time.Millisecond

// blockedSince is a key that began to wait for a row.
type blockedSince struct {
	key key
	at  time.Time
}

// unblock queues the keys that waited for a row.
func (c *Core) unblock(ref fact.Ref) {
	for k := range c.blocked[ref] {
		delete(c.blockedOn, k)
		c.dirty.add(k)
	}
	delete(c.blocked, ref)
}

func (c *Core) block(k key, on fact.Ref) {
	if c.blocked[on] == nil {
		c.blocked[on] = map[key]struct{}{}
	}
	c.blocked[on][k] = struct{}{}
	c.blockedOn[k] = on
	c.newlyBlocked = append(c.newlyBlocked, blockedSince{k, c.cfg.Now()})
}

// clearBlock forgets that a key is blocked: it is being compared again.
func (c *Core) clearBlock(k key) {
	on, ok := c.blockedOn[k]
	if !ok {
		return
	}
	delete(c.blockedOn, k)
	delete(c.blocked[on], k)
	if len(c.blocked[on]) == 0 {
		delete(c.blocked, on)
	}
}

// reportBlocked reports the objects whose facts wait for longer than [blockedGrace]. The problem ends when everything
// of the object is in the database.
func (c *Core) reportBlocked() {
	due := c.cfg.Now().Add(-blockedGrace)
	for len(c.newlyBlocked) > 0 && !c.newlyBlocked[0].at.After(due) {
		k := c.newlyBlocked[0].key
		c.newlyBlocked = c.newlyBlocked[1:]
		on, waits := c.blockedOn[k]
		if !waits {
			continue
		}
		for _, owner := range c.waiters[k] {
			c.problem(owner, sourceBlocked, model.Problem{
				Reason:  model.ReasonWaitingForDependency,
				Message: fmt.Sprintf("%s waits for %s %s, which is not in the northbound database", c.factText(k), on.Table, c.rowName(on)),
			})
		}
	}
}

// reportsBlocked is when [Core.reportBlocked] has something to report; zero for never.
func (c *Core) reportsBlocked() time.Time {
	if len(c.newlyBlocked) == 0 {
		return time.Time{}
	}
	return c.newlyBlocked[0].at.Add(blockedGrace)
}
