// SPDX-License-Identifier: Apache-2.0

// Package apihealth reports why the API server cannot be used. client-go tries again on its own, but logs nothing while
// nobody listens at the address.
package apihealth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	// quietTime is how long the same problem is not logged again.
	quietTime = time.Minute
	// refusalLasts is how long a refused watch counts as present: longer than the longest pause of a reflector between
	// two attempts.
	refusalLasts = time.Minute
)

// Messages of the log.
const (
	cannotReach = "API server cannot be reached; continuing with the known state and retrying"
	cannotWatch = "API server refuses a watch; continuing with the known state and retrying"
)

// Reporter logs problems with the API server, one line for each cause and minute however many clients notice it, and
// remembers the present one. Set the exported fields before use; all methods may be called in parallel.
type Reporter struct {
	// Server is the address of the API server.
	Server string
	Log    logr.Logger
	Clock  clock.PassiveClock

	mu     sync.Mutex
	logged map[string]time.Time // by message and cause

	problem     string // empty if there is none
	since       time.Time
	unreachable bool // the problem lasts until the server answers
}

// Report logs a problem, unless it was logged within the last minute.
func (r *Reporter) Report(message string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(message, err)
}

// report: the caller holds mu.
func (r *Reporter) report(message string, err error) {
	cause := causeOf(err)
	key := message + "\x00" + cause
	now := r.Clock.Now()
	maps.DeleteFunc(r.logged, func(_ string, at time.Time) bool { return now.Sub(at) >= quietTime })
	if _, recent := r.logged[key]; recent {
		return
	}
	if r.logged == nil {
		r.logged = map[string]time.Time{}
	}
	r.logged[key] = now
	r.Log.Info(message, "server", r.Server, "cause", cause)
}

// Unreachable reports whether an error arose before the API server answered, and logs it if so.
func (r *Reporter) Unreachable(err error) bool {
	if status := apierrors.APIStatus(nil); err == nil || errors.As(err, &status) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problem, r.since, r.unreachable = causeOf(err), r.Clock.Now(), true
	r.report(cannotReach, err)
	return true
}

// WatchError is a handler for errors of watches. The normal ends of a watch, such as an expired resource version, are
// ignored.
func (r *Reporter) WatchError(_ context.Context, watch *toolscache.Reflector, err error) {
	if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || r.Unreachable(err) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problem, r.since, r.unreachable = causeOf(err), r.Clock.Now(), false
	if watch != nil {
		r.problem = "watch " + watch.TypeDescription() + ": " + r.problem
	}
	r.report(cannotWatch, err)
}

// Wrap observes the requests of a client, so that the end of a problem is noticed.
func (r *Reporter) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		switch {
		case err == nil:
			r.answered()
		case req.Context().Err() == nil: // else the client gave up
			r.Unreachable(err)
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (r *Reporter) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unreachable {
		r.problem, r.unreachable = "", false
		clear(r.logged)
		r.Log.Info("API server answers again", "server", r.Server)
	}
}

// String returns the present problem, "" if there is none. A server that was unreachable is so until a client of
// [Reporter.Wrap] gets an answer; a refused watch counts for a minute.
func (r *Reporter) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problem == "" || !r.unreachable && r.Clock.Since(r.since) > refusalLasts {
		return ""
	}
	return fmt.Sprintf("API server %s: %s", r.Server, r.problem)
}

// Explain adds the present problem to an error; nil stays nil.
func (r *Reporter) Explain(err error) error {
	if problem := r.String(); err != nil && problem != "" {
		return fmt.Errorf("%w; %s", err, problem)
	}
	return err
}

// causeOf leaves out the request, so that the same cause of several requests is one.
func causeOf(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return err.Error()
}
