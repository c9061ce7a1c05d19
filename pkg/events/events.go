// SPDX-License-Identifier: Apache-2.0

// Package events writes events about objects to the API server.
package events

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Limits of the events of a process about one object; callers have their own below.
const (
	burst   = 100
	aSecond = 1
	similar = 100 // in 10 minutes: more of one reason and object are merged
)

// Writer writes events of API group core. Those of events.k8s.io do not fit: their recorder identifies an event by
// object and reason, so that the second problem of an object with the same reason, whatever its text, only counts up
// the first (getKey in client-go's tools/events/event_broadcaster.go).
type Writer struct {
	record.EventRecorder
	broadcaster record.EventBroadcaster
}

// NewWriter returns a Writer, which writes until [Writer.Start] ends.
func NewWriter(client kubernetes.Interface, component string) *Writer {
	b := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{BurstSize: burst, QPS: aSecond, MaxEvents: similar}))
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &Writer{EventRecorder: b.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component}), broadcaster: b}
}

// NeedLeaderElection is false: who calls the recorder decides whether to emit.
func (w *Writer) NeedLeaderElection() bool { return false }

// Start waits until ctx ends, and stops writing.
func (w *Writer) Start(ctx context.Context) error {
	<-ctx.Done()
	w.broadcaster.Shutdown()
	return nil
}
