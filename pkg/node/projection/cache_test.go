// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/randfill"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/podnet"
)

// What spec.enableLb says arrives in the node's plan, through the cache.
func TestLoadBalancersOfASubnet(t *testing.T) {
	without, with := false, true
	for _, c := range []struct {
		spec *bool
		want bool
	}{{nil, false}, {&with, false}, {&without, true}} {
		s := &v1.Subnet{Spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/16", EnableLb: c.spec}}
		o, err := settingsOf(s).Transform(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := SubnetOf(o.(*v1.Subnet)).Plan.NoLoadBalancer; got != c.want {
			t.Errorf("spec.enableLb %v: NoLoadBalancer is %v, want %v", c.spec, got, c.want)
		}
	}
}

// self is the node that the cache of these tests is of.
const self = "n1"

// projections are what this package reads of each kind. Every other use of an object of the cache is of
// its name, namespace, UID and resource version.
var projections = map[string]struct {
	object  client.Object
	project func(client.Object) any
}{
	"Pod": {&corev1.Pod{}, func(o client.Object) any {
		pod := o.(*corev1.Pod)
		out := []any{pod.UID}
		for _, provider := range providers {
			ref := podnet.Ref{Namespace: pod.Namespace, Name: pod.Name, Provider: provider}
			network, err := podnet.Parse(ref, string(pod.UID), pod.Annotations)
			out = append(out, podnet.Pending(ref, pod.Annotations), network, fmt.Sprint(err))
		}
		return out
	}},
	"Node": {&corev1.Node{}, func(o client.Object) any {
		n := o.(*corev1.Node)
		var condition []any
		if c := NetworkCondition(n); c != nil {
			condition = []any{c.Status, c.Reason}
		}
		return []any{NodeOf(n, self), condition, n.Annotations[annotations.Chassis]}
	}},
	"Subnet": {&v1.Subnet{}, func(o client.Object) any {
		s := o.(*v1.Subnet)
		return []any{SubnetOf(s), s.Spec.Mtu}
	}},
	"Service": {&corev1.Service{}, func(o client.Object) any {
		s, problems := model.ServiceFrom(o.(*corev1.Service))
		return []any{s, problems}
	}},
	"EndpointSlice": {&discoveryv1.EndpointSlice{}, func(o client.Object) any {
		return SliceOf(o.(*discoveryv1.EndpointSlice))
	}},
	"ServiceCIDR": {&networkingv1.ServiceCIDR{}, func(o client.Object) any {
		s, problems := model.ServiceCIDRFrom(o.(*networkingv1.ServiceCIDR))
		return []any{s, problems}
	}},
}

// TestTransforms: what the cache drops of an object makes no difference.
func TestTransforms(t *testing.T) {
	if len(projections) != len(CacheByObject(self)) {
		t.Errorf("%d kinds have a projection, %d are cached", len(projections), len(CacheByObject(self)))
	}
	for kind := range projections {
		t.Run(kind, func(t *testing.T) {
			different := map[string]bool{}
			for seed := range int64(300) {
				different[transformed(t, kind, seed)] = true
			}
			if len(different) < 5 {
				t.Errorf("random objects give %d projections only", len(different))
			}
		})
	}
}

func FuzzPodTransform(f *testing.F)           { fuzzTransform(f, "Pod") }
func FuzzNodeTransform(f *testing.F)          { fuzzTransform(f, "Node") }
func FuzzSubnetTransform(f *testing.F)        { fuzzTransform(f, "Subnet") }
func FuzzServiceTransform(f *testing.F)       { fuzzTransform(f, "Service") }
func FuzzEndpointSliceTransform(f *testing.F) { fuzzTransform(f, "EndpointSlice") }
func FuzzServiceCIDRTransform(f *testing.F)   { fuzzTransform(f, "ServiceCIDR") }

func fuzzTransform(f *testing.F, kind string) {
	f.Add(int64(1000))
	f.Fuzz(func(t *testing.T, seed int64) { transformed(t, kind, seed) })
}

// transformed compares the projections of a random object and of what the cache keeps of it.
func transformed(t *testing.T, kind string, seed int64) string {
	t.Helper()
	k := projections[kind]
	object := reflect.New(reflect.TypeOf(k.object).Elem()).Interface().(client.Object)
	random(seed).Fill(object)
	settings := settingsOf(object)
	if l := settings.Label; l != nil && !l.Matches(labels.Set(object.GetLabels())) {
		return ""
	}
	want := k.project(object.DeepCopyObject().(client.Object))
	kept, err := settings.Transform(object.DeepCopyObject())
	if err != nil {
		t.Fatal(err)
	}
	if got := k.project(kept.(client.Object)); !reflect.DeepEqual(got, want) {
		t.Fatalf("seed %d: the cache's object gives\n%+v\nthe API server's gives\n%+v", seed, got, want)
	}
	return fmt.Sprintf("%+v", want)
}

var (
	providers = []string{"ovn", "net1.ns1.ovn"}
	suffixes  = []string{
		annotations.SuffixAllocated, annotations.SuffixRouted, annotations.SuffixIPAddress, annotations.SuffixMACAddress,
		annotations.SuffixCIDR, annotations.SuffixGateway, annotations.SuffixLogicalSwitch, annotations.SuffixVirtualMachine,
		annotations.SuffixRoutes, "default_route",
	}
	texts = []string{
		"", "true", "false", "n1", "n2,n1:192.0.2.9", "a", "b", "ovn", "ovn-cluster", "net1.ns1.ovn", "None",
		"10.16.0.5", "fd00::5", "10.16.0.5,fd00::5", "10.16.0.0/16", "fd00::/112", "10.16.0.0/16,fd00::/112", "10.16.0.1..10.16.0.9",
		"0a:00:00:00:00:05", `[{"dst":"192.168.0.0/16","gw":"10.16.0.254"}]`, "169.254.64.2/18",
	}
)

// random fills objects with values that are often valid.
func random(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(.3).NumElements(0, 3).MaxDepth(8).Funcs(
		func(s *string, c randfill.Continue) { *s = texts[c.Intn(len(texts))] },
		func(at *metav1.Time, c randfill.Continue) { at.Time = time.Unix(c.Int63n(2e9), 0) },
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			c.FillNoCustom(m)
			m.Name = fmt.Sprintf("n%d", c.Intn(3))
			m.Finalizers = []string{"x", annotations.Finalizer}[:c.Intn(3)]
			m.Labels = map[string]string{discoveryv1.LabelServiceName: "web", "zone": "a"}
			m.Annotations = map[string]string{annotations.Chassis: "c1", "kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"}
			for _, provider := range providers {
				state := map[string]string{
					annotations.SuffixIPAddress: "10.16.0.5,fd00::5", annotations.SuffixCIDR: "10.16.0.0/16,fd00::/112", annotations.SuffixMACAddress: "0a:00:00:00:00:05",
				}
				for _, suffix := range suffixes {
					if _, ok := state[suffix]; !ok || c.Intn(10) == 0 {
						var text string
						c.Fill(&text)
						state[suffix] = text
					}
					m.Annotations[annotations.Key(provider, suffix)] = state[suffix]
				}
			}
			for _, key := range []string{annotations.ServiceSource, annotations.LogicalRouter, annotations.Vpc} {
				var text string
				c.Fill(&text)
				m.Annotations[key] = text
			}
		},
		oneOf(v1.GatewayCentralized, v1.GatewayDistributed, ""),
		oneOf(v1.NATActionNAT, v1.NATActionForward),
		oneOf(corev1.ProtocolTCP, corev1.ProtocolUDP, ""),
		oneOf(corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName),
		oneOf(corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone),
		oneOf(corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceExternalTrafficPolicyCluster),
		oneOf(corev1.ServiceInternalTrafficPolicyLocal, corev1.ServiceInternalTrafficPolicyCluster),
		oneOf(corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy),
		oneOf(corev1.NodeReady, corev1.NodeNetworkUnavailable),
		oneOf(corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName),
		oneOf(corev1.ConditionTrue, corev1.ConditionFalse),
		oneOf(discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeFQDN),
		oneOf(metav1.LabelSelectorOpIn, metav1.LabelSelectorOpExists),
	)
}

// settingsOf are those of the cache for objects like this one.
func settingsOf(like client.Object) cache.ByObject {
	for o, settings := range CacheByObject(self) {
		if reflect.TypeOf(o) == reflect.TypeOf(like) {
			return settings
		}
	}
	return cache.ByObject{}
}

func oneOf[T any](values ...T) func(*T, randfill.Continue) {
	return func(v *T, c randfill.Continue) { *v = values[c.Intn(len(values))] }
}
