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

// usageInterval is how often the counters of subnets are told at most.
const usageInterval = time.Second

// takeOverPause is how long to wait before the epoch is tried for again.
const takeOverPause = time.Second

// fencedPause is how long a leader that finds another epoch keeps away, so that it
// learns of the loss of its lease first: the duration of a lease.
const fencedPause = 30 * time.Second

// Engine runs a [Core] in one goroutine. Its other methods are safe for
// concurrent use and do not block: they put news into an inbox.
type Engine struct {
	core *Core
	cfg  Config
	db   commit.DB
	view *commit.View

	mu    sync.Mutex
	inbox []func()
	wake  chan struct{}

	// Of the loop's goroutine.
	ctx       context.Context //nolint:containedctx // of Run, for the goroutines that it starts
	leading   bool            // the lease is ours
	connected bool            // the cache is complete
	fence     commit.Fence
	fenced    bool // fence holds the present epoch
	busy      bool // a transaction or a take-over is under way
	pauseTill time.Time
	audited   bool // since the last full comparison
}

// New makes an engine. cfg.Actual and cfg.Deliver are set by it.
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
	news := e.inbox
	e.inbox = nil
	return news
}

// Apply brings news from the API server.
func (e *Engine) Apply(changes ...Change) {
	e.post(func() {
		for _, ch := range changes {
			if err := e.core.Apply(ch); err != nil {
				e.cfg.Log.Error(err, "news from the API server cannot be used")
			}
		}
	})
}

// KubeSynced says that the initial lists of all kinds have been applied.
func (e *Engine) KubeSynced() { e.post(func() { e.core.KubeSynced() }) }

// Lead says whether the lease is ours.
func (e *Engine) Lead(leading bool) {
	e.post(func() {
		e.leading = leading
		if !leading {
			e.fenced = false
			e.core.Lead(false)
		}
	})
}

// Synced says that the cache of the northbound database is complete.
func (e *Engine) Synced() {
	e.post(func() {
		e.connected, e.audited = true, false
		e.view.Reset()
		e.core.NBSynced()
	})
}

// Changed says that a row of the northbound database has changed.
func (e *Engine) Changed(table, uuid string) {
	ref := fact.Ref{Table: table, UUID: uuid}
	e.post(func() {
		e.view.Changed(ref)
		e.core.NBChanged(ref)
	})
}

// Lost says that the northbound database cannot be reached.
func (e *Engine) Lost(err error) {
	e.post(func() {
		e.connected = false
		e.core.NBLost()
		e.cfg.Log.Info("the northbound database is lost; running pods are not affected", "reason", err.Error())
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
			e.core.Retry()
		}
		for _, f := range e.take() {
			f()
		}
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

// takeOver begins an epoch of our own once we have the lease and the database.
func (e *Engine) takeOver() {
	if !e.leading || !e.connected || e.fenced || e.busy || e.cfg.Now().Before(e.pauseTill) {
		return
	}
	e.busy = true
	ctx := e.ctx
	go func() {
		fence, err := commit.TakeOver(ctx, e.db)
		e.post(func() { e.tookOver(fence, err) })
	}()
}

func (e *Engine) tookOver(fence commit.Fence, err error) {
	e.busy = false
	if err != nil {
		e.pauseTill = e.cfg.Now().Add(takeOverPause)
		e.cfg.Log.Error(err, "cannot begin a new epoch")
		return
	}
	e.fence, e.fenced = fence, true
	e.core.cfg.Observer.Epoch(fence.Epoch)
	e.cfg.Log.Info("leading", "epoch", fence.Epoch)
	e.core.Lead(e.leading)
}

// commit sends what is ready. While a transaction is under way the next one
// fills: that is group commit without a timer.
func (e *Engine) commit() {
	if e.busy || !e.connected || !e.fenced || !e.leading {
		return
	}
	units := e.core.Next()
	if len(units) == 0 {
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

// audit reads, once after each full comparison, the columns that are not monitored.
func (e *Engine) audit() {
	if e.audited || !e.core.Active() {
		return
	}
	e.audited, e.busy = true, true
	ctx := e.ctx
	go func() {
		for _, child := range unmonitored() {
			parents, err := commit.Parents(ctx, e.db, child.in)
			e.post(func() {
				if err != nil {
					e.cfg.Log.Error(err, "audit of the northbound database")
					return
				}
				e.core.Audited(child.table, child.in.Table, parents)
			})
		}
		e.post(func() { e.busy = false })
	}()
}

// children is a table and where its rows are referred to.
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
		e.fenced = false
		e.core.Lead(false)
		e.pauseTill = e.cfg.Now().Add(fencedPause)
		e.cfg.Log.Info("fenced off: another controller leads", "reason", out.Err.Error())
	case out.Err != nil:
		// The client says Lost if the connection is gone; until then the batch is tried again.
		e.cfg.Log.Error(fmt.Errorf("commit %d changes: %w", len(units), out.Err), "commit failed and is tried again")
	}
}
