// SPDX-License-Identifier: Apache-2.0

// Package engine is the one loop: wake, compile, desired, plan, commit.
//
// [Core] is the loop's body without goroutines: its inputs and outputs are plain calls, so that a test can drive it
// step by step. [Engine] runs a Core in one goroutine and connects it to the API server and the database.
package engine

import (
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/pkg/world"
)

// MaxUnits bounds one transaction. Larger transactions do not make the database faster, and a refused small one is
// bisected sooner.
const MaxUnits = 1000

// Config configures a [Core].
type Config struct {
	// World holds the objects; nil for an empty one.
	World *world.World
	// Functions compile the objects of each kind, see [compile.Functions].
	Functions map[model.Kind]compile.Func
	Writer    Writer
	Actual    plan.Actual
	Observer  Observer // may be nil
	Now       func() time.Time
	Log       logr.Logger
	// Deliver passes the result of a write to [Core.Written]; it is called from any goroutine.
	Deliver func(WriteDone)
}

// Core holds the state of the loop. One goroutine owns it.
type Core struct {
	cfg       Config
	world     *world.World
	desired   *desired.State
	addresses *addresses.Registry

	toCompile    *owners // woken
	toReconcile  *owners // their wants are carried out, and their reports written
	dirty        *queue
	inflight     map[key]struct{}
	blocked      map[fact.Ref]map[key]struct{} // by the row that they wait for
	blockedOn    map[key]fact.Ref
	newlyBlocked []blockedSince   // oldest first; those that wait no longer are skipped
	drifted      map[key]struct{} // changed by other clients since the last comparison
	misplaced    []plan.Unit      // found by an audit

	owners        map[fact.Owner]*ownerState
	waiters       map[key][]fact.Owner // owners that are not programmed before this key is
	quarantine    map[fact.Owner]*quarantine
	neverCompiled map[fact.Owner]struct{} // paused since the start: the facts of their rows are not known
	spared        spared
	retrying      map[fact.Owner]struct{} // a write failed: see ownerState.retryAt
	writing       map[writeKey]compile.Want

	kubeSynced, nbSynced, keptCarried, leading, active bool
}

// ownerState is what the engine keeps of an object besides its facts. Owners with nothing outstanding and nothing to
// report have none.
type ownerState struct {
	wants       []compile.Want
	outstanding int                        // keys that are not in the database yet
	compiled    []model.Problem            // by the compile function
	input       []model.Problem            // by parsing
	other       map[string][]model.Problem // by source, see sourceName
	generation  int64
	reported    *Report
	reportedUID string    // of the object that was reported
	retryAt     time.Time // when wants whose write failed are tried again
	attempts    int
}

// NewCore returns a Core without state.
func NewCore(cfg Config) *Core {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	if cfg.World == nil {
		cfg.World = world.New()
	}
	wanted := desired.New()
	c := &Core{
		cfg: cfg, world: cfg.World, desired: wanted,
		toCompile: newOwners(), toReconcile: newOwners(), dirty: newQueue(wanted.Wants),
		inflight: map[key]struct{}{}, blocked: map[fact.Ref]map[key]struct{}{}, blockedOn: map[key]fact.Ref{},
		drifted: map[key]struct{}{}, retrying: map[fact.Owner]struct{}{},
		owners: map[fact.Owner]*ownerState{}, waiters: map[key][]fact.Owner{},
		quarantine: map[fact.Owner]*quarantine{}, neverCompiled: map[fact.Owner]struct{}{},
		writing: map[writeKey]compile.Want{}, spared: newSpared(),
	}
	c.addresses = addresses.New(c.world, addressEvents{c})
	return c
}

// KubeSynced reports that the initial lists of all kinds have been applied.
func (c *Core) KubeSynced() { c.kubeSynced = true }

// Lead sets whether this process leads, that is, may write.
func (c *Core) Lead(leading bool) {
	c.leading = leading
	if !leading {
		c.active = false
	}
}

// NBLost reports that the database is unreachable: the last known state stays readable.
func (c *Core) NBLost() {
	c.nbSynced, c.active = false, false
	c.cfg.Observer.Connected(false)
}

// NBSynced reports that the cache is complete: everything in it may have changed.
func (c *Core) NBSynced() {
	c.nbSynced, c.active = true, false
	c.cfg.Observer.Connected(true)
}

// NBChanged reports that a row has changed, by a transaction of ours or of another client.
func (c *Core) NBChanged(ref fact.Ref) {
	if table := fact.TableOf(ref.Table); table == nil {
		return
	}
	c.unblock(ref)
	if !c.active {
		return // a full comparison follows
	}
	d := desired.NewDirty()
	plan.Drift(c.desired, c.cfg.Actual, ref, c.spared.plan(), d)
	each(d, c.recompare)
}

// recompare queues a key for comparison because the database changed. Most such changes are the updates that our own
// transactions cause, and the comparison finds no difference.
func (c *Core) recompare(k key) {
	_, ours := c.inflight[k]
	if !ours && !c.dirty.has(k) {
		c.drifted[k] = struct{}{}
	}
	c.dirty.add(k)
}

// Step compiles the woken owners and passes the start barrier when its conditions hold. It reconciles the owners that
// wait for nothing in the database. Nothing is compiled before all objects are known: an owner would be compiled again
// with each object that it reads.
func (c *Core) Step() {
	if !c.kubeSynced {
		return
	}
	c.addresses.Flush()
	if c.nbSynced && !c.keptCarried {
		c.keptCarried = true
		c.addresses.KeepCarried(c.portOf)
	}
	c.compileAll()
	if c.active || !c.nbSynced || !c.leading {
		c.reconcileAll()
		return
	}
	c.activate()
	c.reconcileAll()
}

// activate passes the start barrier: all objects are known and compiled, so that a row of ours that is not wanted now
// is an orphan.
func (c *Core) activate() {
	c.active = true
	c.cfg.Observer.Compared()
	d := desired.NewDirty()
	c.desired.All(d)
	c.spared = newSpared()
	for owner := range c.neverCompiled {
		c.spared.rows[owner] = nil
	}
	plan.Sweep(c.desired, c.cfg.Actual, c.spared.plan(), d)
	c.newlyBlocked = nil
	c.blocked, c.blockedOn, c.drifted = map[fact.Ref]map[key]struct{}{}, map[key]fact.Ref{}, map[key]struct{}{}
	c.dirty.addAll(d)
	for _, q := range c.quarantine {
		c.requeue(q)
	}
	clear(c.quarantine)
	for owner := range c.owners {
		c.toReconcile.add(owner)
	}
	slices.SortFunc(c.toReconcile.order, fact.Owner.Compare)
	c.cfg.Log.Info("all objects are known, comparing with the northbound database", "pods", c.world.Pods.Len(), "subnets", c.world.Subnets.Len(), "toCompare", c.dirty.len())
}

// Audited compares columns that are not monitored, as an audit has read them; see [plan.Audit].
func (c *Core) Audited(table *fact.Table, in string, parents map[string][]string) {
	c.misplaced = plan.Audit(c.desired, c.cfg.Actual, table, in, parents)
	var drift repairs
	for _, u := range c.misplaced {
		c.recordRepair(&drift, u)
	}
	c.reportRepairs(drift)
}

func (c *Core) paused(owner fact.Owner) bool {
	_, ok := c.neverCompiled[owner]
	return ok
}

// Active reports whether the start barrier is passed and writing is allowed.
func (c *Core) Active() bool { return c.active }

// Next compares what is dirty and returns the units of the next transaction: none if there is no difference, or while a
// transaction is under way.
func (c *Core) Next() []plan.Unit {
	if !c.active || len(c.inflight) > 0 {
		return nil
	}
	c.retryQuarantined()
	units := c.misplaced
	c.misplaced = nil
	for _, u := range units {
		c.inflight[unitKey(u)] = struct{}{}
	}
	for c.dirty.len() > 0 && len(units) == 0 {
		d := c.dirty.take(MaxUnits)
		result := plan.Plan(c.desired, c.cfg.Actual, d)
		units = result.Units
		c.classify(d, result)
	}
	c.reconcileAll() // owners whose keys need no write
	return units
}

// classify records the result of each comparison: the key waits for a row, is being written, or is programmed.
func (c *Core) classify(d *desired.Dirty, result plan.Result) {
	each(d, c.clearBlock)
	for _, b := range result.Blocked {
		k := b.Member
		if k.Column == "" {
			k = rowKey(b.Row)
		}
		c.block(k, b.On)
	}
	for _, t := range result.Taken {
		c.problem(t.Owner, sourceName, model.Problem{
			Reason:  model.ReasonNameTaken,
			Message: t.Row.Table + " " + t.Name + " exists in the northbound database and is not Woven's (row " + t.Foreign + "): it is left unchanged; delete or rename it",
		})
	}
	invalid := c.invalid(result.Invalid)
	var drift repairs
	for _, u := range result.Units {
		k := unitKey(u)
		if _, ok := c.drifted[k]; ok {
			c.recordRepair(&drift, u)
		}
		c.inflight[k] = struct{}{}
	}
	c.reportRepairs(drift)
	c.drifted = map[key]struct{}{} // see move
	each(d, func(k key) {
		_, written := c.inflight[k]
		_, waits := c.blockedOn[k]
		if !written && !waits && !invalid[k] {
			c.programmed(k)
		}
	})
}

// invalid records what the database would refuse, and returns the keys. Their owners wait until they are changed.
func (c *Core) invalid(list []plan.Invalid) map[key]bool {
	var keys map[key]bool
	for _, i := range list {
		k := i.Member
		if k.Column == "" {
			k = rowKey(i.Row)
		}
		if keys == nil {
			keys = map[key]bool{}
		}
		keys[k] = true
		c.problem(i.Owner, sourceDatabase, refused(c.rowName(i.Row), i.Err.Table, i.Err))
	}
	return keys
}

func unitKey(u plan.Unit) key {
	if u.Action == plan.Link || u.Action == plan.Unlink {
		return u.Member
	}
	return rowKey(u.Ref)
}
