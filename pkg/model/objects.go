package model

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// DefaultVpc is the name of the Vpc that holds the node network and every
// subnet and namespace that names no other.
const DefaultVpc = "ovn-cluster"

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

// VpcFrom projects a Vpc.
func VpcFrom(o *v1.Vpc) (Vpc, []Problem) {
	return Vpc{
		Meta:          metaOf(o),
		Default:       o.Name == DefaultVpc,
		DefaultSubnet: o.Spec.DefaultSubnet,
		Namespaces:    slices.Clone(o.Spec.Namespaces),
	}, nil
}

// nodeAnnotations are those of [NodeAnnotations].
var nodeAnnotations = []string{
	annotations.Allocated, annotations.IPAddress, annotations.MACAddress, annotations.CIDR,
	annotations.Gateway, annotations.LogicalSwitch, annotations.PortName, annotations.ServiceSource,
}

// NodeFrom projects a node.
func NodeFrom(o *corev1.Node) (Node, []Problem) {
	p := problems{reason: ReasonNodeInvalid}
	n := Node{Meta: metaOf(o), Labels: cloned(o.Labels), Annotations: pick(o.Annotations, nodeAnnotations), Chassis: o.Annotations[annotations.Chassis]}
	for _, c := range o.Status.Conditions {
		n.Ready = n.Ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	for _, address := range o.Status.Addresses {
		ip, err := netip.ParseAddr(address.Address)
		if err != nil && address.Type != corev1.NodeInternalIP {
			continue // a name
		}
		if err != nil {
			p.warn("status.addresses", "InternalIP %s is not an address: %s", quote(address.Address), cause(err))
			continue
		}
		ip = ip.Unmap().WithZone("")
		n.Addresses = append(n.Addresses, ip)
		if address.Type == corev1.NodeInternalIP && !slices.Contains(n.InternalIPs, ip) {
			n.InternalIPs = append(n.InternalIPs, ip)
		}
	}
	n.Addresses = sortedAddrs(n.Addresses)
	return n, p.list
}

// pick returns the entries of m with these keys; nil if there is none.
func pick(m map[string]string, keys []string) map[string]string {
	var out map[string]string
	for _, key := range keys {
		value, ok := m[key]
		if !ok {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(keys))
		}
		out[key] = value
	}
	return out
}

// cloned copies labels; nil when there are none, so that absent and empty are equal.
func cloned(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// AnnotationField is how a [Problem] names an annotation.
func AnnotationField(key string) string { return annotationField + key + "]" }

const annotationField = "metadata.annotations["

// AnnotationKey reverses [AnnotationField]; it returns the names of other fields as they are.
func AnnotationKey(field string) string {
	if key, ok := strings.CutPrefix(field, annotationField); ok {
		return strings.TrimSuffix(key, "]")
	}
	return field
}

// notAName says why text cannot be the name of one of our objects; empty if it can.
func notAName(text string) string {
	if causes := validation.IsDNS1123Subdomain(text); len(causes) > 0 {
		return causes[0]
	}
	return ""
}
