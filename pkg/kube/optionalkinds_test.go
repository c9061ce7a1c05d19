// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	fcache "k8s.io/client-go/tools/cache/testing"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

const definitionANP = "adminnetworkpolicies.policy.networking.k8s.io"

// recorder is a sink that records the last change of each object.
type recorder struct {
	mu   sync.Mutex
	last map[model.Ref]any
}

func (r *recorder) Apply(changes ...engine.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		r.last[c.Ref] = c.Object
	}
}

func (r *recorder) KubeSynced() {}

// source is a cache with an informer for AdminNetworkPolicies, if they are served.
type source struct {
	cache.Cache
	t       *testing.T
	served  func() bool
	objects *fcache.FakeControllerSource

	mu   sync.Mutex
	stop context.CancelFunc // of the informer
}

func (s *source) GetInformer(_ context.Context, o client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	if _, ok := o.(*v1alpha1.AdminNetworkPolicy); !ok {
		s.t.Errorf("%T is watched", o)
	}
	if !s.served() {
		return nil, &meta.NoKindMatchError{}
	}
	informer := toolscache.NewSharedIndexInformer(s.objects, o, 0, toolscache.Indexers{})
	if err := informer.SetTransform(CacheOptions(AllKinds(), &apihealth.Reporter{}).DefaultTransform); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, stop := context.WithCancel(s.t.Context())
	s.stop = stop
	go informer.RunWithContext(ctx)
	return informer, nil
}

func (s *source) RemoveInformer(context.Context, client.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	return nil
}

// optionalHarness runs the optional kinds of an intake without an API server.
type optionalHarness struct {
	*source
	*recorder
	o *optionalKinds
}

func newOptionalHarness(t *testing.T, clk clock.WithTicker, served func() bool) *optionalHarness {
	t.Helper()
	b := &optionalHarness{
		source:   &source{t: t, served: served, objects: fcache.NewFakeControllerSource()},
		recorder: &recorder{last: map[model.Ref]any{}},
	}
	in := NewIntake(b.recorder, b.source, nil, &apihealth.Reporter{Log: logr.Discard(), Clock: clk}, clk)
	b.o = &optionalKinds{in: in, ctx: t.Context(), kinds: AllKinds().optional(), watched: map[string]*watchedKind{}}
	return b
}

func (b *optionalHarness) definition() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: definitionANP}}
}

// latest is the last version of an object that the sink has received.
func (b *optionalHarness) latest(kind model.Kind, name string) any {
	b.o.in.flush()
	b.recorder.mu.Lock()
	defer b.recorder.mu.Unlock()
	return b.last[model.Ref{Kind: kind, Name: name}]
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

func isClosed(channels []<-chan struct{}) bool {
	for _, c := range channels {
		select {
		case <-c:
		default:
			return false
		}
	}
	return true
}

func policyObject(name string) *v1alpha1.AdminNetworkPolicy {
	return &v1alpha1.AdminNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.AdminNetworkPolicySpec{Subject: v1alpha1.AdminNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}}},
	}
}

// unserved is a cache of an API server that serves nothing.
type unserved struct{ cache.Cache }

func (unserved) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return nil, &meta.NoKindMatchError{}
}

// A kind that older versions of Kubernetes do not serve is left out; the others are required.
func TestKindsOfNewerKubernetes(t *testing.T) {
	in := NewIntake(discard{}, unserved{}, nil, nil, nil)
	for _, k := range AllKinds() {
		if k.Definition != "" {
			continue
		}
		in.Kinds = Kinds{k}
		if synced, err := in.informKinds(t.Context()); k.IfServed != (err == nil) || k.IfServed != (k.Name == model.KindServiceCIDR) || len(synced) > 0 {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}

// The objects of an optional kind are known before it counts as followed, and are deleted with its definition.
func TestOptionalKindIsDefinedAndDeleted(t *testing.T) {
	b := newOptionalHarness(t, clock.RealClock{}, func() bool { return true })
	b.objects.Add(policyObject("a"))
	for range 2 {
		b.o.defined(b.definition())
		b.o.defined(b.definition())
		await(t, "the kind to be followed", func() bool {
			d, ok := b.latest(model.KindDefinition, definitionANP).(*model.Definition)
			return ok && d.Followed
		})
		if p, ok := b.latest(model.KindAdminNetworkPolicy, "a").(*model.Policy); !ok || p.Tier != model.TierAdmin {
			t.Errorf("the policy is %+v", p)
		}
		await(t, "the start to continue", func() bool { return isClosed(b.o.started()) })
		b.o.mu.Lock()
		late := b.o.watched[definitionANP].handler
		b.o.mu.Unlock()
		b.o.undefined(toolscache.DeletedFinalStateUnknown{Obj: b.definition()})
		b.o.undefined(b.definition())
		if p := b.latest(model.KindAdminNetworkPolicy, "a"); p != nil {
			t.Errorf("the policy is %+v, want none", p)
		}
		if d := b.latest(model.KindDefinition, definitionANP); d != nil {
			t.Errorf("the definition is %+v", d)
		}
		late.OnAdd(newEntry(AllKinds().byName()[model.KindAdminNetworkPolicy], policyObject("late")), false)
		if p := b.latest(model.KindAdminNetworkPolicy, "late"); p != nil {
			t.Errorf("a late event of a deleted kind is passed on: %+v", p)
		}
	}
}

// A defined kind that is not served in our version delays the start for a limited time, and is followed when it is
// served later.
func TestUnservedKind(t *testing.T) {
	var served, requests int
	var mu sync.Mutex
	clk := testclock.NewFakeClock(time.Unix(1e9, 0))
	b := newOptionalHarness(t, clk, func() bool {
		mu.Lock()
		defer mu.Unlock()
		requests++
		return served > 0
	})
	times := func() int {
		mu.Lock()
		defer mu.Unlock()
		return requests
	}
	b.o.defined(b.definition())
	held := b.o.started()
	for range unservedTimeout/probeInterval + 1 {
		await(t, "the pause between two requests", clk.HasWaiters)
		if isClosed(held) {
			t.Fatal("the start is not delayed")
		}
		clk.Step(probeInterval)
	}
	await(t, "the start to continue", func() bool { return isClosed(held) })
	before := times()
	mu.Lock()
	served++
	mu.Unlock()
	b.o.defined(b.definition())
	await(t, "the kind to be followed", func() bool {
		d, ok := b.latest(model.KindDefinition, definitionANP).(*model.Definition)
		return ok && d.Followed && times() > before
	})
}

// A definition that is deleted before its kind is served leaves nothing.
func TestUndefinedBeforeServed(t *testing.T) {
	clk := testclock.NewFakeClock(time.Unix(1e9, 0))
	b := newOptionalHarness(t, clk, func() bool { return false })
	b.stop = func() {}
	b.o.defined(b.definition())
	held := b.o.started()
	await(t, "the pause between two requests", clk.HasWaiters)
	b.o.undefined(b.definition())
	await(t, "the start to continue", func() bool { return isClosed(held) })
	if d := b.latest(model.KindDefinition, definitionANP); d != nil {
		t.Errorf("the definition is %+v", d)
	}
}
