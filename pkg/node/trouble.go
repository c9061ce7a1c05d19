package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	// troubleLasts is how long a refusal counts as present: longer than the reflectors' longest pause between two tries.
	troubleLasts = time.Minute
	// repeatAfter is how long the same trouble is not logged again.
	repeatAfter = 30 * time.Second
)

// Trouble remembers why the API server cannot be followed, and logs it. client-go
// tries again on its own, but says nothing while nobody listens at the address.
type Trouble struct {
	// Server is the API server's address, for the log.
	Server string
	Clock  clock.PassiveClock
	Log    logr.Logger

	mu     sync.Mutex
	last   error
	when   time.Time // of last
	logged time.Time
	away   bool // the last request got no answer at all
}

// Handle is the caches' watch error handler.
func (t *Trouble) Handle(_ context.Context, r *toolscache.Reflector, err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || errors.Is(err, io.EOF) {
		return // the normal end of a watch; a new one follows
	}
	t.note(fmt.Errorf("follow %s: %w", r.TypeDescription(), err), false)
}

// Wrap observes the requests of a client.
func (t *Trouble) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		switch {
		case err == nil:
			t.answered()
		case req.Context().Err() == nil:
			t.note(err, true)
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (t *Trouble) note(err error, away bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Clock.Now()
	known := t.last != nil && t.last.Error() == err.Error()
	t.last, t.when, t.away = err, now, away
	if known && now.Sub(t.logged) < repeatAfter {
		return
	}
	t.logged = now
	t.Log.Error(err, "cannot follow the cluster, trying again", "server", t.Server)
}

// answered ends the trouble of a server that was away.
func (t *Trouble) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.away {
		t.last, t.away = nil, false
		t.Log.Info("the API server answers again", "server", t.Server)
	}
}

// String returns the present trouble in words, "" if there is none.
func (t *Trouble) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil || (!t.away && t.Clock.Since(t.when) > troubleLasts) {
		return ""
	}
	return fmt.Sprintf("API server %s: %v", t.Server, t.last)
}

// Explain adds the present trouble to an error; nil stays nil.
func (t *Trouble) Explain(err error) error {
	if trouble := t.String(); err != nil && trouble != "" {
		return fmt.Errorf("%w; %s", err, trouble)
	}
	return err
}
