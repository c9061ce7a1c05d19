package kube

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// Object is any Kubernetes object.
type Object = client.Object

// kind says how objects of one kind come in.
type kind struct {
	kind    model.Kind
	gvk     schema.GroupVersionKind
	new     func() Object
	project func(Object) engine.Change
	// keep holds on to whole objects: only for kinds of which there are few and
	// whose spec or status is written.
	keep bool
}

// kindList is all that is watched.
func kindList() []kind {
	core := corev1.SchemeGroupVersion
	return []kind{
		kindOf(model.KindVpc, v1.GroupVersion, true, func() *v1.Vpc { return &v1.Vpc{} }, model.VpcFrom),
		kindOf(model.KindSubnet, v1.GroupVersion, true, func() *v1.Subnet { return &v1.Subnet{} }, model.SubnetFrom),
		kindOf(model.KindIPPool, v1.GroupVersion, true, func() *v1.IPPool { return &v1.IPPool{} }, model.IPPoolFrom),
		kindOf(model.KindIP, v1.GroupVersion, false, func() *v1.IP { return &v1.IP{} }, model.IPFrom),
		kindOf(model.KindNode, core, false, func() *corev1.Node { return &corev1.Node{} }, model.NodeFrom),
		kindOf(model.KindNamespace, core, false, func() *corev1.Namespace { return &corev1.Namespace{} }, model.NamespaceFrom),
		kindOf(model.KindStatefulSet, appsv1.SchemeGroupVersion, false, func() *appsv1.StatefulSet { return &appsv1.StatefulSet{} }, model.StatefulSetFrom),
		kindOf(model.KindService, core, false, func() *corev1.Service { return &corev1.Service{} }, model.ServiceFrom),
		kindOf(model.KindEndpointSlice, discoveryv1.SchemeGroupVersion, false, func() *discoveryv1.EndpointSlice { return &discoveryv1.EndpointSlice{} }, model.EndpointSliceFrom),
		kindOf(model.KindNetworkPolicy, networkingv1.SchemeGroupVersion, false, func() *networkingv1.NetworkPolicy { return &networkingv1.NetworkPolicy{} }, model.NetworkPolicyFrom),
		kindOf(model.KindPod, core, false, func() *corev1.Pod { return &corev1.Pod{} }, model.PodFrom),
	}
}

func kindOf[O Object, T any](k model.Kind, gv schema.GroupVersion, keep bool, fresh func() O, from func(O) (T, []model.Problem)) kind {
	return kind{
		kind: k, keep: keep, gvk: gv.WithKind(string(k)),
		new: func() Object { return fresh() },
		project: func(o Object) engine.Change {
			change := engine.Change{Ref: refOf(k, o)}
			typed, ok := o.(O)
			if !ok {
				return change
			}
			value, problems := from(typed)
			change.Problems = problems
			if !model.Fatal(problems) {
				change.Object = &value
			}
			return change
		},
	}
}

func refOf(k model.Kind, o metav1.Object) model.Ref {
	return model.Ref{Kind: k, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Scheme knows every kind that is read or written.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(v1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, appsv1.AddToScheme,
		networkingv1.AddToScheme, v1alpha1.Install, v1alpha2.Install)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return scheme, nil
}

// resource names the kind in errors.
func (k kind) resource() schema.GroupResource {
	return schema.GroupResource{Group: k.gvk.Group, Resource: strings.ToLower(k.gvk.Kind) + "s"}
}
