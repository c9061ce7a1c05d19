// SPDX-License-Identifier: Apache-2.0

package apihealth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testclock "k8s.io/utils/clock/testing"
)

// reporter returns one at a fixed time, and the lines that it logs.
func reporter() (*Reporter, *testclock.FakePassiveClock, *[]string) {
	now := testclock.NewFakePassiveClock(time.Unix(1e9, 0))
	lines := &[]string{}
	return &Reporter{
		Server: "https://192.0.2.1:6443", Clock: now,
		Log: funcr.New(func(_, args string) { *lines = append(*lines, args) }, funcr.Options{}),
	}, now, lines
}

func TestOneLineForEachCauseAndMinute(t *testing.T) {
	r, now, lines := reporter()
	refused := errors.New("connection refused")
	for i := range 10 { // several requests, one cause
		if !r.Unreachable(fmt.Errorf("do: %w", &url.Error{Op: "Get", URL: fmt.Sprintf("https://there/%d", i), Err: refused})) {
			t.Error("a refused connection does not count as unreachable")
		}
	}
	if len(*lines) != 1 || !strings.Contains((*lines)[0], `"server"="https://192.0.2.1:6443" "cause"="connection refused"`) {
		t.Fatalf("lines %q", *lines)
	}
	r.Report("something else", refused)
	now.SetTime(now.Now().Add(quietTime))
	r.Unreachable(refused)
	if len(*lines) != 3 {
		t.Errorf("lines %q, want 3", *lines)
	}
	if r.Unreachable(apierrors.NewInternalError(errors.New("broken"))) || r.Unreachable(nil) {
		t.Error("an answer of the API server counts as unreachable")
	}
	*lines = nil
	for _, err := range []error{io.EOF, apierrors.NewResourceExpired("too old")} {
		r.WatchError(context.Background(), nil, err)
	}
	if len(*lines) != 0 {
		t.Errorf("the normal end of a watch is logged: %q", *lines)
	}
}

func TestPresentProblem(t *testing.T) {
	r, now, lines := reporter()
	var failure error
	wrapped := r.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		if failure != nil {
			return nil, failure
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	request := func(ctx context.Context) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Server, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := wrapped.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}
	check := func(problem string, logged int) {
		t.Helper()
		if got := r.String(); (problem == "") != (got == "") || !strings.Contains(got, problem) || len(*lines) != logged {
			t.Errorf("problem %q, %d lines %q; want %q and %d", got, len(*lines), *lines, problem, logged)
		}
	}
	request(t.Context())
	check("", 0)
	failure = errors.New("connection refused")
	request(t.Context())
	request(t.Context())
	check("API server https://192.0.2.1:6443: connection refused", 1)
	now.SetTime(now.Now().Add(time.Hour))
	check("connection refused", 1) // until the server answers
	request(t.Context())
	check("connection refused", 2)
	failure = nil
	request(t.Context())
	check("", 3)
	failure = context.Canceled
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	request(ended)
	check("", 3) // the client gave up
	if err := r.Explain(nil); err != nil {
		t.Error(err)
	}
	failure = nil
	r.WatchError(t.Context(), nil, apierrors.NewForbidden(schema.GroupResource{Resource: "subnets"}, "", errors.New("no role")))
	request(t.Context())
	check("forbidden", 4)
	if err := r.Explain(errors.New("no plan")); err == nil || !strings.Contains(err.Error(), "no plan; API server") {
		t.Error(err)
	}
	now.SetTime(now.Now().Add(2 * refusalLasts))
	check("", 4)
}
