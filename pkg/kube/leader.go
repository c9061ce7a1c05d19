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

// LeaseConfig says which Lease is held and for how long.
type LeaseConfig struct {
	Namespace, Name string
	Identity        string // unique to this process
	// Duration is how long others wait after the last renewal; RenewDeadline is
	// how long we try to renew before we give up; RetryPeriod is between two tries.
	Duration, RenewDeadline, RetryPeriod time.Duration
}

// Leader holds the Lease while it can. Losing it is normal: the process goes on
// as a standby and tries again.
type Leader struct {
	config LeaseConfig
	lock   *lock
	log    logr.Logger
	lead   []func(bool)

	mu      sync.Mutex
	leading bool
	held    bool // at any time
}

// NewLeader makes a Leader that calls lead, in order, when the Lease is won, and
// in reverse order before it is lost.
func NewLeader(api *rest.Config, config LeaseConfig, outage *apihealth.Reporter, clk clock.PassiveClock, log logr.Logger, lead ...func(bool)) (*Leader, error) {
	api = rest.CopyConfig(api)
	api.Timeout = max(config.RenewDeadline/2, time.Second)
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return nil, fmt.Errorf("make client for the lease: %w", err)
	}
	inner, err := resourcelock.New(resourcelock.LeasesResourceLock, config.Namespace, config.Name,
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: config.Identity})
	if err != nil {
		return nil, fmt.Errorf("make lease %s/%s: %w", config.Namespace, config.Name, err)
	}
	l := &Leader{config: config, lock: &lock{Interface: inner, outage: outage, clock: clk}, log: log, lead: lead}
	if _, err := l.elector(); err != nil {
		return nil, fmt.Errorf("configure lease %s/%s: %w", config.Namespace, config.Name, err)
	}
	return l, nil
}

func (l *Leader) elector() (*leaderelection.LeaderElector, error) {
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l.lock, Name: l.config.Name,
		LeaseDuration: l.config.Duration, RenewDeadline: l.config.RenewDeadline, RetryPeriod: l.config.RetryPeriod,
		// With ReleaseOnCancel the elector would tell of a lost lease only after
		// it has tried to release it, which may take longer than others wait
		// when the API server hangs. See release.
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: l.started,
			OnStoppedLeading: func() { l.set(false) },
		},
	})
}

// NeedLeaderElection is false: this is the election.
func (l *Leader) NeedLeaderElection() bool { return false }

// Holds tells whether the lease is surely ours at this moment. A process that
// was stopped for long, and has not yet noticed that others lead, does not hold it.
func (l *Leader) Holds() bool {
	renewed := l.lock.renewed.Load()
	return renewed != nil && l.lock.clock.Since(*renewed) < l.config.RenewDeadline+l.config.RetryPeriod
}

// Start holds the lease whenever it can until the context ends; then it gives
// the lease back, so that the next leader need not wait.
func (l *Leader) Start(ctx context.Context) error {
	quiet := klog.NewContext(ctx, logr.Discard()) // lock tells of errors, once
	for ctx.Err() == nil {
		elector, err := l.elector()
		if err != nil {
			return err
		}
		elector.Run(quiet)
	}
	l.release(context.WithoutCancel(ctx))
	return nil
}

// started runs in a goroutine of the elector, perhaps after the lease is lost again.
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
	l.log.Info("lease", "name", l.config.Namespace+"/"+l.config.Name, "identity", l.config.Identity, "held", leading)
	for i := range l.lead {
		if leading {
			l.lead[i](true)
		} else {
			l.lead[len(l.lead)-1-i](false)
		}
	}
}

// release gives the lease back if it is ours.
func (l *Leader) release(ctx context.Context) {
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
		l.log.Info("lease given back", "name", l.config.Namespace+"/"+l.config.Name)
	}
}

// lock tells why the lease cannot be read or written: the elector's own log
// would repeat it with every try.
type lock struct {
	resourcelock.Interface
	outage  *apihealth.Reporter
	clock   clock.PassiveClock
	renewed atomic.Pointer[time.Time] // when the last request that made or kept the lease ours began
}

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.renewed.Store(nil) // the elector goes on trying for a while
	}
	return record, raw, l.told(ctx, err)
}

func (l *lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.renew(ctx, r, l.Interface.Create)
}

func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.renew(ctx, r, l.Interface.Update)
}

func (l *lock) renew(ctx context.Context, r resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	began := l.clock.Now()
	err := l.told(ctx, write(ctx, r))
	if err == nil && r.HolderIdentity == l.Identity() {
		l.renewed.Store(&began)
	}
	return err
}

func (l *lock) told(ctx context.Context, err error) error {
	expected := err == nil || ctx.Err() != nil ||
		apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	if !expected && !l.outage.Unreachable(err) {
		l.outage.Report("lease cannot be held; trying again", err)
	}
	return err
}
