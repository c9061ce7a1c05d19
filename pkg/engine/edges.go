package engine

import (
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// Change is news of one object from the API server.
type Change struct {
	Ref model.Ref
	// Object is the projection: *model.Pod, *model.Subnet, … as Ref.Kind says; nil
	// when the object is gone, or when it exists and cannot be used (then one of
	// Problems is fatal).
	Object any
	// Problems are those that parsing found.
	Problems []model.Problem
}

// Writer carries out what the engine decides at the API server. No method blocks.
type Writer interface {
	// Write carries out a want. done is called once, from any goroutine, when the write has succeeded or failed for good,
	// and with nil when the incarnation of the object that is meant is gone. A Writer does not retry by itself except for
	// conflicts; the engine does, with back-off. What was written must be handed to [Engine.Apply] before done(nil) is
	// called, so that it enters the world at once.
	Write(w compile.Want, done func(error))
	// HasStatus reports whether objects of a kind have a status that says how they are: they get a report even if
	// nothing is wrong.
	HasStatus(kind model.Kind) bool
	// Report replaces what is known of an object; the writer turns it into conditions and events.
	Report(r Report)
	// Repaired reports changes by others that are undone; the writer bounds how many events it makes of them.
	Repaired(r Repair)
	// Usage replaces the counters of a subnet; the writer coalesces.
	Usage(u addresses.Usage)
}

// Report is what the engine knows of an object.
type Report struct {
	Ref      model.Ref
	Problems []model.Problem // none: the object is as it should be
	// Programmed tells that the facts of the object's present state are committed.
	Programmed bool
}
