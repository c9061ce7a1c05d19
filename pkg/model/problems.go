// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"slices"
)

// Problem is a fact about an object for its user: it becomes a condition and an event. It contains the field and the
// cause.
type Problem struct {
	Reason  string // CamelCase, for example ValidateLogicalSwitchFailed
	Field   string // path of the field, for example spec.cidrBlock; empty when there is none
	Message string
	Fatal   bool // the object does not compile: its rows stay unchanged
	// Optional problems are of what the object works without: it is Ready.
	Optional bool
	// Refused is a problem that is not fatal, and with which the webhook accepts no new object.
	Refused bool
	// NIC limits a fatal problem to one NIC of a pod; empty for the whole object.
	NIC Provider
}

func (p Problem) Error() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// problems collects the problems of one object.
type problems struct {
	reason string
	list   []Problem
}

// fatal adds a problem because of which the object cannot be compiled.
func (p *problems) fatal(field, format string, args ...any) {
	p.list = append(p.list, Problem{Reason: p.reason, Field: field, Message: fmt.Sprintf(format, args...), Fatal: true})
}

// refused adds a problem of one feature with which no new object is accepted; the rest of a stored object works.
func (p *problems) refused(field, format string, args ...any) {
	p.list = append(p.list, Problem{Reason: p.reason, Field: field, Message: fmt.Sprintf(format, args...), Refused: true})
}

// warn adds a problem of one feature; the rest of the object works.
func (p *problems) warn(field, format string, args ...any) {
	p.list = append(p.list, Problem{Reason: p.reason, Field: field, Message: fmt.Sprintf(format, args...)})
}

// Fatal reports whether one of the problems keeps the object from being compiled.
func Fatal(list []Problem) bool {
	return slices.ContainsFunc(list, func(p Problem) bool { return p.Fatal && p.NIC == "" })
}

// bounded returns the first elements of a list in an annotation, and reports if there are more.
func (p *problems) bounded(key string, list []string, most int) []string {
	if len(list) <= most {
		return list
	}
	p.warn(AnnotationField(key), "it has %d elements: those after the first %d are ignored", len(list), most)
	return list[:most]
}
