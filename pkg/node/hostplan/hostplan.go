// SPDX-License-Identifier: Apache-2.0

// Package hostplan decides what one node must look like: its OVS ports, links,
// addresses, routes, kernel settings and NAT rules, from what the node knows of
// the cluster. It is pure: the same [Inputs] give the same [Plan], and the
// drivers below pkg/node/driver compare a plan with the machine.
package hostplan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

const (
	// Internal is the type of an OVS interface that OVS makes a link of the host for.
	Internal = "internal"
	// NodeLink is the host's link into the join subnet.
	NodeLink = "ovn0"
	// IntegrationBridge is the OVS bridge that ovn-controller programs.
	IntegrationBridge = "br-int"
	// MirrorName is the name of the OVS mirror whose output is the mirror link.
	MirrorName = "m0"
	// RouteProtocol marks our routes in the kernel (rtm_protocol, rtnetlink(7));
	// 87 is not used in iproute2's rt_protos.
	RouteProtocol = 87
	// TableName is the nftables table (family inet) that we own as a whole.
	TableName = "woven"
	// MinMTU6 is the least MTU, in bytes, that IPv6 demands (RFC 8200 section 5).
	MinMTU6 = 1280
)

// Node is the node that the plan is for.
type Node struct {
	Name string
	// MAC of ovn0, lower case with colons; empty until the controller has chosen it.
	MAC string
	// Addresses of ovn0, at most one per family, each with the join subnet's prefix length.
	Addresses []netip.Prefix
	// Gateways of the join subnet, at most one per family.
	Gateways []netip.Addr
	// InternalIPs of the Node object.
	InternalIPs []netip.Addr
	// Services are the addresses that the host takes towards Services, at most one per
	// family, each with the length of the prefix that those of all nodes are in.
	Services []netip.Prefix
}

// Subnet is what the plan may know of a Subnet object.
type Subnet struct {
	Name string
	// Vpc is never empty: the default is filled in.
	Vpc string
	// CIDRs in network form; nil if Invalid.
	CIDRs []netip.Prefix
	// Underlay subnets are reached through the physical network, not through OVN's router.
	Underlay    bool
	NATOutgoing bool
	// Centralized subnets leave the cluster through gateway nodes, others through the node of each pod.
	Centralized bool
	// NoLoadBalancer subnets have no load balancers (spec.enableLb is false): OVN does not track connections there, so
	// it cannot recognize replies.
	NoLoadBalancer bool
	// ActiveGateways are the nodes that a centralized subnet leaves through now (status.activateGateway).
	ActiveGateways []string
	Egress         model.Egress
	// Problems are what is wrong with Egress, a sentence each.
	Problems []string
	// Invalid says why nothing is made for the subnet: it cannot be parsed, or its addresses belong to something else.
	// Empty if the subnet is valid.
	Invalid string
}

// Inputs is everything that the plan depends on.
type Inputs struct {
	Node    Node
	Subnets []Subnet
	// Services are the networks of ClusterIPs.
	Services []netip.Prefix
	// NodeAddresses are the InternalIPs of all nodes, this one included, except those that a node may not have.
	NodeAddresses []netip.Addr
	// Nodes has the same addresses by the names of nodes.
	Nodes map[string][]netip.Addr
	// NodeNames has the names of nodes by their addresses of all types.
	NodeNames map[netip.Addr]string
	// Infrastructure holds addresses that no Service may have from outside.
	Infrastructure model.Infrastructure
	// APIServerClusterIPs are addresses of API servers in Infrastructure that are reached through OVN.
	APIServerClusterIPs []netip.Addr
	// DefaultVpc is the Vpc whose subnets the hosts can reach ("ovn-cluster").
	DefaultVpc string
	// MTU in bytes of ovn0 and of pods whose subnet names none; see [MTU].
	MTU int
	// Userspace is true if br-int has datapath_type=netdev. Its internal ports are
	// tap devices, for which nothing completes a checksum that the kernel left to
	// the hardware.
	Userspace bool
	// MirrorLink is the name of the mirror's output link; empty turns the mirror off.
	MirrorLink string
	// Pods are those of this node that have addresses.
	Pods []Pod
	// PodPorts are the names of the OVS ports of this node's pods.
	PodPorts []string
}

// Bridge is an OVS bridge of ours that joins br-int to a physical network.
type Bridge struct {
	// Name of at most 15 bytes.
	Name string
	// Uplink is the link of the host that is a port of the bridge; empty for none. The bridge's internal port, which
	// has the bridge's name, takes over its MAC, addresses and routes.
	Uplink string
	// Mapping is the name of the physical network that ovn-controller maps to the bridge (network_name of localnet
	// ports, ovn-nb(5)); empty for none.
	Mapping string
	// Userspace is true if ovs-vswitchd itself forwards for the bridge, as it does for br-int then.
	Userspace bool
}

// Port is an OVS port of a bridge with one interface of the same name.
type Port struct {
	Bridge string
	Name   string
	// Type of the interface (ovs-vswitchd.conf.db(5)): [Internal], or empty for a link that the kernel has.
	Type string
	// IfaceID is the logical port (external_ids:iface-id of the Interface); empty for none.
	IfaceID string
	// MAC is empty if any will do.
	MAC string
	// MTU in bytes; 0 leaves it to OVS.
	MTU int
}

// Mirror is an OVS mirror of a bridge.
type Mirror struct {
	Bridge string
	Name   string
	Output string
	// Select are the ports whose packets, in both directions, are copied; sorted.
	Select []string
}

// Link is the wanted state of one network link of the host.
type Link struct {
	Name string
	// MAC is left alone if empty.
	MAC string
	// MTU in bytes; left alone if 0.
	MTU int
	// Addresses are all global addresses of the link; others are removed.
	Addresses []netip.Prefix
	// LinkLocal is an IPv6 link-local address that the link has, perhaps beside others; the zero Prefix for none.
	LinkLocal netip.Prefix `json:",omitzero"`
	// SoftwareChecksum turns transmit checksum offload off.
	SoftwareChecksum bool
	// Sysctls of the link.
	Sysctls []Sysctl
}

// Sysctl is one kernel setting.
type Sysctl struct {
	// Path below /proc/sys, with slashes.
	Path  string
	Value string
	// AtLeast means that a greater number is right as well.
	AtLeast bool
}

// Route is one route. It is marked with [RouteProtocol], unless it is attached to an address (see [Route.Attached]).
type Route struct {
	// Type is empty for a route through a gateway.
	Type RouteType `json:",omitempty"`
	// Table is the number of the routing table; 0 stands for the main one.
	Table uint32
	Dst   netip.Prefix
	// Gateway is set for routes through a gateway only.
	Gateway netip.Addr `json:",omitzero"`
	// Source is the address that the host uses towards Dst. It is set in the main table and for IPv4 routes that are
	// attached.
	Source netip.Addr `json:",omitzero"`
	// Link is the name of the outgoing link. It is empty for a route through a gateway in another table than the main
	// one: the kernel takes the link that the gateway is connected to.
	Link string
}

// RouteType is what the kernel does with packets to the destination of a route (ip-route(8)).
type RouteType string

const (
	// Throw ends the search in the table of the route.
	Throw RouteType = "throw"
	// Connected delivers over the link, without a gateway.
	Connected RouteType = "connected"
	// Local delivers to the host itself.
	Local RouteType = "local"
)

// TableLocal is the number of the routing table with the host's own addresses (RT_TABLE_LOCAL, rtnetlink(7)).
const TableLocal = 255

// Attached reports whether the kernel makes and removes the route together with an address of its link.
func (r Route) Attached() bool { return r.Type == Connected || r.Type == Local }

// Routes are all routes that we want.
type Routes struct {
	Want []Route
	// KeepOthers leaves routes of ours that are not wanted: set while some subnet
	// cannot be understood, so that a slip in its text does not cut its pods off.
	KeepOthers bool
	// Never has the addresses outside of OVN to which no route of ours may lead, wanted or kept.
	Never []netip.Addr `json:",omitempty"`
}

// Plan is the wanted state of the node. A nil part must be left as it is.
type Plan struct {
	Sysctls []Sysctl
	// Bridges are all bridges that are ours; others of ours are removed, and their uplinks get back what is theirs.
	Bridges []Bridge `json:",omitempty"`
	Ports   []Port
	Links   []Link
	Routes  *Routes
	// PolicyRules select other tables than the main one.
	PolicyRules *PolicyRules
	Table       Table
	// Mirror is nil if there must be none.
	Mirror *Mirror
	// Gateways must answer before the node counts as connected; nil while the
	// node has no join address.
	Gateways []netip.Addr
	// Waiting names what must still arrive before the plan is complete.
	Waiting []string
	// Problems are sentences about objects that could not be taken into account.
	Problems []string
}

// Make returns the plan for the inputs, which it guards first (see [Guard]).
func Make(in Inputs) Plan {
	in, problems := Guard(in)
	p := Plan{
		Sysctls:  forwarding(in),
		Table:    makeTable(in),
		Problems: problems,
	}
	if in.MirrorLink != "" {
		planMirror(in, &p)
	}
	if missing := missingOfNode(in.Node); missing != "" {
		p.Waiting = append(p.Waiting, missing)
		return p
	}
	p.Ports = append(p.Ports, Port{
		Bridge: IntegrationBridge, Type: Internal, Name: NodeLink, IfaceID: model.NodePortName(in.Node.Name), MAC: in.Node.MAC, MTU: in.MTU,
	})
	node := nodeLink(in)
	p.Links = append(p.Links, node)
	p.Routes = makeRoutes(in, &p)
	p.Routes.Want = slices.Concat(attachedRoutes(node), p.Routes.Want)
	makeExternal(in, &p)
	p.Gateways = in.Node.Gateways
	return p
}

// missingOfNode says what the node's annotations still lack.
func missingOfNode(n Node) string {
	switch {
	case len(n.Addresses) == 0:
		return fmt.Sprintf("node %s has no join address yet", n.Name)
	case n.MAC == "":
		return fmt.Sprintf("node %s has no MAC for %s yet", n.Name, NodeLink)
	case len(n.Gateways) == 0:
		return fmt.Sprintf("node %s has no join gateway yet", n.Name)
	}
	return ""
}

func nodeLink(in Inputs) Link {
	l := Link{
		Name:             NodeLink,
		MAC:              in.Node.MAC,
		MTU:              in.MTU,
		Addresses:        in.Node.Addresses,
		SoftwareChecksum: in.Userspace,
		// Loose reverse path check: a pod may answer an address that the host
		// would reach another way. The kernel uses the greater of "all" and the
		// link's own value, hence 2 and not 0.
		Sysctls: []Sysctl{
			{Path: "net/ipv4/conf/" + NodeLink + "/forwarding", Value: "1"},
			{Path: "net/ipv4/conf/" + NodeLink + "/rp_filter", Value: "2"},
		},
	}
	if has6(in.Node.Addresses) {
		l.LinkLocal = linkLocal(in.Node.MAC)
		// A pod that sends router advertisements must not give the host routes.
		l.Sysctls = append(l.Sysctls,
			Sysctl{Path: "net/ipv6/conf/" + NodeLink + "/disable_ipv6", Value: "0"},
			Sysctl{Path: "net/ipv6/conf/" + NodeLink + "/accept_ra", Value: "0"},
			Sysctl{Path: "net/ipv6/conf/" + NodeLink + "/accept_redirects", Value: "0"},
		)
	}
	return l
}

// planMirror adds the mirror and its output link. The mirror selects the pods'
// ports in both directions rather than everything: ovn0's own chatter and
// tunnelled traffic for other nodes stay out. OVS copies a packet to one mirror
// at most once per traversal of the bridge, so a packet between two pods of this
// node is seen once although both ports are selected.
func planMirror(in Inputs, p *Plan) {
	ports := slices.Clone(in.PodPorts)
	slices.Sort(ports)
	p.Mirror = &Mirror{Bridge: IntegrationBridge, Name: MirrorName, Output: in.MirrorLink, Select: slices.Compact(ports)}
	p.Ports = append(p.Ports, Port{Bridge: IntegrationBridge, Type: Internal, Name: in.MirrorLink, MTU: in.MTU})
	// The link only shows frames; the host must neither use nor answer them.
	p.Links = append(p.Links, Link{
		Name: in.MirrorLink,
		MTU:  in.MTU,
		Sysctls: []Sysctl{
			{Path: "net/ipv4/conf/" + in.MirrorLink + "/arp_ignore", Value: "8"},
			{Path: "net/ipv6/conf/" + in.MirrorLink + "/disable_ipv6", Value: "1"},
		},
	})
}

// forwarding lets the node route between ovn0 and its other links in each family that pods may have.
func forwarding(in Inputs) []Sysctl {
	s := []Sysctl{{Path: "net/ipv4/ip_forward", Value: "1", AtLeast: true}}
	if has6(in.Node.Addresses) {
		s = append(s, Sysctl{Path: "net/ipv6/conf/all/forwarding", Value: "1", AtLeast: true})
	}
	return s
}

func has6(ps []netip.Prefix) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Addr().Is6() })
}
