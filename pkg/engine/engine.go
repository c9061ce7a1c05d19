// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/plan"
)

// usageInterval is the shortest time between two reports of the counters of subnets.
const usageInterval = time.Second

// takeOverPause is the time between two attempts to begin an epoch.
const takeOverPause = time.Second

// contestPause is how long a leader does not try to begin an epoch if another one ended its epoch within this time
// after its begin: two clusters that use one database must not take it from each other all the time.
const contestPause = 30 * time.Second

// Engine runs a [Core] in one goroutine. Its other methods are safe for concurrent use and do not block: they queue
// calls in an inbox.
type Engine struct {
	core *Core
	cfg  Config
	db   commit.DB
	view *commit.View

	mu    sync.Mutex
	inbox []func()
	wake  chan struct{}

	// Owned by the loop's goroutine.
	ctx       context.Context //nolint:containedctx // of Run, for the goroutines that it starts
	leading   bool            // this process holds the lease
	connected bool            // the cache is complete
	lease     Lease           // nil: always held
	fence     commit.Fence
	fenced    bool      // fence holds the present epoch
	began     time.Time // of the present epoch
	passedAt  time.Time // when another leader's epoch was found; zero if none was
	busy      bool      // a transaction or a take-over is under way
	pauseTill time.Time
	audited   bool // since the last full comparison
	complete  bool // the database says that it has everything
}

// New returns an engine. It sets cfg.Actual and cfg.Deliver.
func New(cfg Config, db commit.DB) *Engine {
	e := &Engine{db: db, view: commit.NewView(db), wake: make(chan struct{}, 1)}
	cfg.Actual = e.view
	cfg.Deliver = func(d WriteDone) { e.post(func() { e.core.Written(d) }) }
	e.cfg = cfg
	e.core = NewCore(cfg)
	return e
}

func (e *Engine) post(f func()) {
	e.mu.Lock()
	e.inbox = append(e.inbox, f)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *Engine) take() []func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.inbox
	e.inbox = nil
	return calls
}

// Apply applies changes from the API server.
func (e *Engine) Apply(changes ...Change) {
	e.post(func() {
		for _, ch := range changes {
			if err := e.core.Apply(ch); err != nil {
				e.cfg.Log.Error(err, "a change from the API server cannot be applied")
			}
		}
	})
}

// KubeSynced reports that the initial lists of all kinds have been applied.
func (e *Engine) KubeSynced() { e.post(func() { e.core.KubeSynced() }) }

// HoldWhile sets the lease that is checked before each write, so that a process that was paused for long writes nothing
// when it resumes. Call it before Run.
func (e *Engine) HoldWhile(lease Lease) { e.lease = lease }

func (e *Engine) holds() bool { return e.lease == nil || e.lease.Holds() }

// Lead sets whether this process holds the lease.
func (e *Engine) Lead(leading bool) {
	e.post(func() {
		e.leading, e.passedAt, e.pauseTill = leading, time.Time{}, time.Time{}
		if !leading {
			e.fenced = false
			e.core.Lead(false)
		}
	})
}

// Synced reports that the cache of the northbound database is complete.
func (e *Engine) Synced() {
	e.post(func() {
		e.connected, e.audited, e.complete = true, false, false
		e.view.Reset()
		e.core.NBSynced()
	})
}

// Changed reports that a row of the northbound database has changed.
func (e *Engine) Changed(table, uuid string) {
	ref := fact.Ref{Table: table, UUID: uuid}
	e.post(func() {
		e.view.Changed(ref)
		e.core.NBChanged(ref)
	})
}

// Lost reports that the northbound database is unreachable.
func (e *Engine) Lost(err error) {
	e.post(func() {
		e.connected = false
		e.core.NBLost()
		e.cfg.Log.Info("the northbound database is unreachable; running pods are not affected", "reason", err.Error())
	})
}

// Run is the loop. It returns when ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	e.ctx = ctx
	usage := time.NewTicker(usageInterval)
	defer usage.Stop()
	retry := time.NewTimer(usageInterval)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-usage.C:
			e.core.FlushUsage()
		case <-retry.C:
		}
		for _, f := range e.take() {
			f()
		}
		// Not only when the timer expires: it is reset on each turn, so that under steady load it never does.
		e.core.Retry()
		e.checkFence()
		e.takeOver()
		e.core.Step()
		e.commit()
		e.setTimer(retry)
	}
}

func (e *Engine) setTimer(retry *time.Timer) {
	wait := usageInterval
	if at := e.core.Deadline(); !at.IsZero() {
		wait = max(at.Sub(e.cfg.Now()), time.Millisecond)
	}
	retry.Reset(wait)
}

// checkFence ends the epoch if the database does not have it. A database that was wiped, or restored from an older
// copy, is taken over at once.
func (e *Engine) checkFence() {
	if !e.fenced || !e.connected || e.busy {
		return
	}
	relation := e.fence.Relation(e.db)
	if relation == commit.Current {
		return
	}
	e.fenced = false
	e.core.Lead(false)
	now := e.cfg.Now()
	if relation == commit.Lost {
		e.cfg.Log.Info("the northbound database has lost the epoch of this controller: it was wiped or restored", "epoch", e.fence.Epoch)
		return
	}
	e.passedAt = now
	if now.Sub(e.began) < contestPause {
		e.pauseTill = now.Add(contestPause)
	}
	e.cfg.Log.Info("another controller leads: writes of this one are refused", "epoch", e.fence.Epoch)
}

// takeOver begins an epoch once this process holds the lease and the database is connected. If another leader's epoch
// was found, the lease must have been renewed since: the database may be a restored one.
func (e *Engine) takeOver() {
	if !e.leading || !e.connected || e.fenced || e.busy || e.cfg.Now().Before(e.pauseTill) || !e.holds() {
		return
	}
	if e.lease != nil && !e.passedAt.IsZero() && !e.lease.RenewedSince(e.passedAt) {
		return
	}
	e.busy = true
	ctx, claim := e.ctx, commit.Claim{Above: e.fence.Epoch, Permit: e.holds}
	go func() {
		fence, err := commit.TakeOver(ctx, e.db, claim)
		e.post(func() { e.tookOver(fence, err) })
	}()
}

func (e *Engine) tookOver(fence commit.Fence, err error) {
	e.busy = false
	if errors.Is(err, commit.ErrNotPermitted) {
		return
	}
	if err != nil {
		e.pauseTill = e.cfg.Now().Add(takeOverPause)
		e.cfg.Log.Error(err, "cannot begin a new epoch, retrying")
		return
	}
	e.fence, e.fenced, e.began, e.passedAt, e.complete = fence, e.leading, e.cfg.Now(), time.Time{}, false
	e.core.cfg.Observer.Epoch(fence.Epoch)
	e.cfg.Log.Info("this controller leads", "epoch", fence.Epoch)
	e.core.Lead(e.leading)
}

// commit sends the next transaction. While a transaction is under way, the changes for the next one gather: group
// commit without a timer.
func (e *Engine) commit() {
	if e.busy || !e.connected || !e.fenced || !e.leading || !e.holds() {
		return
	}
	units := e.core.Next()
	if len(units) == 0 {
		e.markComplete()
		e.audit()
		return
	}
	e.busy = true
	ctx, fence, start := e.ctx, e.fence, e.cfg.Now()
	go func() {
		out := commit.Commit(ctx, e.db, fence, units)
		e.post(func() { e.committed(units, out, e.cfg.Now().Sub(start)) })
	}()
}

// markComplete writes, once after each full comparison, that nothing of it is left to write.
func (e *Engine) markComplete() {
	if e.complete || !e.core.Active() {
		return
	}
	e.complete, e.busy = true, true
	ctx, fence := e.ctx, e.fence
	go func() {
		err := fence.Complete(ctx, e.db)
		e.post(func() {
			e.busy = false
			if err != nil { // the connection is lost or the epoch has ended: either leads to another comparison
				e.cfg.Log.Error(err, "the northbound database is not marked as complete")
			}
		})
	}()
}

// audit reads, once after each full comparison, the columns that are not monitored.
func (e *Engine) audit() {
	if e.audited || e.busy || !e.core.Active() {
		return
	}
	e.audited, e.busy = true, true
	ctx := e.ctx
	go func() {
		for _, child := range unmonitored() {
			parents, err := commit.Parents(ctx, e.db, child.in)
			e.post(func() {
				if err != nil {
					e.cfg.Log.Error(err, "cannot audit the northbound database")
					return
				}
				e.core.Audited(child.table, child.in.Table, parents)
			})
		}
		e.post(func() { e.busy = false })
	}()
}

// children is a table with a column that refers to its rows.
type children struct {
	table *fact.Table
	in    fact.Parent
}

// unmonitored are the children whose parents' columns are not in the cache.
func unmonitored() (out []children) {
	for _, t := range fact.Tables() {
		for _, in := range t.Parents {
			if slices.Contains(fact.TableOf(in.Table).Unmonitored, in.Column) {
				out = append(out, children{t, in})
			}
		}
	}
	return out
}

func (e *Engine) committed(units []plan.Unit, out commit.Outcome, took time.Duration) {
	e.busy = false
	e.core.Committed(units, out, took)
	switch {
	case errors.Is(out.Err, commit.ErrFenced):
		e.checkFence() // the cache has the epoch that refused the transaction
	case out.Err != nil:
		// The client calls Lost if the connection is closed; until then the batch is tried again.
		e.cfg.Log.Error(fmt.Errorf("commit %d changes: %w", len(units), out.Err), "commit failed, retrying")
	}
}
