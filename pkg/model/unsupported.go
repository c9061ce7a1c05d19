// SPDX-License-Identifier: Apache-2.0

package model

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/pkg/compat"
)

// unsupported adds what an object sets and does not work, as package compat lists it. spec points to its spec; it is
// nil for kinds of Kubernetes.
func (p *problems) unsupported(kind Kind, o metav1.Object, spec any) {
	for _, f := range compat.Ignored(string(kind), o, spec) {
		p.list = append(p.list, Problem{Reason: ReasonNotSupported, Field: f.Field, Message: f.Message, Optional: !f.Essential})
	}
}

// Unsupported is an object of a kind of Kube-OVN that Woven does not support yet.
type Unsupported struct{ Meta }

// UnsupportedFrom returns the projection of a kind that is not supported: every object has a problem.
func UnsupportedFrom[O metav1.Object](kind Kind) func(O) (Unsupported, []Problem) {
	return func(o O) (Unsupported, []Problem) {
		p := problems{}
		p.unsupported(kind, o, nil)
		return Unsupported{Meta: metaOf(o)}, p.list
	}
}

// UnsupportedKind is a kind of Kube-OVN that Woven does not support yet.
type UnsupportedKind struct {
	Name     Kind
	Resource string // the plural name
}

// UnsupportedKinds lists the kinds of Kube-OVN that Woven does not support yet.
func UnsupportedKinds() (out []UnsupportedKind) {
	for _, k := range compat.Kinds {
		if k.State == compat.NotYet {
			out = append(out, UnsupportedKind{Name: Kind(k.Name), Resource: k.Resource})
		}
	}
	return out
}

func unsupportedKindNames() (out []Kind) {
	for _, k := range UnsupportedKinds() {
		out = append(out, k.Name)
	}
	return out
}
