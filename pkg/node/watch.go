package node

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// WatchCluster hands changes in the cluster to the loop, to those who wait for a pod and
// to what the node does for Services. It returns when the cache has everything; the
// handlers go on until the cache stops.
func WatchCluster(ctx context.Context, c cache.Informers, l *Loop, p *Pods, services *Services) error {
	var synced []toolscache.InformerSynced
	for _, f := range []struct {
		object  client.Object
		handler toolscache.ResourceEventHandler
	}{
		{&corev1.Pod{}, handler(func(o client.Object) {
			p.Changed(client.ObjectKeyFromObject(o))
			l.Kick() // routing rules name addresses of pods
		})},
		{&corev1.Node{}, handler(func(client.Object) { l.Kick() })},
		{&v1.Subnet{}, handler(func(client.Object) { l.Kick() })},
		{&networkingv1.ServiceCIDR{}, handler(func(client.Object) { l.Kick() })},
		{&corev1.Service{}, state(services.ServiceChanged)},
		{&discoveryv1.EndpointSlice{}, state(services.SliceChanged)},
	} {
		// Never block here: the API server may be away, and the rest of the node works without it.
		inf, err := c.GetInformer(ctx, f.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", f.object, err)
		}
		reg, err := inf.AddEventHandler(f.handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", f.object, err)
		}
		synced = append(synced, reg.HasSynced)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return ctx.Err()
	}
	return nil
}

// handler calls changed for what a node can see a difference in: heartbeats and
// status changes of others are not among it.
func handler(changed func(client.Object)) toolscache.ResourceEventHandler {
	one := func(o any) {
		if d, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = d.Obj
		}
		if c, ok := o.(client.Object); ok {
			changed(c)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: one,
		UpdateFunc: func(before, after any) {
			if !same(before, after) {
				one(after)
			}
		},
		DeleteFunc: one,
	}
}

// state calls changed with each object as it is now, or as it was when it went.
func state[T client.Object](changed func(o T, gone bool)) toolscache.ResourceEventHandler {
	call := func(o any, gone bool) {
		if d, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = d.Obj
		}
		if t, ok := o.(T); ok {
			changed(t, gone)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { call(o, false) },
		UpdateFunc: func(_, o any) { call(o, false) },
		DeleteFunc: func(o any) { call(o, true) },
	}
}

// same compares what the cache's transforms left of two objects, but for the resource version.
func same(a, b any) bool {
	x, ok1 := a.(client.Object)
	y, ok2 := b.(client.Object)
	if !ok1 || !ok2 {
		return false
	}
	x, ok1 = x.DeepCopyObject().(client.Object)
	if !ok1 {
		return false
	}
	x.SetResourceVersion(y.GetResourceVersion())
	return reflect.DeepEqual(x, y)
}

// WatchKernel hands changes of the kernel's network to the loop until ctx ends. A
// stream that breaks is opened again, and everything compared anew.
func WatchKernel(ctx context.Context, l *Loop, services *Services) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, watch := range map[string]func(context.Context) error{
		"links":    func(ctx context.Context) error { return link.Watch(ctx, l.KickLinks) },
		"routes":   func(ctx context.Context) error { return route.Watch(ctx, l.Kick) },
		"rules":    func(ctx context.Context) error { return rule.Watch(ctx, l.Kick) },
		"nftables": func(ctx context.Context) error { return nft.Watch(ctx, hostplan.TableName, l.KickTables) },
		"nftables of Services": func(ctx context.Context) error {
			return nft.Watch(ctx, hostplan.ServiceTableName, services.TableChanged)
		},
	} {
		wg.Go(func() { l.keep(ctx, name, watch) })
	}
}

// keep runs watch again whenever it breaks.
func (l *Loop) keep(ctx context.Context, name string, watch func(context.Context) error) {
	for ctx.Err() == nil {
		if err := watch(ctx); err != nil {
			l.e.Log.Error(err, "lost sight of the kernel, watching again", "what", name)
		}
		select {
		case <-ctx.Done():
		case <-l.e.Clock.After(minBackoff):
		}
	}
}
