// SPDX-License-Identifier: Apache-2.0

package runloop_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/node/runloop"
)

// run makes passes for some time and returns when each was made, and which of them were resyncs.
func run(t *testing.T, d time.Duration, events func(l *runloop.Loop), pass func(n int) (time.Duration, error)) (at []time.Duration, resyncs int) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	l, start := runloop.New(clock.RealClock{}), time.Now()
	events(l)
	l.Run(ctx, func(_ context.Context, resync bool) (time.Duration, error) {
		at = append(at, time.Since(start))
		if resync {
			resyncs++
		}
		return pass(len(at))
	})
	return at, resyncs
}

func TestRun(t *testing.T) {
	const ms = time.Millisecond
	kick := func(l *runloop.Loop) { l.Kick(); l.Kick() }
	ok := func(int) (time.Duration, error) { return 0, nil }
	for _, c := range []struct {
		name    string
		lasts   time.Duration
		events  func(l *runloop.Loop)
		pass    func(n int) (time.Duration, error)
		want    []time.Duration
		resyncs int
	}{
		{"no event", time.Minute, func(*runloop.Loop) {}, ok, nil, 0},
		{"two events, one pass", time.Minute, kick, ok, []time.Duration{0}, 0},
		{"resync", 11 * time.Minute, kick, ok, []time.Duration{0, 5 * time.Minute, 10 * time.Minute}, 2},
		{"backoff doubles and starts again", 3 * time.Second, kick, func(n int) (time.Duration, error) {
			if n == 4 {
				return 300 * ms, nil
			}
			return 0, errors.New("failed")
		}, []time.Duration{0, 200 * ms, 600 * ms, 1400 * ms, 1700 * ms, 1900 * ms, 2300 * ms}, 0},
		{"events during a pass", time.Second, func(l *runloop.Loop) {
			l.Kick()
			time.AfterFunc(10*ms, l.Kick)
		}, ok, []time.Duration{0, 50 * ms}, 0},
		{"asked for another", time.Second, kick, func(n int) (time.Duration, error) {
			if n == 1 {
				return 400 * ms, nil
			}
			return 0, nil
		}, []time.Duration{0, 400 * ms}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			if at, resyncs := run(t, c.lasts, c.events, c.pass); !slices.Equal(at, c.want) || resyncs != c.resyncs {
				t.Errorf("%s: passes at %v with %d resyncs, want %v and %d", c.name, at, resyncs, c.want, c.resyncs)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		runloop.Keep(ctx, clock.RealClock{}, logr.Discard(), "links", func(context.Context) error {
			if count++; count == 3 {
				cancel()
			}
			return errors.New("broken")
		})
		if count != 3 {
			t.Errorf("watched %d times, want 3", count)
		}
	})
}
