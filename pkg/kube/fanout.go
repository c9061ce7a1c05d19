// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Listener receives what a [Sink] receives. Its methods must not block.
type Listener interface {
	// Apply takes the projection of an object, nil if the object is deleted. Invalid versions are skipped: the last
	// valid projection stays in force.
	Apply(ref model.Ref, projection any)
	// Synced is called once, after every object which existed at the start has been applied.
	Synced()
}

// FanOut returns a sink that passes all events to a listener first, and then to sink.
func FanOut(sink Sink, l Listener) Sink { return &fanOut{Sink: sink, listener: l} }

type fanOut struct {
	Sink
	listener Listener
}

func (f *fanOut) Apply(changes ...engine.Change) {
	for _, c := range changes {
		if c.Object != nil || !model.Fatal(c.Problems) {
			f.listener.Apply(c.Ref, c.Object)
		}
	}
	f.Sink.Apply(changes...)
}

func (f *fanOut) KubeSynced() {
	f.listener.Synced()
	f.Sink.KubeSynced()
}
