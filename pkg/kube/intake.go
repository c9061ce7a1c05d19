// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Intake passes the objects of the cluster to the sink, from watch events and from our own writes. Its methods may be
// called from any goroutine; the sink is called by one goroutine at a time.
type Intake struct {
	// Sink receives the changes.
	Sink Sink
	// Kinds are the watched kinds: [AllKinds] unless the caller of [NewIntake] adds to it.
	Kinds Kinds
	// Cache creates the informers. Its options must come from [CacheOptions].
	Cache cache.Cache
	// Ready blocks until the API server serves all required kinds.
	Ready func(context.Context) error
	// Health receives the errors of watches.
	Health *apihealth.Reporter
	// Clock measures how long the watch has not confirmed a write of ours.
	Clock clock.WithTicker

	flushing  sync.Mutex // held while the sink is called
	mu        sync.Mutex
	stale     *staleFilter
	pending   []engine.Change
	objects   map[model.Ref]Object // of the kinds with a status
	stores    map[model.Kind]toolscache.Store
	notices   []objectChange
	onChanges []func(ref model.Ref, now, before Object)
	onSynced  []func()
	verify    func(model.Ref)

	wake   chan struct{}
	synced atomic.Bool
}

// NewIntake returns an intake that does nothing until [Intake.Start].
func NewIntake(sink Sink, c cache.Cache, ready func(context.Context) error, health *apihealth.Reporter, clk clock.WithTicker) *Intake {
	return &Intake{
		Sink: sink, Kinds: AllKinds(), Cache: c, Ready: ready, Health: health, Clock: clk,
		stale: newStaleFilter(), objects: map[model.Ref]Object{}, stores: map[model.Kind]toolscache.Store{},
		verify: func(model.Ref) {}, wake: make(chan struct{}, 1),
	}
}

// CacheOptions makes informers store only the identity of an object: the projection goes to the world, and no other
// part of the object is read.
func CacheOptions(kinds Kinds, health *apihealth.Reporter) cache.Options {
	// Not ByObject, which sends requests before the API server is known to be reachable.
	kindOf := kinds.byType()
	return cache.Options{
		DefaultWatchErrorHandler: health.WatchError,
		DefaultTransform: func(o any) (any, error) {
			k, ok := kindOf(o)
			object, typed := o.(Object)
			if !ok || !typed {
				return o, nil // is an entry already
			}
			return newEntry(k, object), nil
		},
	}
}

// NeedLeaderElection is false: standbys watch the cluster, too.
func (in *Intake) NeedLeaderElection() bool { return false }

// Synced reports whether every object that existed at the start has been passed to the sink.
func (in *Intake) Synced() bool { return in.synced.Load() }

// Start passes changes to the sink until the context ends.
func (in *Intake) Start(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return in.deliver(ctx) })
	g.Go(func() error { return in.watch(ctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (in *Intake) watch(ctx context.Context) error {
	if err := in.Ready(ctx); err != nil {
		return err
	}
	synced, err := in.informKinds(ctx)
	if err != nil {
		return err
	}
	wait, err := in.informOptional(ctx)
	if err != nil {
		return err
	}
	for _, done := range synced {
		select {
		case <-done:
		case <-ctx.Done():
			return nil
		}
	}
	if !wait() {
		return nil
	}
	in.flush()
	in.synced.Store(true)
	in.Sink.KubeSynced()
	for _, fn := range in.onSynced {
		fn()
	}
	return nil
}

// informKinds watches all kinds but those with a definition. Each channel is closed when the objects of a kind are
// known.
func (in *Intake) informKinds(ctx context.Context) (synced []<-chan struct{}, err error) {
	for _, k := range in.Kinds {
		if k.Definition != "" {
			continue
		}
		done, err := in.inform(ctx, k, &handler{in: in, kind: k.Name})
		if k.IfServed && meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		synced = append(synced, done)
	}
	return synced, nil
}

func (in *Intake) inform(ctx context.Context, k Kind, h *handler) (<-chan struct{}, error) {
	informer, err := in.Cache.GetInformer(ctx, k.New(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", k.Name, err)
	}
	if s, ok := informer.(interface{ GetStore() toolscache.Store }); ok {
		in.mu.Lock()
		in.stores[k.Name] = s.GetStore()
		in.mu.Unlock()
	}
	registered, err := informer.AddEventHandler(h)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", k.Name, err)
	}
	return registered.HasSyncedChecker().Done(), nil
}

// deliver passes pending changes to the sink, and verifies writes that the watch does not confirm.
func (in *Intake) deliver(ctx context.Context) error {
	ticker := in.Clock.NewTicker(confirmTimeout / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-in.wake:
			in.flush()
		case <-ticker.C():
			in.mu.Lock()
			overdue := in.stale.overdue(in.Clock.Now())
			in.mu.Unlock()
			for _, ref := range overdue {
				in.verify(ref)
			}
		}
	}
}

func (in *Intake) flush() {
	in.flushing.Lock()
	defer in.flushing.Unlock()
	in.mu.Lock()
	batch, notices := in.pending, in.notices
	in.pending, in.notices = nil, nil
	in.mu.Unlock()
	for _, n := range notices {
		for _, fn := range in.onChanges {
			fn(n.ref, n.now, n.before)
		}
	}
	if len(batch) > 0 {
		in.Sink.Apply(batch...)
	}
}

// objectChange is a change of an object of a kind with a status: before is nil for a new object, now for a deleted one.
type objectChange struct {
	ref         model.Ref
	now, before Object
}

// onChange registers fn for each change of an object of a kind with a status. Call it before Start; fn must not block.
func (in *Intake) onChange(fn func(ref model.Ref, now, before Object)) {
	in.onChanges = append(in.onChanges, fn)
}

// whenSynced registers fn, which is called once all objects that existed at the start are known. Call it before Start;
// fn must not block.
func (in *Intake) whenSynced(fn func()) { in.onSynced = append(in.onSynced, fn) }

// handler handles the events of one kind's informer.
type handler struct {
	in   *Intake
	kind model.Kind
	// known are the existing objects of an optional kind; nil for the other kinds, and when the kind is no longer
	// defined. The intake's lock guards it.
	known map[model.Ref]struct{}
	ended bool // the kind is no longer defined
}

func (h *handler) OnAdd(obj any, _ bool) {
	if e, ok := obj.(*entry); ok {
		h.in.live(h, e)
	}
}

func (h *handler) OnUpdate(old, obj any) {
	e, ok := obj.(*entry)
	if !ok {
		return
	}
	if before, ok := old.(*entry); ok && before.rv == e.rv && before.uid == e.uid {
		e.change = nil // a resync or a new list without a change
		return
	}
	h.in.live(h, e)
}

func (h *handler) OnDelete(obj any) {
	tombstone, guessed := obj.(toolscache.DeletedFinalStateUnknown)
	if guessed {
		obj = tombstone.Obj
	}
	if e, ok := obj.(*entry); ok {
		h.in.gone(h, refOf(h.kind, e), version{rv: e.rv, uid: e.uid, gone: true, guessed: guessed})
	}
}

// track records whether an object exists. It returns false if the kind is no longer defined. The caller holds the lock.
func (h *handler) track(ref model.Ref, exists bool) bool {
	if h.known != nil && exists {
		h.known[ref] = struct{}{}
	} else {
		delete(h.known, ref)
	}
	return !h.ended
}

func (in *Intake) live(h *handler, e *entry) {
	change := e.change
	e.change = nil
	if change == nil {
		return
	}
	ref := refOf(h.kind, e)
	in.mu.Lock()
	ok := h.track(ref, true) && in.stale.admit(ref, version{rv: e.rv, uid: e.uid}) == pass
	if ok {
		in.push(*change, e.object)
	}
	in.mu.Unlock()
	in.signal(ok)
}

func (in *Intake) gone(h *handler, ref model.Ref, n version) {
	in.mu.Lock()
	v := drop
	if h.track(ref, false) {
		v = in.stale.admit(ref, n)
	}
	if v == pass {
		in.push(engine.Change{Ref: ref}, nil)
	}
	in.mu.Unlock()
	if v == verify {
		in.verify(ref)
	}
	in.signal(v == pass)
}

// forget passes on that all objects of a kind are deleted. Later events of its informer are ignored.
func (in *Intake) forget(h *handler) {
	in.mu.Lock()
	defer in.mu.Unlock()
	h.ended = true
	delete(in.stores, h.kind)
	for ref := range h.known {
		in.push(engine.Change{Ref: ref}, nil)
	}
	h.known = nil
}

// push is called with the lock held.
func (in *Intake) push(c engine.Change, o Object) {
	if o != nil {
		c.Generation = o.GetGeneration()
	}
	in.pending = append(in.pending, c)
	before := in.objects[c.Ref]
	if o == nil && before == nil {
		return
	}
	if o == nil {
		delete(in.objects, c.Ref)
	} else {
		in.objects[c.Ref] = o
	}
	in.notices = append(in.notices, objectChange{ref: c.Ref, now: o, before: before})
}

// inject passes a change to the sink that comes from no informer of this intake.
func (in *Intake) inject(c engine.Change) {
	in.mu.Lock()
	in.push(c, nil)
	in.mu.Unlock()
	in.signal(true)
}

func (in *Intake) signal(changed bool) {
	if !changed {
		return
	}
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// begin announces a write of ours. The caller ends it with one of wrote, removed and failed.
func (in *Intake) begin(ref model.Ref) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stale.begin(ref)
}

// wrote passes the object that the API server returned to the sink, and returns after the sink has received it.
func (in *Intake) wrote(k Kind, o Object) {
	e := newEntry(k, o)
	in.mu.Lock()
	if in.stale.wrote(e.change.Ref, version{rv: e.rv, uid: e.uid}, in.Clock.Now()) {
		in.push(*e.change, e.object)
	}
	in.mu.Unlock()
	in.flush()
}

// removed passes on that the object with a UID is deleted; an empty UID means any object of that name.
func (in *Intake) removed(ref model.Ref, uid types.UID) {
	in.mu.Lock()
	if in.stale.wrote(ref, version{uid: uid, gone: true}, in.Clock.Now()) {
		in.push(engine.Change{Ref: ref}, nil)
	}
	in.mu.Unlock()
	in.flush()
}

// failed ends a write whose response has no object.
func (in *Intake) failed(ref model.Ref) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stale.fail(ref, in.Clock.Now())
}

// object is the newest known version of an object of a kind with a status, nil if there is none. The caller must not
// change it.
func (in *Intake) object(ref model.Ref) Object {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.objects[ref]
}

// known lists the objects of a kind with a status, by name.
func (in *Intake) known(k model.Kind) []Object {
	in.mu.Lock()
	defer in.mu.Unlock()
	var out []Object
	for ref, o := range in.objects {
		if ref.Kind == k {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Object) int { return refOf(k, a).Compare(refOf(k, b)) })
	return out
}

// uid is the UID of an object in the informer's store; empty if it is not there.
func (in *Intake) uid(ref model.Ref) types.UID {
	in.mu.Lock()
	store := in.stores[ref.Kind]
	in.mu.Unlock()
	if store == nil {
		return ""
	}
	o, found, err := store.GetByKey(toolscache.NewObjectName(ref.Namespace, ref.Name).String())
	if err != nil || !found {
		return ""
	}
	if e, ok := o.(*entry); ok {
		return e.uid
	}
	return ""
}

// requestTimeout limits one write request. It is shorter than the time between the end of one leader and the start of
// the next with the default durations (30 s lease, 20 s renew deadline), so that no late write overlaps with the next
// leader's.
const requestTimeout = 8 * time.Second
