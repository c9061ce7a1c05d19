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

func repairing(size int) (*Status, *record.FakeRecorder, *clocktesting.FakeClock) {
	clk := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
	recorder := record.NewFakeRecorder(size)
	return &Status{
		clock: clk, events: recorder, kinds: AllKinds().byName(), in: &Intake{}, leading: true,
		repairs: map[model.Ref]repairCount{}, repairEvents: newRepairLimiter(clk),
	}, recorder, clk
}

func drain(r *record.FakeRecorder) (out []string) {
	for len(r.Events) > 0 {
		out = append(out, <-r.Events)
	}
	return out
}

// An object gets one event a minute, with what was repaired and how many repairs there were since the last event.
func TestRepairsOfOneObject(t *testing.T) {
	s, recorder, clk := repairing(10)
	repair := engine.Repair{Ref: model.Ref{Kind: model.KindSubnet, Name: "blue"}, What: "ACL x was deleted: it is created again", Changes: 1}
	s.Repaired(repair)
	got := drain(recorder)
	if len(got) != 1 || !strings.Contains(got[0], "Warning DriftRepaired") || !strings.Contains(got[0], repair.What) || strings.Contains(got[0], "since") {
		t.Fatalf("events: %q", got)
	}
	repair.Changes = 3
	for range 5 {
		clk.Step(10 * time.Second)
		s.Repaired(repair)
	}
	if got := drain(recorder); len(got) > 0 {
		t.Errorf("events within a minute: %q", got)
	}
	clk.Step(10 * time.Second)
	s.Repaired(repair)
	if got := drain(recorder); len(got) != 1 || !strings.Contains(got[0], "18 changes") {
		t.Errorf("events: %q, want one of 18 changes", got)
	}
	s.leading = false
	clk.Step(time.Hour)
	s.Repaired(repair)
	if got := drain(recorder); len(got) > 0 {
		t.Errorf("events of a standby: %q", got)
	}
}

// Drift of many objects does not cause as many events.
func TestRepairsOfManyObjects(t *testing.T) {
	s, recorder, clk := repairing(2000)
	for i := range 1000 {
		s.Repaired(engine.Repair{Ref: model.Ref{Kind: model.KindPod, Namespace: "default", Name: fmt.Sprint("p", i)}, Changes: 1})
	}
	if got := drain(recorder); len(got) != repairEventBurst {
		t.Errorf("%d events, want %d", len(got), repairEventBurst)
	}
	clk.Step(time.Minute)
	for range repairedObjectsLimit * 2 {
		s.forgetRepairs(clk.Now())
		s.repairs[model.Ref{Name: fmt.Sprint(len(s.repairs))}] = repairCount{}
	}
	if len(s.repairs) > repairedObjectsLimit {
		t.Errorf("%d objects are remembered", len(s.repairs))
	}
}
