// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
)

// Change is an event of one object from the API server.
type Change struct {
	Ref model.Ref
	// Object is the projection: *model.Pod, *model.Subnet, … according to Ref.Kind. It is nil if the object is deleted,
	// and if it exists but is invalid (then one of Problems is fatal).
	Object any
	// Problems are the problems that parsing found.
	Problems []model.Problem
	// Generation is metadata.generation, which counts the changes of the spec; 0 if the object is deleted.
	Generation int64
}

// Writer writes what the engine decides to the API server. No method blocks.
type Writer interface {
	// Write carries out a want. done is called once, from any goroutine, when the write has succeeded or failed for
	// good, and with nil when the object with that UID no longer exists. A Writer does not retry by itself except for
	// conflicts; the engine does, with back-off. What was written must be handed to [Engine.Apply] before done(nil) is
	// called, so that it enters the world at once.
	Write(w compile.Want, done func(error))
	// HasStatus reports whether objects of a kind have a status with conditions: they get a report even without
	// problems.
	HasStatus(kind model.Kind) bool
	// Report replaces the report of an object; the writer turns it into conditions and events.
	Report(r Report)
	// Repaired reports changes by other clients that are reverted; the writer limits the rate of its events.
	Repaired(r Repair)
	// Usage replaces the counters of a subnet; the writer coalesces.
	Usage(u addresses.Usage)
}

// Report is the state of an object in the engine.
type Report struct {
	Ref model.Ref
	// UID is that of the object: one that is recreated under its name is another. Empty if it has never been valid.
	UID string
	// Generation is that of the spec which the report is about. Only objects with a status have it.
	Generation int64
	Problems   []model.Problem // empty if the object is valid and everything that it needs is available
	// Programmed means that all facts of the object's present state are committed.
	Programmed bool
}

// Lease reports whether this process is the leader according to the API server.
type Lease interface {
	// Holds reports whether this process certainly holds the lease now.
	Holds() bool
	// RenewedSince reports whether a request that began after t has acquired or renewed the lease.
	RenewedSince(t time.Time) bool
}
