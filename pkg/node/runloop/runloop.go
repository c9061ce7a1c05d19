// SPDX-License-Identifier: Apache-2.0

// Package runloop runs a function after each event, again after a failure, and from time to time without an event.
package runloop

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

const (
	// ResyncInterval is the time between two passes that compare everything although there was no event: a safety net
	// for lost events.
	ResyncInterval = 5 * time.Minute
	// PassInterval is the least time between two passes, so that a burst of events costs one.
	PassInterval = 50 * time.Millisecond
	// MinBackoff is the wait after the first failed pass; it doubles with each failure.
	MinBackoff = 200 * time.Millisecond
	// maxBackoff bounds that wait.
	maxBackoff = 10 * time.Second
)

// Loop makes passes. Make it with [New].
type Loop struct {
	clock clock.WithTicker
	kick  chan struct{}
}

// New returns a loop that does nothing until [Loop.Run].
func New(c clock.WithTicker) *Loop { return &Loop{clock: c, kick: make(chan struct{}, 1)} }

// Kick asks for a pass soon. It never blocks.
func (l *Loop) Kick() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Pass does what there is to do. resync says that events may have been lost. If it succeeds and after is not 0, the
// next pass is made after that time at the latest.
type Pass func(ctx context.Context, resync bool) (after time.Duration, err error)

// Run makes passes until ctx ends: one after each Kick, one for each failed pass, and one each [ResyncInterval]. Errors
// are the pass's own to log.
func (l *Loop) Run(ctx context.Context, pass Pass) {
	slow := l.clock.NewTicker(ResyncInterval)
	defer slow.Stop()
	backoff := MinBackoff
	var again <-chan time.Time
	for {
		resync := false
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		case <-again:
		case <-slow.C():
			resync = true
		}
		after, err := pass(ctx, resync)
		if ctx.Err() != nil {
			return
		}
		again = nil
		switch {
		case err != nil:
			again = l.clock.After(backoff)
			backoff = min(2*backoff, maxBackoff)
		case after > 0:
			again = l.clock.After(after)
			fallthrough
		default:
			backoff = MinBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-l.clock.After(PassInterval):
		}
	}
}

// Keep runs watch until ctx ends, and starts it again whenever it returns. what names the watched thing in the log.
func Keep(ctx context.Context, c clock.Clock, log logr.Logger, what string, watch func(context.Context) error) {
	for ctx.Err() == nil {
		if err := watch(ctx); err != nil {
			log.Error(err, "watch failed, starting it again", "watch", what)
		}
		select {
		case <-ctx.Done():
		case <-c.After(MinBackoff):
		}
	}
}
