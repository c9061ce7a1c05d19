package node

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	testingclock "k8s.io/utils/clock/testing"
)

func TestTrouble(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Unix(1e9, 0))
	var lines []string
	tr := &Trouble{
		Server: "https://192.0.2.1:6443", Clock: now,
		Log: funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}),
	}
	var answer error
	rt := tr.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		if answer != nil {
			return nil, answer
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))
	ask := func(ctx context.Context) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, tr.Server, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := rt.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}
	check := func(trouble string, logged int) {
		t.Helper()
		if got := tr.String(); (trouble == "") != (got == "") || !strings.Contains(got, trouble) || len(lines) != logged {
			t.Errorf("trouble %q, %d lines %v; want %q and %d", got, len(lines), lines, trouble, logged)
		}
	}
	ask(t.Context())
	check("", 0)
	answer = errors.New("connection refused")
	ask(t.Context())
	ask(t.Context())
	check("API server https://192.0.2.1:6443: connection refused", 1) // once, not twice
	now.SetTime(now.Now().Add(time.Hour))
	check("connection refused", 1) // it is away until it answers
	ask(t.Context())
	check("connection refused", 2)
	answer = nil
	ask(t.Context())
	check("", 3)
	answer = context.Canceled
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ask(ended)
	check("", 3) // we gave up ourselves
	if err := tr.Explain(nil); err != nil {
		t.Error(err)
	}
	answer = nil
	tr.note(errors.New("follow *v1.Subnet: forbidden"), false)
	ask(t.Context())
	check("forbidden", 4)
	if err := tr.Explain(errors.New("no plan")); err == nil || !strings.Contains(err.Error(), "no plan; API server") {
		t.Error(err)
	}
	now.SetTime(now.Now().Add(2 * troubleLasts))
	check("", 4)
}
