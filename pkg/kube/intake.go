package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Intake brings the objects of the cluster to the sink: what the watch tells,
// and what was written by ourselves. Its methods may be called from any
// goroutine; the sink is called by one at a time.
type Intake struct {
	// Sink takes the news.
	Sink Sink
	// Kinds are what is watched: [AllKinds] unless the caller of [NewIntake] adds to it.
	Kinds Kinds
	// Cache makes the informers. Its options must come from [CacheOptions].
	Cache cache.Cache
	// Ready blocks until the API server serves everything that is watched.
	Ready func(context.Context) error
	// Outage is told what cannot be watched.
	Outage *apihealth.Reporter
	// Clock tells when a write of ours has waited too long for the watch.
	Clock clock.WithTicker

	flushing sync.Mutex // held while the sink is called
	mu       sync.Mutex
	stale    *staleFilter
	pending  []engine.Change
	objects  map[model.Ref]Object // of the kinds that are kept
	stores   map[model.Kind]toolscache.Store
	notices  []objectChange
	noticed  []func(ref model.Ref, now, before Object)
	complete []func()
	verify   func(model.Ref)

	wake   chan struct{}
	synced atomic.Bool
}

// NewIntake makes an intake that does nothing until [Intake.Start].
func NewIntake(sink Sink, c cache.Cache, ready func(context.Context) error, outage *apihealth.Reporter, clk clock.WithTicker) *Intake {
	return &Intake{
		Sink: sink, Kinds: AllKinds(), Cache: c, Ready: ready, Outage: outage, Clock: clk,
		stale: newStaleFilter(), objects: map[model.Ref]Object{}, stores: map[model.Kind]toolscache.Store{},
		verify: func(model.Ref) {}, wake: make(chan struct{}, 1),
	}
}

// CacheOptions makes informers store an object's identity only: the projection
// goes to the world, and nothing else of the object is ever read.
func CacheOptions(kinds Kinds, outage *apihealth.Reporter) cache.Options {
	// Not ByObject, which asks the API server before it is known to be there.
	kindOf := kinds.byType()
	return cache.Options{
		DefaultWatchErrorHandler: outage.WatchError,
		DefaultTransform: func(o any) (any, error) {
			k, ok := kindOf(o)
			object, typed := o.(Object)
			if !ok || !typed {
				return o, nil // projected before
			}
			return newEntry(k, object), nil
		},
	}
}

// NeedLeaderElection is false: standbys know the cluster, too.
func (in *Intake) NeedLeaderElection() bool { return false }

// Synced tells whether every object that existed at the start was handed over.
func (in *Intake) Synced() bool { return in.synced.Load() }

// Start brings news to the sink until the context ends.
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
	var synced []<-chan struct{}
	for _, k := range in.Kinds {
		if k.Definition != "" {
			continue
		}
		done, err := in.inform(ctx, k, &handler{in: in, kind: k.Name})
		if err != nil {
			return err
		}
		synced = append(synced, done)
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
	for _, fn := range in.complete {
		fn()
	}
	return nil
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

// deliver hands over what gathers, and has writes looked up that the watch does not confirm.
func (in *Intake) deliver(ctx context.Context) error {
	ticker := in.Clock.NewTicker(settleTime / 2)
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
		for _, fn := range in.noticed {
			fn(n.ref, n.now, n.before)
		}
	}
	if len(batch) > 0 {
		in.Sink.Apply(batch...)
	}
}

// objectChange is a change of a kept object: before is nil for a new one, now for
// one that is gone.
type objectChange struct {
	ref         model.Ref
	now, before Object
}

// notice calls fn with each change of a kept object. To be called before Start;
// fn must not block.
func (in *Intake) notice(fn func(ref model.Ref, now, before Object)) {
	in.noticed = append(in.noticed, fn)
}

// whenSynced calls fn once everything that existed at the start is known. To be
// called before Start; fn must not block.
func (in *Intake) whenSynced(fn func()) { in.complete = append(in.complete, fn) }

// handler takes what the informer of one kind brings.
type handler struct {
	in   *Intake
	kind model.Kind
	// known are the objects of an optional kind that were told; nil for the other
	// kinds, and when the kind is no more. The intake's lock guards it.
	known map[model.Ref]struct{}
	ended bool
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
		e.change = nil // a list told what was known
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

// tells remembers whether an object is there; the lock is held. It is false when
// the kind is no more.
func (h *handler) tells(ref model.Ref, there bool) bool {
	if h.known != nil && there {
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
	ok := h.tells(ref, true) && in.stale.admit(ref, version{rv: e.rv, uid: e.uid}) == pass
	if ok {
		in.push(*change, e.object)
	}
	in.mu.Unlock()
	in.signal(ok)
}

func (in *Intake) gone(h *handler, ref model.Ref, n version) {
	in.mu.Lock()
	v := drop
	if h.tells(ref, false) {
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

// forget tells that all objects of a kind are gone. What its informer still brings is old.
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

// tell hands over news that no informer of ours brings.
func (in *Intake) tell(c engine.Change) {
	in.mu.Lock()
	in.push(c, nil)
	in.mu.Unlock()
	in.signal(true)
}

func (in *Intake) signal(news bool) {
	if !news {
		return
	}
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// begin announces a write of ours; one of wrote, removed and failed ends it.
func (in *Intake) begin(ref model.Ref) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stale.begin(ref)
}

// wrote hands over what the API server answered. When it returns, the sink has it.
func (in *Intake) wrote(k Kind, o Object) {
	e := newEntry(k, o)
	in.mu.Lock()
	if in.stale.wrote(e.change.Ref, version{rv: e.rv, uid: e.uid}, in.Clock.Now()) {
		in.push(*e.change, e.object)
	}
	in.mu.Unlock()
	in.flush()
}

// removed hands over that an incarnation of an object is gone; an empty UID means any.
func (in *Intake) removed(ref model.Ref, uid types.UID) {
	in.mu.Lock()
	if in.stale.wrote(ref, version{uid: uid, gone: true}, in.Clock.Now()) {
		in.push(engine.Change{Ref: ref}, nil)
	}
	in.mu.Unlock()
	in.flush()
}

// failed ends a write that tells nothing about the object.
func (in *Intake) failed(ref model.Ref) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stale.fail(ref, in.Clock.Now())
}

// object is the newest known version of a kept object, not to be changed; nil if there is none.
func (in *Intake) object(ref model.Ref) Object {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.objects[ref]
}

// known lists the kept objects of a kind by name.
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

// uid is the UID that the watch told last for an object; empty if it is not known.
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

// requestTimeout bounds one request for a write. It is shorter than the time
// between a leader's giving up and the next one's start with the default
// durations (30 s lease, 20 s renewal), so that no late write meets a successor.
const requestTimeout = 8 * time.Second
