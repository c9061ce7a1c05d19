// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Our own limits of each object come first; these of the library are for all events of the process about one object.
const (
	eventBurst     = 100
	eventsASecond  = 1
	similarEvents  = 100 // in 10 minutes: more of one reason and object are merged
	eventComponent = "woven-controller"
)

// Events writes events of API group core. Those of events.k8s.io do not fit: their recorder identifies an event by object
// and reason, so that the second problem of an object with the same reason, whatever its text, only counts up the first
// (https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/client-go/tools/events/event_broadcaster.go,
// getKey).
type Events struct {
	record.EventRecorder
	broadcaster record.EventBroadcaster
}

// NewEvents returns Events that write until [Events.Start] ends.
func NewEvents(client kubernetes.Interface) *Events {
	b := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: eventBurst, QPS: eventsASecond, MaxEvents: similarEvents,
	}))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &Events{
		EventRecorder: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: eventComponent}), broadcaster: b,
	}
}

// NeedLeaderElection is false: [Status] emits nothing while the process does not lead.
func (e *Events) NeedLeaderElection() bool { return false }

// Start waits until ctx ends, and stops writing.
func (e *Events) Start(ctx context.Context) error {
	<-ctx.Done()
	e.broadcaster.Shutdown()
	return nil
}
