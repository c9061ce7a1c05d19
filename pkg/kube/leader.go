// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/apihealth"
)

// LeaseConfig configures the Lease.
type LeaseConfig struct {
	Namespace, Name string
	Identity        string // unique to this process
	// Duration is how long other candidates wait after the last renewal, RenewDeadline how long the leader tries to
	// renew before it gives up, RetryPeriod the time between two attempts.
	Duration, RenewDeadline, RetryPeriod time.Duration
}

// Leader acquires and renews the Lease. A process that loses it continues as a standby and tries again.
type Leader struct {
	config LeaseConfig
	lock   *lock
	log    logr.Logger
	lead   []func(bool)

	mu      sync.Mutex
	leading bool
	held    bool // now or before
}

// NewLeader returns a Leader that calls the functions lead with true, in order, when it acquires the Lease, and with
// false, in reverse order, before the Lease may be another's.
func NewLeader(api *rest.Config, config LeaseConfig, health *apihealth.Reporter, clk clock.PassiveClock, log logr.Logger, lead ...func(bool)) (*Leader, error) {
	api = rest.CopyConfig(api)
	api.Timeout = max(config.RenewDeadline/2, time.Second)
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return nil, fmt.Errorf("create the client for the lease: %w", err)
	}
	inner, err := resourcelock.New(resourcelock.LeasesResourceLock, config.Namespace, config.Name,
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: config.Identity})
	if err != nil {
		return nil, fmt.Errorf("create the lock of lease %s/%s: %w", config.Namespace, config.Name, err)
	}
	l := &Leader{config: config, lock: &lock{Interface: inner, health: health, clock: clk}, log: log, lead: lead}
	if _, err := l.elector(); err != nil {
		return nil, fmt.Errorf("configure lease %s/%s: %w", config.Namespace, config.Name, err)
	}
	return l, nil
}

func (l *Leader) elector() (*leaderelection.LeaderElector, error) {
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l.lock, Name: l.config.Name,
		LeaseDuration: l.config.Duration, RenewDeadline: l.config.RenewDeadline, RetryPeriod: l.config.RetryPeriod,
		// No ReleaseOnCancel: the elector would call OnStoppedLeading only after it has tried to release the lease,
		// which may take longer than other candidates wait if the API server hangs. See releaseLease.
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: l.started,
			OnStoppedLeading: func() { l.set(false) },
		},
	})
}

// NeedLeaderElection is false: this is the election.
func (l *Leader) NeedLeaderElection() bool { return false }

// Holds reports whether this process certainly holds the lease now. A process that was paused for long, and has not yet
// noticed that another one leads, does not hold it.
func (l *Leader) Holds() bool {
	renewed := l.lock.renewed.Load()
	return renewed != nil && l.lock.clock.Since(*renewed) < l.config.RenewDeadline+l.config.RetryPeriod
}

// RenewedSince reports whether a request that began after t has acquired or renewed the lease, and no later one has
// found another holder.
func (l *Leader) RenewedSince(t time.Time) bool {
	renewed := l.lock.renewed.Load()
	return renewed != nil && renewed.After(t)
}

// Start acquires and renews the lease until the context ends; then it releases the lease, so that the next leader need
// not wait.
func (l *Leader) Start(ctx context.Context) error {
	quiet := klog.NewContext(ctx, logr.Discard()) // lock reports errors, without repetition
	for ctx.Err() == nil {
		elector, err := l.elector()
		if err != nil {
			return err
		}
		elector.Run(quiet)
	}
	l.releaseLease(context.WithoutCancel(ctx))
	return nil
}

// started runs in a goroutine of the elector, possibly after the lease was lost again.
func (l *Leader) started(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() == nil {
		l.setLocked(true)
	}
}

func (l *Leader) set(leading bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setLocked(leading)
}

func (l *Leader) setLocked(leading bool) {
	if l.leading == leading {
		return
	}
	l.leading = leading
	l.held = l.held || leading
	l.log.Info(map[bool]string{true: "lease acquired", false: "lease lost"}[leading], "name", l.config.Namespace+"/"+l.config.Name, "identity", l.config.Identity)
	for i := range l.lead {
		if leading {
			l.lead[i](true)
		} else {
			l.lead[len(l.lead)-1-i](false)
		}
	}
}

// releaseLease releases the lease if this process holds it.
func (l *Leader) releaseLease(ctx context.Context) {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	if !held {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.RetryPeriod)
	defer cancel()
	record, _, err := l.lock.Get(ctx)
	if err != nil || record.HolderIdentity != l.config.Identity {
		return
	}
	record.HolderIdentity = ""
	record.LeaseDurationSeconds = 1
	if err := l.lock.Update(ctx, *record); err == nil {
		l.log.Info("lease released", "name", l.config.Namespace+"/"+l.config.Name)
	}
}

// lock reports why the lease cannot be read or written: the elector's own log would repeat it with every attempt.
type lock struct {
	resourcelock.Interface
	health  *apihealth.Reporter
	clock   clock.PassiveClock
	renewed atomic.Pointer[time.Time] // start of the last request that acquired or renewed the lease
}

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.renewed.Store(nil) // the elector tries to renew until its deadline
	}
	return record, raw, l.report(ctx, err)
}

func (l *lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.renew(ctx, r, l.Interface.Create)
}

func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.renew(ctx, r, l.Interface.Update)
}

func (l *lock) renew(ctx context.Context, r resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	began := l.clock.Now()
	err := l.report(ctx, write(ctx, r))
	if err == nil && r.HolderIdentity == l.Identity() {
		l.renewed.Store(&began)
	}
	return err
}

func (l *lock) report(ctx context.Context, err error) error {
	expected := err == nil || ctx.Err() != nil ||
		apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	if !expected && !l.health.Unreachable(err) {
		l.health.Report("lease cannot be read or written, retrying", err)
	}
	return err
}
