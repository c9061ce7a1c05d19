// SPDX-License-Identifier: Apache-2.0

package model

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compat"
)

// supported removes the problems of what is not supported yet.
func supported(list []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(list), func(p Problem) bool { return p.Reason == ReasonNotSupported })
}

func unsupportedOf(list []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(list), func(p Problem) bool { return p.Reason != ReasonNotSupported })
}

// projected is an object of a kind that has a projection.
type projected struct {
	metav1.Object
	spec    any // points to its spec
	project func() []Problem
}

func projection[O metav1.Object, T any](o O, spec any, from func(O) (T, []Problem)) projected {
	return projected{Object: o, spec: spec, project: func() []Problem {
		_, list := from(o)
		return list
	}}
}

// projections makes an empty object of each kind whose rows are reported.
var projections = map[string]func() projected{
	"Vpc": func() projected {
		o := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
		return projection(o, &o.Spec, VpcFrom)
	},
	"Subnet": func() projected {
		o := subnetObject(v1.SubnetSpec{CIDRBlock: "10.0.0.0/24"})
		return projection(o, &o.Spec, SubnetFrom)
	},
	"IP":        func() projected { o := &v1.IP{}; return projection(o, &o.Spec, IPFrom) },
	"IPPool":    func() projected { o := &v1.IPPool{}; return projection(o, &o.Spec, IPPoolFrom) },
	"Pod":       func() projected { return projection(&corev1.Pod{}, nil, PodFrom) },
	"Node":      func() projected { return projection(&corev1.Node{}, nil, NodeFrom) },
	"Namespace": func() projected { return projection(&corev1.Namespace{}, nil, NamespaceFrom) },
	"Service":   func() projected { return projection(&corev1.Service{}, nil, ServiceFrom) },
	"headless Service": func() projected {
		return projection(&corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}}, nil, ServiceFrom)
	},
	"Service of another proxy": func() projected {
		return projection(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{LabelProxyName: "x"}}}, nil, ServiceFrom)
	},
}

// TestUnsupportedIsReported: whatever the table lists as having no effect is a problem that names it, and leaves the
// object valid; whatever works is none.
func TestUnsupportedIsReported(t *testing.T) {
	for name, empty := range projections {
		words := strings.Fields(strings.Replace(name, "headless ", "", 1))
		kind := compat.Kinds[slices.IndexFunc(compat.Kinds, func(k compat.Kind) bool { return k.Name == words[0] })]
		if list := unsupportedOf(empty().project()); len(list) > 0 {
			t.Errorf("empty %s: %v", name, list)
		}
		for _, r := range kind.Fields {
			o := empty()
			set(t, reflect.ValueOf(o.spec).Elem(), r)
			check(t, name, r, r.Name, o.project())
		}
		for path, list := range map[string][]compat.Row{"annotations": kind.Annotations, "labels": kind.Labels} {
			for _, r := range list {
				o, key := empty(), strings.NewReplacer("*", "net1", "<name>", "net1", "<namespace>", "ns1", "…", "ip_address").Replace(r.Name)
				if path == "labels" {
					o.SetLabels(with(o.GetLabels(), key, "other"))
				} else {
					o.SetAnnotations(with(o.GetAnnotations(), key, "other"))
				}
				check(t, name, r, "metadata."+path+"["+key+"]", o.project())
			}
		}
	}
	for _, k := range compat.Kinds {
		if _, ok := projections[k.Name]; ok || k.State == compat.NotYet {
			continue
		}
		for _, r := range slices.Concat(k.Fields, k.Annotations, k.Labels) {
			if reported(r) {
				t.Errorf("%s of kind %s is not supported, and no projection reports it", r.Name, k.Name)
			}
		}
	}
}

func with(all map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range all {
		out[k] = v
	}
	return out
}

func reported(r compat.Row) bool {
	return !r.Written && (r.State == compat.NotYet || r.Values != "" || r.DefaultVpc)
}

func check(t *testing.T, kind string, r compat.Row, field string, list []Problem) {
	t.Helper()
	list = unsupportedOf(list)
	if !reported(r) {
		if len(list) > 0 {
			t.Errorf("%s %s (%s): %v", kind, r.Name, r.State, list)
		}
		return
	}
	if len(list) != 1 || list[0].Field != field || list[0].Fatal || list[0].Optional == (r.Essential != nil && r.Essential("other")) || !strings.HasSuffix(list[0].Message, r.Note) {
		t.Errorf("%s %s: got %+v, want one problem of %s", kind, r.Name, list, field)
	}
}

// set sets a field of a spec by its path, in another Vpc if it works in the default one.
func set(t *testing.T, spec reflect.Value, r compat.Row) {
	t.Helper()
	if r.DefaultVpc {
		spec.FieldByName("Vpc").SetString("other")
	}
	v := spec
	for name := range strings.SplitSeq(strings.TrimPrefix(r.Name, "spec."), ".") {
		name, list := strings.CutSuffix(name, "[]")
		v = v.FieldByIndex(reflect.VisibleFields(v.Type())[slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool {
			return strings.Split(f.Tag.Get("json"), ",")[0] == name
		})].Index)
		if list {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			v = v.Index(0)
		}
	}
	fill(t, v)
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32:
		v.SetInt(1)
	case reflect.Uint32:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Struct:
		fill(t, v.Field(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf("b"))
	default:
		t.Fatalf("no value for %s", v.Type())
	}
}

func TestUnsupportedKinds(t *testing.T) {
	for _, k := range UnsupportedKinds() {
		_, list := UnsupportedFrom[*metav1.PartialObjectMetadata](k.Name)(&metav1.PartialObjectMetadata{})
		if len(list) != 1 || list[0].Reason != ReasonNotSupported || list[0].Fatal || list[0].Optional || !strings.Contains(list[0].Message, string(k.Name)) {
			t.Errorf("%s: %+v", k.Name, list)
		}
	}
}

// TestSupportedValues: values that request nothing, or what works, are no problem.
func TestSupportedValues(t *testing.T) {
	pod := func(key, value string) []Problem {
		_, list := PodFrom(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{key: value}}})
		return unsupportedOf(list)
	}
	for key, values := range map[string][]string{
		"ovn.kubernetes.io/mirror": {"", "false", "False"}, "ovn.kubernetes.io/ingress_rate": {"0"}, "ovn.kubernetes.io/pod_nic_type": {"veth-pair"},
		"ovn.kubernetes.io/ingress_rate_other": {"1"}, "net1.ns1.ovn.kubernetes.io/other": {"1"}, "node.alpha.kubernetes.io/ttl": {"1"},
		"topology.kubernetes.io/ip_address": {"1"}, "ip_address": {"1"},
	} {
		for _, value := range values {
			if list := pod(key, value); len(list) > 0 {
				t.Errorf("%s=%s: %v", key, value, list)
			}
		}
	}
	for _, key := range []string{"net1.ns1.ovn.kubernetes.io/logical_switch", "net1.ns1.kubernetes.io/ip_address", "a.b.ns1.ovn.eth2.kubernetes.io/ip_address", "net1.ns1.ovn.kubernetes.io/mac_address.eth2"} {
		if list := pod(key, "x"); len(list) != 1 || list[0].Field != AnnotationField(key) {
			t.Errorf("%s: %v", key, list)
		}
	}
	subnet := func(spec v1.SubnetSpec) []Problem {
		_, list := SubnetFrom(subnetObject(spec))
		return unsupportedOf(list)
	}
	for name, spec := range map[string]v1.SubnetSpec{
		"provider":           {Provider: "ovn"},
		"NAT in default Vpc": {NatOutgoing: true, GatewayType: v1.GatewayCentralized, GatewayNode: "n1", Vpc: DefaultVpc},
		"NAT without Vpc":    {NatOutgoing: true, GatewayType: v1.GatewayCentralized, GatewayNode: "n1"},
		"other Vpc":          {GatewayType: v1.GatewayDistributed, Vpc: "other"},
	} {
		spec.CIDRBlock = "10.0.0.0/24"
		if list := subnet(spec); len(list) > 0 {
			t.Errorf("%s: %v", name, list)
		}
	}
	_, list := VpcFrom(&v1.Vpc{Spec: v1.VpcSpec{BFDPort: &v1.BFDPort{}, StaticRoutes: []v1.StaticRoute{}}})
	if len(list) > 0 {
		t.Errorf("empty fields of a Vpc: %v", list)
	}
}
