package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	testclock "k8s.io/utils/clock/testing"

	"github.com/wovensdn/woven/pkg/apihealth"
)

// paper is a lease in memory.
type paper struct {
	record resourcelock.LeaderElectionRecord
	err    error
}

func (p *paper) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record := p.record
	return &record, nil, p.err
}

func (p *paper) Create(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	return p.Update(context.Background(), r)
}

func (p *paper) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	if p.err == nil {
		p.record = r
	}
	return p.err
}
func (p *paper) RecordEvent(string) {}
func (p *paper) Identity() string   { return "us" }
func (p *paper) Describe() string   { return "paper" }

func TestLeaseIsHeldOnlyWhileItIsRenewed(t *testing.T) {
	clk := testclock.NewFakePassiveClock(epoch)
	inner := &paper{}
	outage := &apihealth.Reporter{Log: testr.New(t), Clock: clk}
	l := &Leader{
		config: LeaseConfig{Duration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 6 * time.Second},
		lock:   &lock{Interface: inner, outage: outage, clock: clk}, log: testr.New(t),
	}
	ours, ctx := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}, t.Context()
	if l.Holds() {
		t.Error("held before it was taken")
	}
	if err := l.lock.Create(ctx, ours); err != nil || !l.Holds() {
		t.Errorf("not held after it was taken: %v", err)
	}
	clk.SetTime(epoch.Add(27 * time.Second)) // stopped for so long
	if l.Holds() {
		t.Error("held although it was not renewed")
	}
	if err := l.lock.Update(ctx, ours); err != nil || !l.Holds() {
		t.Errorf("not held after it was renewed: %v", err)
	}
	inner.err = errors.New("refused")
	if err := l.lock.Update(ctx, ours); err == nil || !l.Holds() {
		t.Error("a failed renewal ends what is still valid")
	}
	inner.err, inner.record.HolderIdentity = nil, "robber"
	if _, _, err := l.lock.Get(ctx); err != nil || l.Holds() {
		t.Errorf("held although it is another's: %v", err)
	}
}

func TestLeaderGivesBackWhatIsItsOwn(t *testing.T) {
	var order []string
	note := func(name string) func(bool) {
		return func(leading bool) {
			if leading {
				order = append(order, "+"+name)
			} else {
				order = append(order, "-"+name)
			}
		}
	}
	clk := testclock.NewFakePassiveClock(epoch)
	inner := &paper{record: resourcelock.LeaderElectionRecord{HolderIdentity: "us"}}
	l := &Leader{
		config: LeaseConfig{Identity: "us", RetryPeriod: time.Second},
		lock:   &lock{Interface: inner, outage: &apihealth.Reporter{Log: testr.New(t), Clock: clk}, clock: clk}, log: testr.New(t),
		lead: []func(bool){note("writer"), note("engine")},
	}
	l.release(t.Context())
	if inner.record.HolderIdentity != "us" {
		t.Error("what was never held is given back")
	}
	l.set(true)
	l.set(true)
	l.set(false)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	l.started(over) // the elector's goroutine comes late
	if got := len(order); got != 4 || order[0] != "+writer" || order[3] != "-writer" {
		t.Errorf("told %v", order)
	}
	l.release(t.Context())
	if inner.record.HolderIdentity != "" {
		t.Error("the lease is kept")
	}
}
