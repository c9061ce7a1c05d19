// Package kube is the edge to the API server: [Intake] turns watch events into
// projections and hands them to a [Sink], [Writer] carries out what the engine
// wants written, [Bootstrapper] makes the objects that a cluster cannot be without,
// and [Leader] holds the lease.
//
// Nothing here decides; the engine does. What this package adds is order: an
// object that was written enters the world at once, and older news of it that
// the watch still brings cannot undo that (see [staleFilter]).
package kube

import (
	"github.com/wovensdn/woven/pkg/engine"
)

// Sink takes what is known of the cluster. It is the engine.
type Sink interface {
	// Apply takes news. It must not block for long.
	Apply(changes ...engine.Change)
	// KubeSynced says that every object which existed at the start has been applied.
	KubeSynced()
}
