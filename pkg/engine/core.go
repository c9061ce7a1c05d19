// Package engine is the one loop: wake, compile, desired, plan, commit.
//
// [Core] is the loop's body without goroutines: what goes in and what comes out
// are plain calls, so that a test can drive it step by step. [Engine] runs a
// Core in one goroutine and connects it to the API server and the database.
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

// MaxUnits bounds one transaction. More does not make the database faster, and
// a refused one is taken apart sooner.
const MaxUnits = 1000

// Config is what a Core is made of.
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
	// Deliver brings the end of a write back to [Core.Written]; it is called from any goroutine.
	Deliver func(WriteDone)
}

// Core holds the state of the loop. One goroutine owns it.
type Core struct {
	cfg       Config
	world     *world.World
	desired   *desired.State
	addresses *addresses.Registry

	toCompile *owners // woken
	toSettle  *owners // to be looked at: wants, reports
	dirty     *queue
	inflight  map[key]struct{}
	blocked   map[fact.Ref]map[key]struct{} // by the row that they wait for
	blockedOn map[key]fact.Ref
	drifted   map[key]struct{} // changed by others since it was compared
	misplaced []plan.Unit      // found by an audit

	owners     map[fact.Owner]*ownerState
	waiters    map[key][]fact.Owner // who is not programmed before this key is settled
	quarantine map[fact.Owner]*quarantine
	blind      map[fact.Owner]struct{} // frozen, and never compiled since the start
	retrying   map[fact.Owner]struct{} // a write failed: see ownerState.retryAt
	writing    map[writeKey]compile.Want

	kubeSynced, nbSynced, leading, active bool
}

// ownerState is what the engine keeps of an object besides its facts. Owners
// that are settled and have nothing to tell have none.
type ownerState struct {
	wants       []compile.Want
	outstanding int                        // keys that are not settled
	compiled    []model.Problem            // by the compile function
	input       []model.Problem            // by parsing
	other       map[string][]model.Problem // by source: claim, write, name, database
	reported    *Report
	reportedUID string    // of the object that it is about
	retryAt     time.Time // of wants whose write failed
	attempts    int
}

// NewCore makes a Core.
func NewCore(cfg Config) *Core {
	if cfg.Observer == nil {
		cfg.Observer = silent{}
	}
	if cfg.World == nil {
		cfg.World = world.New()
	}
	wanted := desired.New()
	c := &Core{
		cfg: cfg, world: cfg.World, desired: wanted,
		toCompile: newOwners(), toSettle: newOwners(), dirty: newQueue(wanted.Wants),
		inflight: map[key]struct{}{}, blocked: map[fact.Ref]map[key]struct{}{}, blockedOn: map[key]fact.Ref{},
		drifted: map[key]struct{}{}, retrying: map[fact.Owner]struct{}{},
		owners: map[fact.Owner]*ownerState{}, waiters: map[key][]fact.Owner{},
		quarantine: map[fact.Owner]*quarantine{}, blind: map[fact.Owner]struct{}{},
		writing: map[writeKey]compile.Want{},
	}
	c.addresses = addresses.New(c.world, addressEvents{c})
	return c
}

// KubeSynced says that the initial lists of all kinds have been applied.
func (c *Core) KubeSynced() {
	c.kubeSynced = true
	c.addresses.HoldCarried()
}

// Lead says whether this process may write.
func (c *Core) Lead(leading bool) {
	c.leading = leading
	if !leading {
		c.active = false
	}
}

// NBLost says that the database cannot be reached: the last known state stays readable.
func (c *Core) NBLost() {
	c.nbSynced, c.active = false, false
	c.cfg.Observer.Connected(false)
}

// NBSynced says that the cache is complete: everything in it may have changed.
func (c *Core) NBSynced() {
	c.nbSynced, c.active = true, false
	c.cfg.Observer.Connected(true)
}

// NBChanged says that a row has changed, by us or by others.
func (c *Core) NBChanged(ref fact.Ref) {
	if table := fact.TableOf(ref.Table); table == nil {
		return
	}
	c.unblock(ref)
	if !c.active {
		return // a full comparison is to come
	}
	d := desired.NewDirty()
	plan.Drift(c.desired, c.cfg.Actual, ref, c.frozen, len(c.blind) > 0, d)
	each(d, c.suspect)
}

// suspect compares a key because the database changed. Most such changes are the
// echo of our own, and the comparison finds nothing to do.
func (c *Core) suspect(k key) {
	_, ours := c.inflight[k]
	if !ours && !c.dirty.has(k) {
		c.drifted[k] = struct{}{}
	}
	c.dirty.add(k)
}

// unblock looks again at what waited for a row.
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
}

// release forgets that a key is blocked: it is being compared again.
func (c *Core) release(k key) {
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

// Step compiles what is woken and, once the start barrier is passed, settles
// what needs nothing of the database.
func (c *Core) Step() {
	c.addresses.Flush()
	c.compileAll()
	if c.active || !c.kubeSynced || !c.nbSynced || !c.leading {
		c.settleAll()
		return
	}
	c.activate()
	c.settleAll()
}

// activate passes the start barrier: all objects are known and compiled, so that
// what is not wanted now is wanted by nobody.
func (c *Core) activate() {
	c.active = true
	d := desired.NewDirty()
	c.desired.All(d)
	plan.Sweep(c.desired, c.cfg.Actual, c.frozen, len(c.blind) > 0, d)
	c.blocked, c.blockedOn, c.drifted = map[fact.Ref]map[key]struct{}{}, map[key]fact.Ref{}, map[key]struct{}{}
	c.dirty.addAll(d)
	for _, q := range c.quarantine {
		c.retry(q)
	}
	clear(c.quarantine)
	for owner := range c.owners {
		c.toSettle.add(owner)
	}
	slices.SortFunc(c.toSettle.order, fact.Owner.Compare)
	c.cfg.Log.Info("start barrier passed", "pods", c.world.Pods.Len(), "subnets", c.world.Subnets.Len(), "toCompare", c.dirty.len())
}

// Audited takes in what the columns of a table hold that are not monitored; see [plan.Audit].
func (c *Core) Audited(table *fact.Table, in string, parents map[string][]string) {
	c.misplaced = plan.Audit(c.desired, c.cfg.Actual, table, in, parents)
	var repaired repairs
	for _, u := range c.misplaced {
		c.repaired(&repaired, u)
	}
	c.tellRepairs(repaired)
}

func (c *Core) frozen(owner fact.Owner) bool {
	_, blind := c.blind[owner]
	return blind
}

// Active tells whether the start barrier is passed and writing is allowed.
func (c *Core) Active() bool { return c.active }

// Next compares what is dirty and gives the units of the next transaction; none
// when there is nothing to do, or when one is under way.
func (c *Core) Next() []plan.Unit {
	if !c.active || len(c.inflight) > 0 {
		return nil
	}
	c.releaseQuarantine()
	units := c.misplaced
	c.misplaced = nil
	for _, u := range units {
		c.inflight[unitKey(u)] = struct{}{}
	}
	for c.dirty.len() > 0 && len(units) == 0 {
		d := c.dirty.take(MaxUnits)
		result := plan.Plan(c.desired, c.cfg.Actual, d)
		units = result.Units
		c.sort(d, result)
	}
	c.settleAll() // of what turned out to be as it should be
	return units
}

// sort says for each key that was compared what becomes of it: it waits for a
// row, is being written, or is as it should be.
func (c *Core) sort(d *desired.Dirty, result plan.Result) {
	each(d, c.release)
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
			Message: t.Row.Table + " " + t.Name + " exists in the northbound database and is not Woven's (row " + t.Foreign + "); it is left alone, remove or rename it",
		})
	}
	var repaired repairs
	for _, u := range result.Units {
		k := unitKey(u)
		if _, ok := c.drifted[k]; ok {
			c.repaired(&repaired, u)
		}
		c.inflight[k] = struct{}{}
	}
	c.tellRepairs(repaired)
	c.drifted = map[key]struct{}{} // see move
	each(d, func(k key) {
		_, written := c.inflight[k]
		if _, waits := c.blockedOn[k]; !written && !waits {
			c.settled(k)
		}
	})
}

func unitKey(u plan.Unit) key {
	if u.Action == plan.Link || u.Action == plan.Unlink {
		return u.Member
	}
	return rowKey(u.Ref)
}
