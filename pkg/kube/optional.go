package kube

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// groupKubeVirt is that of KubeVirt's VirtualMachine.
var groupKubeVirt = schema.GroupVersion{Group: "kubevirt.io", Version: "v1"}

// optionalKinds are those that a cluster need not have, by the name of their
// CustomResourceDefinition. Of their objects the metadata suffice.
func optionalKinds() map[string]kind {
	return map[string]kind{
		model.DefinitionVirtualMachine: kindOf(model.KindVirtualMachine, groupKubeVirt, false, func() *metav1.PartialObjectMetadata {
			return partial(groupKubeVirt.WithKind(string(model.KindVirtualMachine)))
		}, model.VirtualMachineFrom),
	}
}

func partial(gvk schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(gvk)
	return o
}

// options follows the CustomResourceDefinitions, and each optional kind for as long
// as there is one.
type options struct {
	in     *Intake
	ctx    context.Context //nolint:containedctx // informers live as long as the intake
	kinds  map[string]kind
	mu     sync.Mutex
	synced map[string]<-chan struct{} // of those that are followed
}

// informOptional begins to follow the optional kinds. wait blocks until all that
// exist are known; it returns false if the context ends before.
func (in *Intake) informOptional(ctx context.Context) (wait func() bool, err error) {
	o := &options{in: in, ctx: ctx, kinds: optionalKinds(), synced: map[string]<-chan struct{}{}}
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

func (o *options) started() (out []<-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, done := range o.synced {
		out = append(out, done)
	}
	return out
}

// defined is called with each version of a definition. One that is not served yet
// cannot be watched; its next version, which says that it is, comes soon.
func (o *options) defined(crd any) {
	name, k, ours := o.kindOf(crd)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, started := o.synced[name]; !ours || started {
		return
	}
	o.tell(name, false)
	done, err := o.in.inform(o.ctx, k)
	if err != nil {
		return
	}
	o.synced[name] = done
	go func() {
		select {
		case <-done:
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.synced[name] == done {
				o.tell(name, true)
			}
		case <-o.ctx.Done():
		}
	}()
}

// tell says whether all objects of a kind are known; those that are, are told before.
func (o *options) tell(name string, followed bool) {
	o.in.tell(engine.Change{
		Ref:    model.Ref{Kind: model.KindDefinition, Name: name},
		Object: &model.Definition{Meta: model.Meta{Name: name}, Followed: followed},
	})
}

// kindOf finds the optional kind that a definition is of.
func (o *options) kindOf(crd any) (name string, k kind, ours bool) {
	m, ok := crd.(*metav1.PartialObjectMetadata)
	if !ok {
		return "", kind{}, false
	}
	k, ours = o.kinds[m.Name]
	return m.Name, k, ours
}

// undefined is called when a definition is gone, and its objects before it.
func (o *options) undefined(crd any) {
	if tombstone, ok := crd.(toolscache.DeletedFinalStateUnknown); ok {
		crd = tombstone.Obj
	}
	name, k, ours := o.kindOf(crd)
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, started := o.synced[name]; !ours || !started {
		return
	}
	delete(o.synced, name)
	o.in.tell(engine.Change{Ref: model.Ref{Kind: model.KindDefinition, Name: name}})
	_ = o.in.Cache.RemoveInformer(o.ctx, k.new()) // it fails only for kinds that it does not know
}
