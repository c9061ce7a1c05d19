// SPDX-License-Identifier: Apache-2.0

// Package model contains what a compile function may know of the cluster: plain structs projected from Kubernetes
// objects, already parsed and validated.
//
// A projection contains what compile reads and nothing else: a change that leaves it equal (a status, a heartbeat,
// managedFields) triggers no compilation. Values of this package are immutable once they are in package world.
package model

import (
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// Kind is the kind of an object, spelled as in Kubernetes.
type Kind string

// The kinds that the core compiles or reads.
const (
	KindVpc       Kind = "Vpc"
	KindSubnet    Kind = "Subnet"
	KindNode      Kind = "Node"
	KindNamespace Kind = "Namespace"
	KindPod       Kind = "Pod"
	KindIP        Kind = "IP"
	KindIPPool    Kind = "IPPool"
	// KindStatefulSet is read only: it retains the addresses of its pods.
	KindStatefulSet Kind = "StatefulSet"
	// KindVirtualMachine is read only, too: KubeVirt's VM retains the addresses of its pods.
	KindVirtualMachine Kind = "VirtualMachine"
	KindService        Kind = "Service"
	// KindEndpointSlice is read only: it contains backends of a Service.
	KindEndpointSlice Kind = "EndpointSlice"
	// KindServiceCIDR is read only: its ranges are reserved.
	KindServiceCIDR Kind = "ServiceCIDR"
	// KindDefinition is that of an optional kind, see [Definition].
	KindDefinition Kind = "CustomResourceDefinition"
	// KindHeartbeat is the heartbeat of a gateway node; its name is the node's.
	KindHeartbeat Kind = "Heartbeat"
)

// Meta is the metadata of every object. Created orders two objects that claim the same resource: the older one wins;
// equal times are decided by name.
type Meta struct {
	Namespace string // empty for cluster-scoped kinds
	Name      string
	UID       string
	Created   int64 // creationTimestamp, seconds since the Unix epoch
	Deleting  bool  // deletionTimestamp is set
	Finalized bool  // has our finalizer
}

func metaOf(o metav1.Object) Meta {
	m := Meta{
		Namespace: o.GetNamespace(),
		Name:      o.GetName(),
		UID:       string(o.GetUID()),
		Deleting:  o.GetDeletionTimestamp() != nil,
		Finalized: slices.Contains(o.GetFinalizers(), annotations.Finalizer),
	}
	if created := o.GetCreationTimestamp(); !created.IsZero() {
		m.Created = created.Unix()
	}
	return m
}

// Equal reports whether two projections are the same, so that a change which leaves them equal triggers no compilation.
func Equal[T any](a, b T) bool {
	return reflect.DeepEqual(a, b)
}
