// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

const (
	statusInterval = time.Second            // between two writes of one object's status
	coalesceTime   = 100 * time.Millisecond // so that a report and counters at the same time become one write
	statusWorkers  = 4
)

// Names are the names of the objects that flags configure.
type Names struct {
	ClusterRouter string // the default Vpc
	DefaultSubnet string
	NodeSwitch    string
}

// Status writes the engine's reports and counters as conditions, counters and events. Only the newest state is written.
type Status struct {
	client   client.Client
	in       *Intake
	events   record.EventRecorder
	observer Observer
	clock    clock.WithTicker
	health   *apihealth.Reporter
	log      logr.Logger
	names    Names
	kinds    map[model.Kind]Kind
	queue    workqueue.TypedRateLimitingInterface[model.Ref]

	mu      sync.Mutex
	leading bool
	reports map[model.Ref]engine.Report
	usage   map[model.Ref]addresses.Usage
	last    map[model.Ref]time.Time // of the last write
	repairs map[model.Ref]repairCount

	problems     *problemEvents
	repairEvents flowcontrol.PassiveRateLimiter
}

// NewStatus returns a Status that queues its input until [Status.Start].
func NewStatus(c client.Client, in *Intake, r record.EventRecorder, o Observer, names Names, health *apihealth.Reporter, clk clock.WithTicker, log logr.Logger) *Status {
	s := &Status{
		client: c, in: in, events: r, observer: o, clock: clk, health: health, log: log, names: names, kinds: in.Kinds.byName(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[model.Ref](statusInterval, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[model.Ref]{Clock: clk}),
		reports: map[model.Ref]engine.Report{}, usage: map[model.Ref]addresses.Usage{},
		last: map[model.Ref]time.Time{}, problems: newProblemEvents(clk),
		repairs: map[model.Ref]repairCount{}, repairEvents: newRepairLimiter(clk),
	}
	in.onChange(s.changed)
	return s
}

// NeedLeaderElection is false: [Status.Lead] enables writing.
func (s *Status) NeedLeaderElection() bool { return false }

// Lead sets whether this process leads. A new leader writes the status of all objects.
func (s *Status) Lead(leading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if leading && !s.leading {
		for ref := range s.reports {
			s.schedule(ref)
		}
		for ref := range s.usage {
			s.schedule(ref)
		}
	}
	s.leading = leading
}

// HasStatus reports whether objects of a kind have a status with conditions.
func (s *Status) HasStatus(kind model.Kind) bool { return s.kinds[kind].Status != nil }

// Report replaces the report of an object. For kinds with a status it becomes conditions; for all kinds, each new
// problem becomes an event.
func (s *Status) Report(r engine.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.HasStatus(r.Ref.Kind) {
		s.reports[r.Ref] = r
		s.schedule(r.Ref)
	}
	if !s.leading {
		s.problems.forget(r.Ref)
		return
	}
	s.emitProblems(r)
}

// Usage replaces the counters of a subnet, or of a pool.
func (s *Status) Usage(u addresses.Usage) {
	ref := model.Ref{Kind: model.KindSubnet, Name: u.Subnet}
	if u.Pool != "" {
		ref = model.Ref{Kind: model.KindIPPool, Name: u.Pool}
	}
	s.mu.Lock()
	s.usage[ref] = u
	s.schedule(ref)
	s.mu.Unlock()
	s.count(ref, u)
}

// count updates the metrics of the IP families of the subnet.
func (s *Status) count(ref model.Ref, u addresses.Usage) {
	o, ok := s.in.object(ref).(*v1.Subnet)
	if !ok {
		return
	}
	subnet, _ := model.SubnetFrom(o)
	if subnet.CIDR.V4.IsValid() {
		used, _ := u.Stats.V4.Using.Float64()
		available, _ := u.Stats.V4.Available.Float64()
		s.observer.SubnetUsed(u.Subnet, string(v1.ProtocolIPv4), subnet.CIDR.V4.String(), used, available)
	}
	if subnet.CIDR.V6.IsValid() {
		used, _ := u.Stats.V6.Using.Float64()
		available, _ := u.Stats.V6.Available.Float64()
		s.observer.SubnetUsed(u.Subnet, string(v1.ProtocolIPv6), subnet.CIDR.V6.String(), used, available)
	}
}

// schedule is called with the lock held.
func (s *Status) schedule(ref model.Ref) {
	s.queue.AddAfter(ref, max(coalesceTime, statusInterval-s.clock.Since(s.last[ref])))
}

// changed schedules the objects whose status depends on a changed one, and forgets deleted objects.
func (s *Status) changed(ref model.Ref, now, before Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range []Object{now, before} {
		if subnet, ok := o.(*v1.Subnet); ok {
			s.schedule(model.Ref{Kind: model.KindVpc, Name: vpcOf(subnet)})
		}
	}
	if subnet, ok := now.(*v1.Subnet); ok && !slices.Equal(subnet.Status.NatOutgoingPolicyRules, model.NATRulesInForce(subnet)) {
		s.schedule(model.Ref{Kind: model.KindSubnet, Name: subnet.Name}) // a change of rules alone may cause no report of the engine
	}
	if now != nil || before == nil {
		return
	}
	if ref.Kind == model.KindSubnet {
		s.observer.SubnetGone(ref.Name)
	}
	delete(s.reports, ref)
	delete(s.usage, ref)
	delete(s.last, ref)
	s.problems.forget(ref)
	delete(s.repairs, ref)
}

// Start writes until the context ends.
func (s *Status) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	defer context.AfterFunc(ctx, s.problems.queue.ShutDown)()
	var g errgroup.Group
	g.Go(func() error {
		for s.emitWithheld() {
		}
		return nil
	})
	for range statusWorkers {
		g.Go(func() error {
			for s.next(ctx) {
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *Status) next(ctx context.Context) bool {
	ref, shutdown := s.queue.Get()
	if shutdown {
		return false
	}
	defer s.queue.Done(ref)
	if err := s.write(ctx, ref); err != nil && ctx.Err() == nil {
		s.retry(ref, err)
		return true
	}
	s.queue.Forget(ref)
	return true
}

func (s *Status) retry(ref model.Ref, err error) {
	if !s.health.Unreachable(err) {
		s.log.Info("status cannot be written, retrying", "object", ref.String(), "cause", err.Error())
	}
	s.queue.AddRateLimited(ref)
}

// write updates the status of one object, with at most one request.
func (s *Status) write(ctx context.Context, ref model.Ref) error {
	s.mu.Lock()
	leading := s.leading
	wait := statusInterval - s.clock.Since(s.last[ref])
	report, usage := lookup(s.reports, ref), lookup(s.usage, ref)
	s.mu.Unlock()
	if !leading {
		return nil
	}
	if wait > 0 {
		s.queue.AddAfter(ref, wait)
		return nil
	}
	have := s.in.object(ref)
	if have == nil {
		return nil
	}
	want := s.kinds[ref.Kind].Status(have, StatusInput{
		Report: report, Usage: usage, Names: s.names, Known: s.in.known, Now: metav1.NewTime(s.clock.Now()),
	})
	patch, err := statusPatch(have, want)
	if err != nil || patch == nil {
		return err
	}
	s.mu.Lock()
	s.last[ref] = s.clock.Now()
	s.mu.Unlock()
	return s.patch(ctx, ref, want, patch)
}

func (s *Status) patch(ctx context.Context, ref model.Ref, o Object, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s.in.begin(ref)
	err := s.client.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(fieldManager))
	s.observer.Wrote(string(ref.Kind)+"/status", "patch", result(err))
	if err == nil {
		s.in.wrote(s.kinds[ref.Kind], o)
		return nil
	}
	s.in.failed(ref)
	if isGone(err) {
		return nil
	}
	return fmt.Errorf("patch status of %s: %w", ref, err)
}

// statusPatch is a merge patch (RFC 7396) of the whole status, including zero values, that names the object's UID; nil
// if the status does not differ.
func statusPatch(have, want Object) ([]byte, error) {
	data, err := client.MergeFrom(have).Data(want)
	if err != nil {
		return nil, fmt.Errorf("compare status: %w", err)
	}
	whole, err := json.Marshal(want)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	var diff, full struct {
		Status map[string]any `json:"status"`
	}
	if err := errors.Join(json.Unmarshal(data, &diff), json.Unmarshal(whole, &full)); err != nil {
		return nil, fmt.Errorf("compare status: %w", err)
	}
	if len(diff.Status) == 0 {
		return nil, nil
	}
	maps.Copy(full.Status, diff.Status)    // a field to remove is null in the diff
	delete(full.Status, "activateGateway") // a recorded choice, see Writer.setGateway
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": have.GetUID()},
		"status":   full.Status,
	})
}

func lookup[T any](m map[model.Ref]T, ref model.Ref) *T {
	value, ok := m[ref]
	if !ok {
		return nil
	}
	return &value
}
