// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// troubled is a Status that writes events only.
func troubled(t *testing.T) (*Status, *record.FakeRecorder, *clocktesting.FakeClock) {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	recorder := record.NewFakeRecorder(1000)
	s := &Status{clock: clk, events: recorder, kinds: AllKinds().byName(), in: &Intake{}, leading: true, problems: newProblemEvents(clk)}
	t.Cleanup(s.problems.queue.ShutDown)
	return s, recorder, clk
}

func report(name string, texts ...string) engine.Report {
	r := engine.Report{Ref: model.Ref{Kind: model.KindPod, Namespace: "default", Name: name}}
	for _, text := range texts {
		r.Problems = append(r.Problems, model.Problem{Reason: model.ReasonPodInvalid, Message: text})
	}
	return r
}

// later advances the clock and emits the events of the objects whose time has come.
func later(t *testing.T, s *Status, clk *clocktesting.FakeClock, d time.Duration) {
	t.Helper()
	clk.Step(d)
	if !s.emitWithheld() { // waits for the goroutine of the queue, not for the time
		t.Fatal("the queue is shut down")
	}
}

// An object whose problem changes all the time has a burst of events, then one a minute, and other objects have theirs.
func TestEventsOfAFlippingObject(t *testing.T) {
	s, recorder, clk := troubled(t)
	for i := range 3600 {
		s.Report(report("flips", fmt.Sprint("bad ", i)))
		s.Report(report("flips"))
		clk.Step(time.Second)
	}
	got := drain(recorder)
	if want := problemEventBurst + 60; len(got) > want || len(got) < want-2 {
		t.Errorf("%d events in an hour, want %d", len(got), want)
	}
	s.Report(report("other", "bad"))
	if got := drain(recorder); len(got) != 1 || !strings.Contains(got[0], "bad") {
		t.Errorf("events of another object: %q", got)
	}
}

// The last state of an object gets its event, although the limit withholds it for a while.
func TestWithheldEventsComeLater(t *testing.T) {
	s, recorder, clk := troubled(t)
	for i := range problemEventBurst + 5 {
		s.Report(report("a", fmt.Sprint("bad ", i)))
	}
	if got := drain(recorder); len(got) != problemEventBurst {
		t.Errorf("%d events at once", len(got))
	}
	later(t, s, clk, problemEventInterval)
	if got := drain(recorder); len(got) != 1 || !strings.Contains(got[0], fmt.Sprint("bad ", problemEventBurst+4)) {
		t.Errorf("events a minute later: %q, want one of the last problem", got)
	}
	s.Report(report("a", fmt.Sprint("bad ", problemEventBurst+4)))
	if got := drain(recorder); len(got) > 0 {
		t.Errorf("the same problem has more events: %q", got)
	}
	s.Report(report("a", "another"))
	s.Report(report("a"))
	later(t, s, clk, problemEventInterval)
	if got := drain(recorder); len(got) > 0 {
		t.Errorf("events of a problem that is gone: %q", got)
	}
}

// An object with many problems does not fill the queue of the event recorder.
func TestEventsOfManyProblems(t *testing.T) {
	s, recorder, clk := troubled(t)
	var texts []string
	for i := range 5000 {
		texts = append(texts, fmt.Sprint("bad ", i))
	}
	s.Report(report("a", texts...))
	if got := drain(recorder); len(got) != problemEventBurst {
		t.Errorf("%d events at once", len(got))
	}
	later(t, s, clk, problemEventInterval)
	if got := drain(recorder); len(got) != 1 || !strings.Contains(got[0], "bad 10") {
		t.Errorf("events a minute later: %q", got)
	}
}

// The limits of objects that no longer need them are forgotten when there are too many.
func TestLimitersExpire(t *testing.T) {
	s, recorder, clk := troubled(t)
	for i := range limitedObjects {
		s.Report(report(fmt.Sprint("p", i), "bad"))
		drain(recorder)
	}
	clk.Step(problemEventBurst * problemEventInterval)
	s.Report(report("new", "bad"))
	if n := len(s.problems.limiters); n != 1 {
		t.Errorf("%d limiters", n)
	}
}

// An object that is created again under its name does not inherit the limit of its predecessor.
func TestEventsOfARecreatedObject(t *testing.T) {
	s, recorder, _ := troubled(t)
	of := func(uid, text string) engine.Report {
		r := report("asks", text)
		r.UID = uid
		return r
	}
	for i := range 2 * problemEventBurst {
		s.Report(of("1", fmt.Sprint("bad ", i)))
	}
	if got := len(drain(recorder)); got != problemEventBurst {
		t.Errorf("%d events of the first object, want %d", got, problemEventBurst)
	}
	s.Report(of("2", "bad again"))
	if got := len(drain(recorder)); got != 1 {
		t.Errorf("%d events of its successor, want 1", got)
	}
}
