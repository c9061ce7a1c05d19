package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// unservedTime is how long a kind that has a definition, but is not served in our version,
// holds up the start: an API server that has just started serves it soon, and one
// that has other versions only never does.
const unservedTime = 15 * time.Second

// optional are the rows of kinds that a cluster need not have, by the name of their CustomResourceDefinition.
func (ks Kinds) optional() map[string]Kind {
	out := map[string]Kind{}
	for _, k := range ks {
		if k.Definition != "" {
			out[k.Definition] = k
		}
	}
	return out
}

func partial(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	return o
}

// optionalKinds follows the CustomResourceDefinitions, and each optional kind for as long
// as there is one.
type optionalKinds struct {
	in    *Intake
	ctx   context.Context //nolint:containedctx // informers live as long as the intake
	kinds map[string]Kind

	mu      sync.Mutex
	watched map[string]*watchedKind // of the kinds that have a definition
}

// watchedKind is an optional kind that has a definition.
type watchedKind struct {
	name    string
	kind    Kind
	handler *handler
	stop    context.CancelFunc
	again   chan struct{} // a new version of the definition
	settled chan struct{} // closed when all objects are known, or the kind proves not to be served
	settle  func()        // closes it; may be called again
}

// informOptional begins to follow the optional kinds. wait blocks until all that
// exist are known; it returns false if the context ends before.
func (in *Intake) informOptional(ctx context.Context) (wait func() bool, err error) {
	o := &optionalKinds{in: in, ctx: ctx, kinds: in.Kinds.optional(), watched: map[string]*watchedKind{}}
	crds := partial(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	informer, err := in.Cache.GetInformer(ctx, crds, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch CustomResourceDefinitions: %w", err)
	}
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: o.defined, UpdateFunc: func(_, now any) { o.defined(now) }, DeleteFunc: o.undefined,
	})
	if err != nil {
		return nil, fmt.Errorf("watch CustomResourceDefinitions: %w", err)
	}
	return func() bool {
		channels := []<-chan struct{}{handler.HasSyncedChecker().Done()}
		for i := 0; i < len(channels); i++ {
			select {
			case <-channels[i]:
			case <-ctx.Done():
				return false
			}
			if i == 0 {
				channels = append(channels, o.started()...)
			}
		}
		return true
	}, nil
}

func (o *optionalKinds) started() (out []<-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.watched {
		out = append(out, f.settled)
	}
	return out
}

// defined is called with each version of a definition.
func (o *optionalKinds) defined(crd any) {
	name, k, ours := o.kindOf(crd)
	if !ours {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.watched[name]; f != nil {
		select {
		case f.again <- struct{}{}:
		default:
		}
		return
	}
	ctx, stop := context.WithCancel(o.ctx)
	f := &watchedKind{
		name: name, kind: k, stop: stop, again: make(chan struct{}, 1), settled: make(chan struct{}),
		handler: &handler{in: o.in, kind: k.Name, known: map[model.Ref]struct{}{}},
	}
	f.settle = sync.OnceFunc(func() { close(f.settled) })
	o.watched[name] = f
	o.tell(name, false)
	go o.follow(ctx, f)
}

// follow tells when all objects of a kind are known.
func (o *optionalKinds) follow(ctx context.Context, f *watchedKind) {
	defer f.stop()
	defer f.settle()
	synced := o.begin(ctx, f)
	if synced == nil {
		return
	}
	select {
	case <-synced:
	case <-ctx.Done():
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() == nil {
		o.tell(f.name, true)
	}
}

// begin has a kind watched as soon as it is served. The channel is closed when all
// its objects are told; it is nil if the context ends before.
func (o *optionalKinds) begin(ctx context.Context, f *watchedKind) <-chan struct{} {
	began, pause := o.in.Clock.Now(), probeInterval
	for {
		synced, err := o.inform(ctx, f)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return synced
		case !meta.IsNoMatchError(err):
			o.in.Outage.Report("a kind cannot be watched; trying again", err)
		case o.in.Clock.Since(began) >= unservedTime:
			o.in.Outage.Report("a kind is defined but not served in the version that is known here; going on without it", err)
			f.settle()
			pause = unservedTime
		}
		timer := o.in.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-f.again:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// inform holds the lock, so that a kind is not begun to be watched when its definition is gone.
func (o *optionalKinds) inform(ctx context.Context, f *watchedKind) (<-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return o.in.inform(o.ctx, f.kind, f.handler)
}

// tell says whether all objects of a kind are known; those that are, are told before.
func (o *optionalKinds) tell(name string, followed bool) {
	o.in.tell(engine.Change{
		Ref:    model.Ref{Kind: model.KindDefinition, Name: name},
		Object: &model.Definition{Meta: model.Meta{Name: name}, Followed: followed},
	})
}

// kindOf finds the optional kind that a definition is of.
func (o *optionalKinds) kindOf(crd any) (name string, k Kind, ours bool) {
	m, ok := crd.(*metav1.PartialObjectMetadata)
	if !ok {
		return "", Kind{}, false
	}
	k, ours = o.kinds[m.Name]
	return m.Name, k, ours
}

// undefined is called when a definition is gone, and with it its objects, of whose
// end the watch may not have told yet.
func (o *optionalKinds) undefined(crd any) {
	if tombstone, ok := crd.(toolscache.DeletedFinalStateUnknown); ok {
		crd = tombstone.Obj
	}
	name, _, _ := o.kindOf(crd)
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.watched[name]
	if f == nil {
		return
	}
	f.stop()
	delete(o.watched, name)
	_ = o.in.Cache.RemoveInformer(o.ctx, f.kind.New()) // it fails only for kinds that it does not know
	o.in.forget(f.handler)
	o.in.tell(engine.Change{Ref: model.Ref{Kind: model.KindDefinition, Name: name}})
}
