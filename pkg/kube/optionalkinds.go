// SPDX-License-Identifier: Apache-2.0

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

// unservedTimeout is how long a defined kind that is not served in our version delays the start: an API server that has
// just started serves it soon, and one that has only other versions never does.
const unservedTimeout = 15 * time.Second

// optional returns the rows of optional kinds by the name of their CustomResourceDefinition.
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

// optionalKinds watches the CustomResourceDefinitions, and each optional kind while its definition exists.
type optionalKinds struct {
	in    *Intake
	ctx   context.Context //nolint:containedctx // informers live as long as the intake
	kinds map[string]Kind

	mu      sync.Mutex
	watched map[string]*watchedKind // the kinds that have a definition
}

// watchedKind is an optional kind that has a definition.
type watchedKind struct {
	name       string
	kind       Kind
	handler    *handler
	stop       context.CancelFunc
	again      chan struct{} // a new version of the definition
	known      chan struct{} // closed when all objects are known, or the kind is found not to be served
	closeKnown func()        // closes known; may be called again
}

// informOptional starts to watch the optional kinds. wait blocks until the objects of all defined kinds are known; it
// returns false if the context ends before.
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
		out = append(out, f.known)
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
		name: name, kind: k, stop: stop, again: make(chan struct{}, 1), known: make(chan struct{}),
		handler: &handler{in: o.in, kind: k.Name, known: map[model.Ref]struct{}{}},
	}
	f.closeKnown = sync.OnceFunc(func() { close(f.known) })
	o.watched[name] = f
	o.setFollowed(name, false)
	go o.follow(ctx, f)
}

// follow watches a kind, and marks it as followed once all its objects are known.
func (o *optionalKinds) follow(ctx context.Context, f *watchedKind) {
	defer f.stop()
	defer f.closeKnown()
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
		o.setFollowed(f.name, true)
	}
}

// begin watches a kind as soon as it is served. The channel is closed when the handler has received all objects; it is
// nil if the context ends before.
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
			o.in.Health.Report("a kind cannot be watched, retrying", err)
		case o.in.Clock.Since(began) >= unservedTimeout:
			o.in.Health.Report("a kind is defined, but not served in the version that this controller supports; continuing without it", err)
			f.closeKnown()
			pause = unservedTimeout
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

// inform holds the lock, so that no watch starts after the definition was deleted.
func (o *optionalKinds) inform(ctx context.Context, f *watchedKind) (<-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return o.in.inform(o.ctx, f.kind, f.handler)
}

// setFollowed passes on whether all objects of a kind are known, after these objects.
func (o *optionalKinds) setFollowed(name string, followed bool) {
	o.in.inject(engine.Change{
		Ref:    model.Ref{Kind: model.KindDefinition, Name: name},
		Object: &model.Definition{Meta: model.Meta{Name: name}, Followed: followed},
	})
}

// kindOf returns the optional kind of a definition.
func (o *optionalKinds) kindOf(crd any) (name string, k Kind, ours bool) {
	m, ok := crd.(*metav1.PartialObjectMetadata)
	if !ok {
		return "", Kind{}, false
	}
	k, ours = o.kinds[m.Name]
	return m.Name, k, ours
}

// undefined is called when a definition is deleted, and its objects with it; the watch may not have reported their
// deletion yet.
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
	_ = o.in.Cache.RemoveInformer(o.ctx, f.kind.New()) // it fails only for kinds that are not in the scheme
	o.in.forget(f.handler)
	o.in.inject(engine.Change{Ref: model.Ref{Kind: model.KindDefinition, Name: name}})
}
