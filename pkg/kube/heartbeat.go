// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	leaseinformer "k8s.io/client-go/informers/coordination/v1"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Heartbeats watches the Leases of gateway nodes and passes on which heartbeats are lost, or back; see
// [failureDetector] for the rule. Other renewals cause no event.
//
// It starts after the initial lists: until then only the Node object decides about a node, and recorded gateways stay.
type Heartbeats struct {
	informer toolscache.SharedIndexInformer
	in       *Intake
	synced   chan struct{}
	log      logr.Logger

	mu       sync.Mutex
	detector *failureDetector
}

// NewHeartbeats returns a watch of the Leases of a namespace. It passes lost and returned heartbeats to the sink of in.
func NewHeartbeats(api kubernetes.Interface, namespace string, in *Intake, health *apihealth.Reporter, log logr.Logger) (*Heartbeats, error) {
	h := &Heartbeats{in: in, synced: make(chan struct{}), log: log, detector: newFailureDetector()}
	in.whenSynced(func() { close(h.synced) })
	h.informer = leaseinformer.NewFilteredLeaseInformer(api, namespace, 0, toolscache.Indexers{}, func(o *metav1.ListOptions) {
		o.LabelSelector = annotations.LabelGateway + "=true"
	})
	if err := h.informer.SetWatchErrorHandlerWithContext(health.WatchError); err != nil {
		return nil, fmt.Errorf("watch Leases of gateway nodes: %w", err)
	}
	if _, err := h.informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { h.seen(nil, o) },
		UpdateFunc: h.seen,
		DeleteFunc: h.removed,
	}); err != nil {
		return nil, fmt.Errorf("watch Leases of gateway nodes: %w", err)
	}
	return h, nil
}

// NeedLeaderElection is false: a standby that takes over knows which nodes are alive.
func (h *Heartbeats) NeedLeaderElection() bool { return false }

// Start watches the Leases until the context ends.
func (h *Heartbeats) Start(ctx context.Context) error {
	select {
	case <-h.synced:
		h.informer.RunWithContext(ctx)
	case <-ctx.Done():
	}
	return nil
}

// Lost reports whether a node's heartbeat is lost.
func (h *Heartbeats) Lost(node string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.detector.nodes[node]
	return p != nil && p.lost
}

// seen handles a version of a Lease; before is nil for the first one.
func (h *Heartbeats) seen(before, now any) {
	lease, ok := now.(*coordinationv1.Lease)
	if !ok {
		return
	}
	node, renewed, ok := heartbeatOf(lease)
	if !ok {
		return
	}
	if old, ok := before.(*coordinationv1.Lease); ok && old.Spec.RenewTime.Equal(lease.Spec.RenewTime) {
		return
	}
	seconds := 0
	if d := lease.Spec.LeaseDurationSeconds; d != nil {
		seconds = int(*d)
	}
	h.update(func() []transition { return h.detector.renewed(node, renewed, seconds) })
}

func (h *Heartbeats) removed(o any) {
	if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = tombstone.Obj
	}
	lease, ok := o.(*coordinationv1.Lease)
	if !ok {
		return
	}
	if node, ok := model.HeartbeatNode(lease.Name); ok {
		h.update(func() []transition { return h.detector.gone(node) })
	}
}

// heartbeatOf returns the node of a heartbeat Lease, and when it was renewed; ok is false for any other Lease.
func heartbeatOf(l *coordinationv1.Lease) (node string, renewed time.Time, ok bool) {
	node, ok = model.HeartbeatNode(l.Name)
	if !ok || l.Spec.RenewTime == nil || l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != node {
		return "", time.Time{}, false
	}
	return node, l.Spec.RenewTime.Time, true
}

func (h *Heartbeats) update(detect func() []transition) {
	h.mu.Lock()
	changed := detect()
	h.mu.Unlock()
	for _, o := range changed {
		h.log.Info("heartbeat of a gateway node changed", "node", o.node, "lost", o.lost)
		change := engine.Change{Ref: model.Ref{Kind: model.KindHeartbeat, Name: o.node}}
		if o.lost {
			change.Object = &model.Heartbeat{Meta: model.Meta{Name: o.node}, Lost: true}
		}
		h.in.inject(change)
	}
}
