// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// Scheme knows the kinds that a node reads.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		return nil, err
	}
	return s, v1.AddToScheme(s)
}

// Mapper knows the resources of the kinds that a node reads and writes, so that
// starting needs no discovery: a node must come up before the API server does.
func Mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, discoveryv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion, v1.GroupVersion})
	core := corev1.SchemeGroupVersion
	m.Add(core.WithKind("Node"), meta.RESTScopeRoot)
	m.Add(core.WithKind("Pod"), meta.RESTScopeNamespace)
	m.Add(core.WithKind("Event"), meta.RESTScopeNamespace)
	m.Add(core.WithKind("Service"), meta.RESTScopeNamespace)
	m.Add(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), meta.RESTScopeNamespace)
	m.Add(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), meta.RESTScopeRoot)
	m.Add(v1.GroupVersion.WithKind("Subnet"), meta.RESTScopeRoot)
	m.Add(v1.GroupVersion.WithKind("IP"), meta.RESTScopeRoot)
	return m
}

// CacheByObject says what of the cluster a node keeps in memory: its own pods,
// all nodes, all subnets, the networks of Services and the Services with their
// backends, and of each only what it uses.
func CacheByObject(nodeName string) map[client.Object]cache.ByObject {
	shared := true // readers do not change what they get
	return map[client.Object]cache.ByObject{
		&corev1.Pod{}: {
			Field:                 fields.OneTermEqualSelector("spec.nodeName", nodeName),
			Transform:             func(o any) (any, error) { return slim(o, slimPod), nil },
			UnsafeDisableDeepCopy: &shared,
		},
		&corev1.Node{}: {
			Transform: func(o any) (any, error) {
				return slim(o, func(n *corev1.Node) { slimNode(n, nodeName) }), nil
			},
			UnsafeDisableDeepCopy: &shared,
		},
		&corev1.Service{}: {
			Label:                 served,
			Transform:             func(o any) (any, error) { return slim(o, slimService), nil },
			UnsafeDisableDeepCopy: &shared,
		},
		&discoveryv1.EndpointSlice{}: {
			Label:                 served,
			Transform:             func(o any) (any, error) { return slim(o, slimEndpointSlice), nil },
			UnsafeDisableDeepCopy: &shared,
		},
		&networkingv1.ServiceCIDR{}: {
			Transform:             func(o any) (any, error) { return slim(o, slimServiceCIDR), nil },
			UnsafeDisableDeepCopy: &shared,
		},
		&v1.Subnet{}: {
			Transform:             func(o any) (any, error) { return slim(o, slimSubnet), nil },
			UnsafeDisableDeepCopy: &shared,
		},
	}
}

// served leaves out Services that have no address or that another proxy serves
// (KEP-2447), and their slices.
var served = func() labels.Selector {
	s := labels.NewSelector()
	for _, label := range []string{corev1.IsHeadlessService, model.LabelProxyName} {
		without, err := labels.NewRequirement(label, selection.DoesNotExist, nil)
		if err == nil { // constants are labels
			s = s.Add(*without)
		}
	}
	return s
}()

// slim applies a transform to objects of its type and leaves tombstones alone.
func slim[T any](o any, f func(T)) any {
	if t, ok := o.(T); ok {
		f(t)
	}
	return o
}

// The functions that follow drop what no projection of this package or of package
// podnet reads; TestTransforms and the fuzz tests beside it hold them to that.

// slimMeta keeps the identity of an object, and the annotations of a network provider.
func slimMeta(m *metav1.ObjectMeta) {
	ann := maps.Clone(m.Annotations)
	maps.DeleteFunc(ann, func(k, _ string) bool {
		domain, _, _ := strings.Cut(k, "/")
		return !strings.HasSuffix(domain, annotations.ProviderDomain) || domain == "kubectl.kubernetes.io"
	})
	var finalizers []string
	if slices.Contains(m.Finalizers, annotations.Finalizer) {
		finalizers = []string{annotations.Finalizer}
	}
	*m = metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Annotations: ann,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp, Finalizers: finalizers,
	}
}

func slimService(s *corev1.Service) {
	slimMeta(&s.ObjectMeta)
	s.Spec.Selector = nil
	s.Status = corev1.ServiceStatus{LoadBalancer: s.Status.LoadBalancer}
}

// slimEndpointSlice keeps the label that names the Service.
func slimEndpointSlice(e *discoveryv1.EndpointSlice) {
	service := e.Labels[discoveryv1.LabelServiceName]
	slimMeta(&e.ObjectMeta)
	e.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	endpoints := make([]discoveryv1.Endpoint, 0, len(e.Endpoints))
	for _, p := range e.Endpoints {
		endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: p.Addresses, Conditions: p.Conditions, NodeName: p.NodeName})
	}
	e.Endpoints = endpoints
}

func slimServiceCIDR(c *networkingv1.ServiceCIDR) {
	slimMeta(&c.ObjectMeta)
	c.Status = networkingv1.ServiceCIDRStatus{}
}

func slimPod(p *corev1.Pod) {
	slimMeta(&p.ObjectMeta)
	p.Spec, p.Status = corev1.PodSpec{}, corev1.PodStatus{}
}

// slimNode keeps the labels of our own node, which may make it a gateway, and of others the one of the control plane.
func slimNode(n *corev1.Node, own string) {
	labels := n.Labels
	slimMeta(&n.ObjectMeta)
	if n.Name == own {
		n.Labels = labels
	} else if role, ok := labels[model.LabelControlPlane]; ok {
		n.Labels = map[string]string{model.LabelControlPlane: role}
	}
	n.Spec = corev1.NodeSpec{}
	s := corev1.NodeStatus{Addresses: n.Status.Addresses}
	if c := NetworkCondition(n); c != nil {
		s.Conditions = []corev1.NodeCondition{{
			Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime,
		}}
	}
	n.Status = s
}

// slimSubnet keeps the whole spec: there are few Subnets, and a field is not easily forgotten.
func slimSubnet(s *v1.Subnet) {
	slimMeta(&s.ObjectMeta)
	s.Status = v1.SubnetStatus{ActivateGateway: s.Status.ActivateGateway}
}

// NetworkCondition returns the condition NetworkUnavailable of a Node, nil if there is none.
func NetworkCondition(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeNetworkUnavailable {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}
