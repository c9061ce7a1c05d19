// SPDX-License-Identifier: Apache-2.0

// Package compat lists Kube-OVN's API: every field, kind, annotation and label that users set, and whether it works in
// Woven. What an object sets and does not work is reported, so that nothing is ignored in silence. The page
// docs/compatibility.md is generated from the same table.
package compat

import "reflect"

// State is how far something works.
type State string

// The states of a [Row] and of a [Kind].
const (
	Works State = "works"
	// Partly works for some values, or in some places; the note names them.
	Partly State = "partly"
	// NotYet has no effect.
	NotYet State = "not yet"
	// Unused has no effect in Kube-OVN either.
	Unused State = "unused"
)

// Row is a field, an annotation or a label.
type Row struct {
	// Name is the path of a field, such as spec.acls[].match, or the key of an annotation or a label. A key that begins
	// with "*" stands for all keys that end with the rest.
	Name  string
	State State
	// Note is a part of a sentence: what does not work, or what to use instead.
	Note string
	// Values is a regular expression of the values that work; empty for all if the row works, for none otherwise.
	Values string
	// DefaultVpc is set if it works in the default Vpc only.
	DefaultVpc bool
	// Essential reports whether the object as a whole does not work with a value; nil if it works with all.
	Essential func(value string) bool
	// Written is set for what programs write and users do not set. It is not reported.
	Written bool
}

// Kind is a kind of objects.
type Kind struct {
	Name, Group string
	State       State
	Note        string
	// Resource is the plural name, of kinds of Kube-OVN alone.
	Resource string
	// Spec is the type of the spec, of kinds whose fields are listed.
	Spec                        reflect.Type
	Fields, Annotations, Labels []Row
}

// Group is the API group of Kube-OVN's kinds.
const Group = "kubeovn.io"

// ignored reports whether a user who sets it gets something other than Kube-OVN's behavior, for some values.
func (r *Row) ignored() bool {
	return !r.Written && (r.State == NotYet || r.Values != "" || r.DefaultVpc)
}

// rows returns rows of one state.
func rows(state State, note string, names ...string) []Row {
	out := make([]Row, 0, len(names))
	for _, name := range names {
		out = append(out, Row{Name: name, State: state, Note: note})
	}
	return out
}

func works(names ...string) []Row { return rows(Works, "", names...) }

// written returns rows of what programs write.
func written(state State, note string, names ...string) []Row {
	out := rows(state, note, names...)
	for i := range out {
		out[i].Written = true
	}
	return out
}
