// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// Node is a machine with a port on the join switch.
type Node struct {
	Meta
	InternalIPs []netip.Addr
	// Addresses are all addresses in its status, of type InternalIP, ExternalIP or a name that is an address, sorted: a
	// policy whose peers are nodes matches them.
	Addresses   []netip.Addr
	Ready       bool              // condition Ready is True
	Labels      map[string]string // for the gatewayNodeSelectors of Subnets
	Annotations map[string]string // the present values of the controller's annotations
	// ControlPlane is whether it has the label [LabelControlPlane].
	ControlPlane bool
	// Chassis is the name of the node in OVN, as its cniserver writes it; empty until then.
	Chassis string
}

// LabelControlPlane marks the nodes that API servers run on, as kubeadm does.
const LabelControlPlane = "node-role.kubernetes.io/control-plane"

// nodeAnnotations are those of [NodeAnnotations].
var nodeAnnotations = []string{
	annotations.Allocated, annotations.IPAddress, annotations.MACAddress, annotations.CIDR,
	annotations.Gateway, annotations.LogicalSwitch, annotations.PortName, annotations.ServiceSource,
}

// NodeFrom projects a node.
func NodeFrom(o *corev1.Node) (Node, []Problem) {
	p := problems{reason: ReasonNodeInvalid}
	n := Node{Meta: metaOf(o), Labels: cloned(o.Labels), Annotations: pick(o.Annotations, nodeAnnotations), Chassis: o.Annotations[annotations.Chassis]}
	_, n.ControlPlane = o.Labels[LabelControlPlane]
	for _, c := range o.Status.Conditions {
		n.Ready = n.Ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	for _, address := range o.Status.Addresses {
		text, _, _ := strings.Cut(address.Address, "%") // the zone of a link-local address
		ip, err := parseAPIAddr(text)
		if err != nil && address.Type != corev1.NodeInternalIP {
			continue // a name
		}
		if err != nil {
			p.warn("status.addresses", "InternalIP is ignored: %s", err)
			continue
		}
		n.Addresses = append(n.Addresses, ip)
		if address.Type == corev1.NodeInternalIP && !slices.Contains(n.InternalIPs, ip) {
			n.InternalIPs = append(n.InternalIPs, ip)
		}
	}
	n.Addresses = sortedAddrs(n.Addresses)
	p.unsupported(KindNode, o, nil)
	return n, p.list
}
