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

// HeldInternalIPs returns the InternalIPs of a node that it has, with a problem for each that it does not have: another
// one has it, or it is in assigned, the ranges from which nodes get addresses of ours. at returns the Nodes with an
// address. The address of an API server belongs to nodes with the label of the control plane, which a kubelet cannot
// give itself (admission plugin NodeRestriction).
func HeldInternalIPs(n *Node, apiServers []netip.Addr, assigned []netip.Prefix, at func(netip.Addr) []*Node) (held []netip.Addr, list []Problem) {
	p := problems{reason: ReasonAddressConflict}
	for _, a := range n.InternalIPs {
		if i := slices.IndexFunc(assigned, func(r netip.Prefix) bool { return r.Contains(a) }); i >= 0 {
			p.warn("status.addresses", "InternalIP %s is in %s, from which the nodes' ports and hosts get their addresses: it is ignored", a, assigned[i])
			continue
		}
		if PretendsAPIServer(n, a, apiServers) {
			p.warn("status.addresses", "InternalIP %s is an address of the API server, and the Node has no label %s: pods do not reach it through this Node", a, LabelControlPlane)
			continue
		}
		first := internalIPHolder(a, at(a), apiServers)
		if first == nil || first.Name == n.Name {
			held = append(held, a)
			continue
		}
		p.warn("status.addresses", "InternalIP %s is that of Node %s, %s: pods reach that one", a, first.Name, precedence(first, n))
	}
	return held, p.list
}

// internalIPHolder returns the one of nodes that has an InternalIP; nil if none has.
func internalIPHolder(a netip.Addr, nodes []*Node, apiServers []netip.Addr) *Node {
	return firstNode(nodes, func(n *Node) bool { return slices.Contains(n.InternalIPs, a) && !PretendsAPIServer(n, a, apiServers) })
}

// InternalIPHolders returns the nodes that have the InternalIPs of all of these nodes.
func InternalIPHolders(nodes []*Node, apiServers []netip.Addr) map[netip.Addr]*Node {
	at := map[netip.Addr][]*Node{}
	for _, n := range nodes {
		for _, a := range n.InternalIPs {
			at[a] = append(at[a], n)
		}
	}
	holders := map[netip.Addr]*Node{}
	for a, claims := range at {
		if first := internalIPHolder(a, claims, apiServers); first != nil {
			holders[a] = first
		}
	}
	return holders
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
