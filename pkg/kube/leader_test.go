// SPDX-License-Identifier: Apache-2.0

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

// fakeLock is a lease in memory.
type fakeLock struct {
	record resourcelock.LeaderElectionRecord
	err    error
}

func (p *fakeLock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record := p.record
	return &record, nil, p.err
}

func (p *fakeLock) Create(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	return p.Update(context.Background(), r)
}

func (p *fakeLock) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	if p.err == nil {
		p.record = r
	}
	return p.err
}
func (p *fakeLock) RecordEvent(string) {}
func (p *fakeLock) Identity() string   { return "us" }
func (p *fakeLock) Describe() string   { return "fake" }

func TestLeaseIsHeldOnlyWhileItIsRenewed(t *testing.T) {
	clk := testclock.NewFakePassiveClock(epoch)
	inner := &fakeLock{}
	health := &apihealth.Reporter{Log: testr.New(t), Clock: clk}
	l := &Leader{
		config: LeaseConfig{Duration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 6 * time.Second},
		lock:   &lock{Interface: inner, health: health, clock: clk}, log: testr.New(t),
	}
	ours, ctx := resourcelock.LeaderElectionRecord{HolderIdentity: "us"}, t.Context()
	if l.Holds() {
		t.Error("held before it was acquired")
	}
	if err := l.lock.Create(ctx, ours); err != nil || !l.Holds() {
		t.Errorf("not held after it was acquired: %v", err)
	}
	clk.SetTime(epoch.Add(27 * time.Second)) // paused for so long
	if l.Holds() {
		t.Error("held although it was not renewed")
	}
	if err := l.lock.Update(ctx, ours); err != nil || !l.Holds() {
		t.Errorf("not held after it was renewed: %v", err)
	}
	inner.err = errors.New("refused")
	if err := l.lock.Update(ctx, ours); err == nil || !l.Holds() {
		t.Error("not held after a failed renewal, although it is still valid")
	}
	inner.err, inner.record.HolderIdentity = nil, "other"
	if _, _, err := l.lock.Get(ctx); err != nil || l.Holds() {
		t.Errorf("held although another process holds it: %v", err)
	}
}

func TestLeaderReleasesOnlyALeaseThatItHeld(t *testing.T) {
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
	inner := &fakeLock{record: resourcelock.LeaderElectionRecord{HolderIdentity: "us"}}
	l := &Leader{
		config: LeaseConfig{Identity: "us", RetryPeriod: time.Second},
		lock:   &lock{Interface: inner, health: &apihealth.Reporter{Log: testr.New(t), Clock: clk}, clock: clk}, log: testr.New(t),
		lead: []func(bool){note("writer"), note("engine")},
	}
	l.releaseLease(t.Context())
	if inner.record.HolderIdentity != "us" {
		t.Error("a lease that was never held is released")
	}
	l.set(true)
	l.set(true)
	l.set(false)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	l.started(over) // the elector's goroutine runs late
	if got := len(order); got != 4 || order[0] != "+writer" || order[3] != "-writer" {
		t.Errorf("calls are %v, want +writer first and -writer last", order)
	}
	l.releaseLease(t.Context())
	if inner.record.HolderIdentity != "" {
		t.Error("the lease is not released")
	}
}
