package engine

import (
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
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

// Writer carries out what the engine decides at the API server. No method
// blocks. done is called once, from any goroutine, when the write has succeeded
// or failed for good; a Writer does not retry by itself except for conflicts,
// the engine does, with back-off. What was written must be handed to
// [Engine.Apply] before done(nil) is called, so that it enters the world at once.
type Writer interface {
	// CreateIP records an allocation.
	CreateIP(c compile.Claim, a ipam.Allocation, done func(error))
	// Annotate patches annotations; done(nil) when the object is gone.
	Annotate(a compile.Annotate, done func(error))
	// Follow patches what an IP object says of its pod, if it still has that UID.
	Follow(f compile.Follow, done func(error))
	// Adopt completes a record that a user made by what was chosen for it, if it still has that UID.
	Adopt(w compile.Adopt, a ipam.Allocation, done func(error))
	// Release removes our finalizer from an IP object and deletes it, if it still has that UID.
	Release(r compile.Release, done func(error))
	// CreateSubnet creates a Subnet, if there is none of that name.
	CreateSubnet(s compile.CreateSubnet, done func(error))
	// SetGateway records in a subnet's status which nodes are its gateway now.
	SetGateway(g compile.SetGateway, done func(error))
	// Finalize puts our finalizer on an object or takes it off.
	Finalize(f compile.Finalize, done func(error))
	// Report replaces what is known of an object; the writer turns it into conditions and events.
	Report(r Report)
	// Repaired tells of changes by others that are put right; the writer bounds how many events it makes of them.
	Repaired(r Repair)
	// Usage replaces the counters of a subnet; the writer coalesces.
	Usage(u Usage)
}

// Report is what the engine knows of an object.
type Report struct {
	Ref      model.Ref
	Problems []model.Problem // none: the object is as it should be
	// Programmed tells that the facts of the object's present state are committed.
	Programmed bool
}

// Usage is the state of a subnet's addresses, or of those of a pool.
type Usage struct {
	Subnet string
	Pool   string // empty for the subnet
	Stats  ipam.Stats
	Ranges ipam.RangeTexts
}
