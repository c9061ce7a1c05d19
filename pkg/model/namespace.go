// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// Namespace is the projection of a namespace: the subnets of its pods.
type Namespace struct {
	Meta
	LogicalSwitches []string          // annotation logical_switch, in order of preference, unless the controller wrote it
	Labels          map[string]string // for the namespaceSelectors of Subnets; nil when there are none
	// PortSecurity is the annotation port_security, the default of the namespace's pods.
	PortSecurity PortSecurity
	// Request is the Subnet that the annotations describe; nil if they describe none.
	Request *SubnetRequest
	// Written are the present values of the annotations that the controller owns.
	Written map[string]string
}

// SubnetRequest is a Subnet that the annotations of a namespace request.
type SubnetRequest struct {
	Spec     v1.SubnetSpec
	Problems []Problem // of the namespace; if one is fatal, the Subnet cannot be created
}

// namespaceAnnotations are the annotations that the controller writes.
var namespaceAnnotations = []string{
	annotations.LogicalSwitch, annotations.BoundSwitch, annotations.CIDR, annotations.ExcludeIPs, annotations.IPPool,
}

// maxSubnetsOfNamespace is how many Subnets the annotation of a namespace may name: each of its pods reads all of them.
const maxSubnetsOfNamespace = 64

// NamespaceFrom projects a namespace. It is always valid: what is wrong in an annotation costs what that annotation
// requests. A subnet whose name cannot exist stays in the list, so that pods wait and do not end up in another one.
func NamespaceFrom(o *corev1.Namespace) (Namespace, []Problem) {
	p := problems{reason: ReasonNamespaceInvalid}
	n := Namespace{Meta: metaOf(o), Labels: cloned(o.Labels), Written: pick(o.Annotations, namespaceAnnotations)}
	n.PortSecurity = p.onOrOff(o.Annotations, annotations.PortSecurity)
	if text := o.Annotations[annotations.LogicalSwitch]; text != o.Annotations[annotations.BoundSwitch] {
		n.LogicalSwitches = p.bounded(annotations.LogicalSwitch, csv(text), maxSubnetsOfNamespace)
	}
	for _, name := range n.LogicalSwitches {
		if cause := notAName(name); cause != "" {
			p.warn(AnnotationField(annotations.LogicalSwitch), "%s is not the name of a Subnet: %s", quote(name), cause)
		}
	}
	if len(n.LogicalSwitches) == 1 && o.Annotations[annotations.CIDR] != "" && notAName(n.LogicalSwitches[0]) == "" {
		n.Request = subnetRequest(o, n.LogicalSwitches[0])
	}
	p.unsupported(KindNamespace, o, nil)
	return n, p.list
}

// requestFields are the annotations that describe a Subnet, by the field that they stand for.
var requestFields = map[string]string{
	"spec.cidrBlock":    annotations.CIDR,
	"spec.gateway":      annotations.Gateway,
	"spec.gatewayType":  annotations.GatewayType,
	"spec.gatewayNode":  annotations.GatewayNode,
	"spec.excludeIps":   annotations.ExcludeIPs,
	"spec.allowSubnets": annotations.Allow,
}

// requestedExcludes reads the annotation exclude_ips of a namespace that describes a Subnet. Where the controller wrote
// it before, for the Subnet that the namespace had, addresses outside the requested CIDR are not a request.
func requestedExcludes(a map[string]string) (out []string) {
	all := csv(strings.ReplaceAll(a[annotations.ExcludeIPs], ";", ","))
	cidr, err := ParsePrefixes(a[annotations.CIDR])
	if a[annotations.BoundSwitch] == "" || err != nil {
		return all
	}
	for _, text := range all {
		if r, err := ParseRange(text); err != nil || cidr.Of(r.First).IsValid() && cidr.Of(r.First).Contains(r.First) {
			out = append(out, text)
		}
	}
	return out
}

// subnetRequest reads the annotations with which namespaces requested Subnets before the kind Subnet existed. They
// describe a Subnet of the default Vpc for this namespace.
func subnetRequest(o *corev1.Namespace, name string) *SubnetRequest {
	a := o.Annotations
	s := v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{
		Provider:     annotations.DefaultProvider,
		Vpc:          DefaultVpc,
		CIDRBlock:    a[annotations.CIDR],
		Gateway:      a[annotations.Gateway],
		GatewayType:  v1.GatewayType(a[annotations.GatewayType]),
		GatewayNode:  a[annotations.GatewayNode],
		ExcludeIPs:   requestedExcludes(a),
		Private:      strings.EqualFold(a[annotations.Private], "true"),
		AllowSubnets: csv(a[annotations.Allow]),
		NatOutgoing:  true,
		Namespaces:   []string{o.Name},
	}}
	w := &SubnetRequest{}
	if private := a[annotations.Private]; private != "" && !strings.EqualFold(private, "true") && !strings.EqualFold(private, "false") {
		w.Problems = append(w.Problems, Problem{
			Reason: ReasonNamespaceInvalid, Field: AnnotationField(annotations.Private), Message: quote(private) + " is neither true nor false", Fatal: true,
		})
	}
	_, list := SubnetFrom(&s)
	for _, problem := range list {
		problem.Reason = ReasonNamespaceInvalid
		if key, ok := requestFields[problem.Field]; ok {
			problem.Field = AnnotationField(key)
		}
		w.Problems = append(w.Problems, problem)
	}
	if defaulted := SubnetDefaults(&s); defaulted != nil {
		s = *defaulted
	}
	w.Spec = s.Spec
	return w
}
