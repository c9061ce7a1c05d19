// SPDX-License-Identifier: Apache-2.0

// Package kube is the edge to the API server: [Intake] turns watch events into projections and passes them to a [Sink],
// [Writer] carries out the writes of the engine, [Bootstrapper] creates the objects that every cluster needs, and
// [Leader] holds the lease.
//
// The engine decides; this package keeps the order: an object that was written enters the world at once, and older
// events of the watch cannot revert it (see [staleFilter]).
package kube

import (
	"github.com/wovensdn/woven/pkg/engine"
)

// Sink receives the objects of the cluster. It is the engine.
type Sink interface {
	// Apply receives changes, in order. It must not block for long.
	Apply(changes ...engine.Change)
	// KubeSynced is called once, after every object which existed at the start has been applied.
	KubeSynced()
}
