package kube

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// quietTime is how long one cause of an outage is not told again.
const quietTime = time.Minute

// Outage tells that the API server cannot be used: one line for each cause and
// minute, however many clients notice.
type Outage struct {
	Server string // address of the API server
	Log    logr.Logger
	Clock  clock.PassiveClock

	mu   sync.Mutex
	told map[string]time.Time // by message and cause
}

// Report tells of an error, unless it was just told.
func (o *Outage) Report(message string, err error) {
	cause := causeOf(err)
	key := message + "\x00" + cause
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.Clock.Now()
	maps.DeleteFunc(o.told, func(_ string, at time.Time) bool { return now.Sub(at) >= quietTime })
	if _, ok := o.told[key]; ok {
		return
	}
	if o.told == nil {
		o.told = map[string]time.Time{}
	}
	o.told[key] = now
	o.Log.Info(message, "server", o.Server, "cause", cause)
}

// Unreachable tells whether an error came about before the API server answered,
// and if so reports it, in the same words for whoever noticed.
func (o *Outage) Unreachable(err error) bool {
	if result(err) != unreachable {
		return false
	}
	o.Report("API server cannot be reached; going on with what is known, and trying again", err)
	return true
}

// WatchError is a handler for errors of watches. What belongs to the life of a
// watch (its end, an expired resource version) is not worth a line.
func (o *Outage) WatchError(_ context.Context, _ *toolscache.Reflector, err error) {
	if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	if !o.Unreachable(err) {
		o.Report("API server cannot be watched; going on with what is known, and trying again", err)
	}
}

// causeOf leaves out the request, so that the same trouble of several requests is one cause.
func causeOf(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return err.Error()
}
