// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/pkg/world"
)

// compileAll runs the compile functions of all woken owners.
func (c *Core) compileAll() {
	for c.toCompile.len() > 0 {
		for _, owner := range c.toCompile.drain() {
			start := c.cfg.Now()
			c.compile(owner)
			c.cfg.Observer.Compiled(owner.Kind, c.cfg.Now().Sub(start).Seconds())
		}
	}
}

func (c *Core) compile(owner fact.Owner) {
	function, ok := c.cfg.Functions[owner.Kind]
	if !ok {
		return
	}
	var result compile.Result
	invalid := c.world.Read(owner, func(v *world.View) { result = function(owner, v) })
	for _, ref := range invalid {
		if ref != owner {
			result.Problems = append(result.Problems, model.Problem{
				Reason: model.ReasonInvalidReference, Fatal: true,
				Message: fmt.Sprintf("%s %s is invalid: nothing is changed until it is fixed", ref.Kind, ref.Name),
			})
		}
	}
	if len(invalid) > 0 || model.Fatal(result.Problems) {
		c.pause(owner, result.Problems)
		return
	}
	c.accept(owner, result)
}

// pause keeps the last valid state of an owner whose input is invalid: its facts stay. If it has none since the start,
// its rows in the database are not swept.
func (c *Core) pause(owner fact.Owner, problems []model.Problem) {
	if facts := c.desired.Facts(owner); len(facts.Rows)+len(facts.Members) == 0 {
		c.neverCompiled[owner] = struct{}{}
	}
	s := c.state(owner)
	s.compiled, s.wants = problems, nil
	c.toReconcile.add(owner)
}

func (c *Core) accept(owner fact.Owner, result compile.Result) {
	d := desired.NewDirty()
	before := c.desired.Facts(owner)
	c.desired.Set(owner, c.age(owner), result.Set, d)
	if c.paused(owner) {
		c.resume(owner)
	}
	if d.Len() > 0 {
		c.awaitKeys(owner, d)
		c.dirty.addAll(d)
		if len(c.drifted) > 0 { // a key whose wanted state has changed is no drift
			each(d, func(k key) { delete(c.drifted, k) })
		}
		c.unquarantine(owner)
		c.recheckRivals(owner, before, result.Set)
	}
	gone := !c.exists(owner)
	if gone && len(result.Rows)+len(result.Members)+len(result.Wants) == 0 && !result.Watches {
		c.world.Forget(owner)
	}
	if c.owners[owner] == nil && d.Len() == 0 && len(result.Wants)+len(result.Problems) == 0 && !c.cfg.Writer.HasStatus(owner.Kind) {
		return
	}
	s := c.state(owner)
	s.compiled, s.wants = result.Problems, result.Wants
	if gone {
		delete(s.other, sourceAddress) // a deleted object needs no address
	}
	c.conflicts(owner)
	c.toReconcile.add(owner)
}

// resume ends a pause that has lasted since the start: what the last full comparison spared because of the owner is
// compared with its facts. Any tenant can make an object that is paused, so this costs no more than the owner's rows.
func (c *Core) resume(owner fact.Owner) {
	delete(c.neverCompiled, owner)
	d := desired.NewDirty()
	for _, ref := range c.spared.release(owner) {
		plan.Recheck(c.desired, c.cfg.Actual, ref, c.spared.plan(), d)
	}
	c.dirty.addAll(d)
}

// recheckRivals updates the conflicts of the other owners of the same rows: one may have begun or ended.
func (c *Core) recheckRivals(owner fact.Owner, before, now fact.Set) {
	for _, facts := range []fact.Set{before, now} {
		for _, rival := range c.desired.Rivals(owner, facts) {
			c.conflicts(rival)
			c.toReconcile.add(rival)
		}
	}
}

func (c *Core) conflicts(owner fact.Owner) {
	var problems []model.Problem
	for _, conflict := range c.desired.Conflicts(owner) {
		problems = append(problems, model.Problem{
			Reason:  model.ReasonConflict,
			Message: fmt.Sprintf("%s belongs to %s, which is older", conflict.What(), conflict.Winner),
		})
	}
	c.problem(owner, sourceConflict, problems...)
}

func (c *Core) exists(ref model.Ref) bool {
	_, ok := c.world.Meta(ref)
	return ok
}

func (c *Core) age(ref model.Ref) int64 {
	meta, _ := c.world.Meta(ref)
	return meta.Created
}
