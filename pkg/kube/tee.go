package kube

import (
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Listener hears what a sink is told. Its methods must not block.
type Listener interface {
	// Learn takes the projection of an object, nil if the object is gone. What
	// cannot be used is not told: what was known of it before holds.
	Learn(ref model.Ref, projection any)
	// Learned says that every object which existed at the start has been told.
	Learned()
}

// Tee is a sink that has a listener hear all news before the sink does.
func Tee(sink Sink, l Listener) Sink { return &tee{Sink: sink, listener: l} }

type tee struct {
	Sink
	listener Listener
}

func (t *tee) Apply(changes ...engine.Change) {
	for _, c := range changes {
		if c.Object != nil || !model.Fatal(c.Problems) {
			t.listener.Learn(c.Ref, c.Object)
		}
	}
	t.Sink.Apply(changes...)
}

func (t *tee) KubeSynced() {
	t.listener.Learned()
	t.Sink.KubeSynced()
}
