// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Kinds is the table of the kinds that are read from the API server, with the status that is written back.
type Kinds []Kind

// AllKinds returns the table of all kinds, with the default limits.
func AllKinds() Kinds { return LimitedKinds(model.DefaultLimits) }

// SupportedKinds returns the table of the kinds that have an effect, with the default limits.
func SupportedKinds() Kinds { return supportedKinds(model.DefaultLimits) }

// LimitedKinds returns the table of all kinds.
func LimitedKinds(limits model.Limits) Kinds {
	return append(supportedKinds(limits), unsupportedKinds()...)
}

// supportedKinds are the rows of the kinds that have an effect. A new kind is one more row here.
func supportedKinds(limits model.Limits) Kinds {
	core := corev1.SchemeGroupVersion
	return Kinds{
		Row[*v1.Vpc, model.Vpc]{
			Name: model.KindVpc, Version: v1.GroupVersion, Project: model.VpcFrom, Status: vpcStatus,
			Admission: &Admission[model.Vpc]{InCluster: model.VpcProblems},
		}.Kind(),
		Row[*v1.Subnet, model.Subnet]{
			Name: model.KindSubnet, Version: v1.GroupVersion, Project: model.SubnetFrom, Status: subnetStatus,
			Admission: &Admission[model.Subnet]{InCluster: model.SubnetProblems, Removal: model.SubnetRemovalProblem},
		}.Kind(),
		Row[*v1.IPPool, model.IPPool]{
			Name: model.KindIPPool, Version: v1.GroupVersion, Project: model.IPPoolFrom, Status: poolStatus,
			Admission: &Admission[model.IPPool]{InCluster: model.IPPoolProblems},
		}.Kind(),
		Row[*v1.IP, model.IP]{
			Name: model.KindIP, Version: v1.GroupVersion, Project: model.IPFrom,
			Admission: &Admission[model.IP]{InCluster: model.IPProblems, Update: model.IPChangeProblems},
		}.Kind(),
		Row[*corev1.Node, model.Node]{
			Name: model.KindNode, Version: core, Project: model.NodeFrom, Admission: &Admission[model.Node]{},
		}.Kind(),
		Row[*corev1.Namespace, model.Namespace]{
			Name: model.KindNamespace, Version: core, Project: model.NamespaceFrom,
			Admission: &Admission[model.Namespace]{InCluster: model.NamespaceProblems},
		}.Kind(),
		Row[*appsv1.StatefulSet, model.StatefulSet]{
			Name: model.KindStatefulSet, Version: appsv1.SchemeGroupVersion, Project: model.StatefulSetFrom,
		}.Kind(),
		Row[*corev1.Service, model.Service]{
			Name: model.KindService, Version: core, Project: model.ServiceFrom, Admission: &Admission[model.Service]{},
		}.Kind(),
		Row[*discoveryv1.EndpointSlice, model.EndpointSlice]{
			Name: model.KindEndpointSlice, Version: discoveryv1.SchemeGroupVersion, Project: model.EndpointSliceFrom,
		}.Kind(),
		Row[*networkingv1.ServiceCIDR, model.ServiceCIDR]{
			Name: model.KindServiceCIDR, Version: networkingv1.SchemeGroupVersion, IfServed: true, Project: model.ServiceCIDRFrom,
		}.Kind(),
		Row[*corev1.Pod, model.Pod]{Name: model.KindPod, Version: core, Project: model.PodFrom}.Kind(),
		Row[*networkingv1.NetworkPolicy, model.Policy]{
			Name: model.KindNetworkPolicy, Version: networkingv1.SchemeGroupVersion, Project: limits.NetworkPolicy,
			Admission: &Admission[model.Policy]{},
		}.Kind(),
		Row[*v1alpha1.AdminNetworkPolicy, model.Policy]{
			Name: model.KindAdminNetworkPolicy, Version: schema.GroupVersion(v1alpha1.GroupVersion), Project: model.AdminNetworkPolicyFrom,
			Definition: "adminnetworkpolicies.policy.networking.k8s.io", Admission: &Admission[model.Policy]{},
		}.Kind(),
		Row[*v1alpha1.BaselineAdminNetworkPolicy, model.Policy]{
			Name: model.KindBaselineAdminNetworkPolicy, Version: schema.GroupVersion(v1alpha1.GroupVersion), Project: model.BaselineAdminNetworkPolicyFrom,
			Definition: "baselineadminnetworkpolicies.policy.networking.k8s.io", Admission: &Admission[model.Policy]{},
		}.Kind(),
		Row[*v1alpha2.ClusterNetworkPolicy, model.Policy]{
			Name: model.KindClusterNetworkPolicy, Version: schema.GroupVersion(v1alpha2.GroupVersion), Project: model.ClusterNetworkPolicyFrom,
			Definition: "clusternetworkpolicies.policy.networking.k8s.io", Admission: &Admission[model.Policy]{},
		}.Kind(),
		Row[*metav1.PartialObjectMetadata, model.VirtualMachine]{ // only the metadata are read
			Name: model.KindVirtualMachine, Version: schema.GroupVersion{Group: "kubevirt.io", Version: "v1"}, Project: model.VirtualMachineFrom,
			Definition: model.DefinitionVirtualMachine,
		}.Kind(),
	}
}

// Scheme returns a scheme with every kind that is read or written.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(v1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, appsv1.AddToScheme,
		networkingv1.AddToScheme, v1alpha1.Install, v1alpha2.Install)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, nil
}

// Of finds the row of a kind.
func (ks Kinds) Of(name model.Kind) (Kind, bool) {
	for _, k := range ks {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// OfGroupKind finds the row of a kind by its name in the API.
func (ks Kinds) OfGroupKind(gk schema.GroupKind) (Kind, bool) {
	for _, k := range ks {
		if k.GVK.GroupKind() == gk {
			return k, true
		}
	}
	return Kind{}, false
}

// HasStatus reports whether objects of a kind have a status with conditions.
func (ks Kinds) HasStatus(name model.Kind) bool {
	k, _ := ks.Of(name)
	return k.Status != nil
}

func (ks Kinds) byName() map[model.Kind]Kind {
	out := map[model.Kind]Kind{}
	for _, k := range ks {
		out[k.Name] = k
	}
	return out
}

// Load applies the projections of objects to a world. Objects of kinds that are not in the table are skipped.
func (ks Kinds) Load(w *world.World, objects []Object) error {
	kindOf := ks.byType()
	for _, o := range objects {
		k, ok := kindOf(o)
		if !ok {
			continue
		}
		change := k.Project(o)
		if _, err := w.Apply(change.Ref, change.Object, model.Fatal(change.Problems)); err != nil {
			return fmt.Errorf("load %s: %w", change.Ref, err)
		}
	}
	return nil
}

// byType returns a function that finds the row of an object by its Go type.
func (ks Kinds) byType() func(o any) (Kind, bool) {
	types, partial := map[reflect.Type]Kind{}, map[schema.GroupVersionKind]Kind{}
	for _, k := range ks {
		if _, partly := k.New().(*metav1.PartialObjectMetadata); partly {
			partial[k.GVK] = k
		} else {
			types[reflect.TypeOf(k.New())] = k
		}
	}
	return func(o any) (Kind, bool) {
		if m, partly := o.(*metav1.PartialObjectMetadata); partly {
			k, ok := partial[m.GroupVersionKind()]
			return k, ok
		}
		k, ok := types[reflect.TypeOf(o)]
		return k, ok
	}
}

// resource is the name of the kind in errors.
func (k Kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.GVK.Group, Resource: strings.ToLower(k.GVK.Kind) + "s"}
}
