// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/api/annotations"
)

// nodePrecedes reports whether node a keeps what b claims as well: a Node that is Ready and has a chassis precedes one
// that is not, such as the old object of a renamed machine; else the older one precedes.
func nodePrecedes(a, b *Node) bool {
	works := func(n *Node) bool { return n.Ready && n.Chassis != "" }
	if works(a) != works(b) {
		return works(a)
	}
	return Older(a.Meta, b.Meta)
}

// firstNode returns the first of nodes that satisfies claims and is not being deleted.
func firstNode(nodes []*Node, claims func(*Node) bool) (first *Node) {
	for _, n := range nodes {
		if !n.Deleting && claims(n) && (first == nil || nodePrecedes(n, first)) {
			first = n
		}
	}
	return first
}

// HeldInternalIPs returns the InternalIPs of a node that it has, with a problem for each that another one has. at
// returns the Nodes with an address. The address of an API server belongs to nodes with the label of the control plane,
// which a kubelet cannot give itself (admission plugin NodeRestriction).
func HeldInternalIPs(n *Node, apiServers []netip.Addr, at func(netip.Addr) []*Node) (held []netip.Addr, list []Problem) {
	p := problems{reason: ReasonAddressConflict}
	for _, a := range n.InternalIPs {
		if PretendsAPIServer(n, a, apiServers) {
			p.warn("status.addresses", "InternalIP %s is an address of the API server, and the Node has no label %s: pods do not reach it through this Node", a, LabelControlPlane)
			continue
		}
		first := firstNode(at(a), func(o *Node) bool {
			return slices.Contains(o.InternalIPs, a) && !PretendsAPIServer(o, a, apiServers)
		})
		if first == nil || first.Name == n.Name {
			held = append(held, a)
			continue
		}
		p.warn("status.addresses", "InternalIP %s is that of Node %s, %s: pods reach that one", a, first.Name, precedence(first, n))
	}
	return held, p.list
}

// PretendsAPIServer reports whether a node without the label of the control plane has an address of the API server.
func PretendsAPIServer(n *Node, a netip.Addr, apiServers []netip.Addr) bool {
	return !n.ControlPlane && slices.Contains(apiServers, a)
}

func precedence(first, n *Node) string {
	if works := first.Ready && first.Chassis != ""; works && !(n.Ready && n.Chassis != "") {
		return "which is Ready and has a chassis"
	}
	return "which is older"
}

// HoldsChassis reports whether a node has the chassis that it names. The problem names the Node that has it, nil if
// there is no conflict. all are the Nodes that name this chassis.
func HoldsChassis(n *Node, all []*Node) (bool, *Problem) {
	if n.Chassis == "" {
		return false, nil
	}
	first := firstNode(all, func(o *Node) bool { return o.Chassis == n.Chassis })
	if first == nil || first.Name == n.Name {
		return true, nil
	}
	return false, &Problem{
		Reason: ReasonAddressConflict, Field: AnnotationField(annotations.Chassis),
		Message: fmt.Sprintf("chassis %s is that of Node %s, %s", quote(n.Chassis), first.Name, precedence(first, n)),
	}
}
