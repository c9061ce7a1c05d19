// SPDX-License-Identifier: Apache-2.0

// Package node connects the programs that run on one node with the cluster: the host's state (package hoststate),
// Services (package services), the liveness of gateways (package gatewayprobe) and waiting pods (package podwaiter).
package node

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/hoststate"
	"github.com/wovensdn/woven/pkg/node/podwaiter"
	"github.com/wovensdn/woven/pkg/node/services"
)

// WatchCluster passes events of the cluster to the host's state, to waiting pods and to Services. It returns when the
// cache is complete; the handlers are called until the cache stops.
func WatchCluster(ctx context.Context, c cache.Informers, host *hoststate.Reconciler, pods *podwaiter.Waiter, forwarder *services.Forwarder) error {
	var synced []toolscache.InformerSynced
	for _, f := range []struct {
		object  client.Object
		handler toolscache.ResourceEventHandler
	}{
		{&corev1.Pod{}, handler(func(o client.Object) {
			pods.Changed(client.ObjectKeyFromObject(o))
			host.Kick() // routing rules name addresses of pods
		})},
		{&corev1.Node{}, handler(func(client.Object) { host.Kick() })},
		{&v1.Subnet{}, handler(func(client.Object) { host.Kick() })},
		{&networkingv1.ServiceCIDR{}, handler(func(client.Object) { host.Kick() })},
		{&corev1.Service{}, state(forwarder.ServiceChanged)},
		{&discoveryv1.EndpointSlice{}, state(forwarder.SliceChanged)},
		{&discoveryv1.EndpointSlice{}, handler(func(o client.Object) {
			if o.GetNamespace() == model.APIServerNamespace && o.GetLabels()[discoveryv1.LabelServiceName] == model.APIServerService {
				host.Kick() // the addresses of API servers
			}
		})},
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

// handler calls changed for changes of what the cache keeps: heartbeats and most changes of a status are none.
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
