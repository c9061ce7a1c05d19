// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Object is any Kubernetes object.
type Object = client.Object

// Row describes a kind in its own types: O is a pointer to its API type, T its projection. Only Name, Version and
// Project are required.
type Row[O Object, T any] struct {
	Name    model.Kind
	Version schema.GroupVersion
	// Definition is the name of the CustomResourceDefinition of a kind that a cluster need not have.
	Definition string
	// IfServed is set for a kind of Kubernetes that older versions do not serve; there are no objects of it then.
	IfServed bool
	// Project reads an object. A fatal problem means that its present state cannot be used.
	Project func(O) (T, []model.Problem)
	// Status returns a copy of an object with its new status. Objects of kinds with a status are stored in memory as a
	// whole, so there must be few.
	Status func(O, StatusInput) O
	// Admission is set for kinds that the admission webhook validates.
	Admission *Admission[T]
}

// Admission validates objects before they are stored, in addition to the problems of Project.
type Admission[T any] struct {
	// InCluster returns the problems of an object with other objects of the cluster; nil if there can be none.
	InCluster func(*T, model.AdmissionView) []model.Problem
	// Update returns the problems of a change; nil if a change needs no checks beyond those of a creation.
	Update func(before, after *T) []model.Problem
	// Removal returns the problem of a deletion; nil if any object may be deleted.
	Removal func(name string, c model.AdmissionView) (model.Problem, bool)
}

// Kind is a [Row] without its type parameters.
type Kind struct {
	Name       model.Kind
	GVK        schema.GroupVersionKind
	Definition string // see [Row]
	IfServed   bool   // see [Row]
	// New returns an empty object.
	New func() Object
	// Project returns the change that an object stands for.
	Project func(Object) engine.Change
	// Status is nil for kinds without a status.
	Status func(Object, StatusInput) Object
	// Admission is nil for kinds that the webhook does not validate.
	Admission *AnyAdmission
}

// NewList returns an empty list of objects of the kind. It fails for a kind that is not in [Scheme].
func (k Kind) NewList() (client.ObjectList, error) {
	gvk := k.GVK.GroupVersion().WithKind(k.GVK.Kind + "List")
	if _, partly := k.New().(*metav1.PartialObjectMetadata); partly {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk)
		return list, nil
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	o, err := scheme.New(gvk)
	if err != nil {
		return nil, fmt.Errorf("create a list of kind %s: %w", k.Name, err)
	}
	list, ok := o.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("create a list of kind %s: %T is not a list", k.Name, o)
	}
	return list, nil
}

// AnyAdmission is an [Admission] for any object of its kind.
type AnyAdmission struct {
	// Problems returns the problems of the object itself and, unless c is nil, those with other objects of the cluster.
	Problems func(o Object, c model.AdmissionView) []model.Problem
	// Update returns the problems of a change between valid objects.
	Update  func(before, after Object) []model.Problem
	Removal func(name string, c model.AdmissionView) (model.Problem, bool)
}

// Kind erases the types.
func (r Row[O, T]) Kind() Kind {
	k := Kind{Name: r.Name, GVK: r.Version.WithKind(string(r.Name)), Definition: r.Definition, IfServed: r.IfServed, New: r.fresh, Project: r.change}
	if r.Status != nil {
		k.Status = func(o Object, in StatusInput) Object {
			if typed, ok := o.(O); ok {
				return r.Status(typed, in)
			}
			return o
		}
	}
	if r.Admission != nil {
		k.Admission = &AnyAdmission{Problems: r.problems, Removal: r.Admission.Removal}
		if r.Admission.Update != nil {
			k.Admission.Update = r.updateProblems
		}
	}
	return k
}

func (r Row[O, T]) fresh() Object {
	o, ok := reflect.New(reflect.TypeFor[O]().Elem()).Interface().(Object)
	if m, partly := o.(*metav1.PartialObjectMetadata); ok && partly {
		m.SetGroupVersionKind(r.Version.WithKind(string(r.Name)))
	}
	return o
}

func (r Row[O, T]) change(o Object) engine.Change {
	change := engine.Change{Ref: refOf(r.Name, o)}
	if typed, ok := o.(O); ok {
		value, problems := r.Project(typed)
		if change.Problems = problems; !model.Fatal(problems) {
			change.Object = &value
		}
	}
	return change
}

func (r Row[O, T]) problems(o Object, c model.AdmissionView) []model.Problem {
	typed, ok := o.(O)
	if !ok {
		return nil
	}
	value, problems := r.Project(typed)
	if c == nil || r.Admission.InCluster == nil || model.Fatal(problems) {
		return problems
	}
	return append(problems, r.Admission.InCluster(&value, c)...)
}

func (r Row[O, T]) updateProblems(before, after Object) []model.Problem {
	old, ok := before.(O)
	now, both := after.(O)
	if !ok || !both {
		return nil
	}
	from, _ := r.Project(old)
	to, problems := r.Project(now)
	if model.Fatal(problems) {
		return nil // an invalid object is refused anyway
	}
	return r.Admission.Update(&from, &to)
}

func refOf(k model.Kind, o metav1.Object) model.Ref {
	return model.Ref{Kind: k, Namespace: o.GetNamespace(), Name: o.GetName()}
}
