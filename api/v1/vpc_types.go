// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RoutePolicy says which address of a packet a static route looks at.
// +kubebuilder:validation:Enum="";policySrc;policyDst
type RoutePolicy string

// The policies of a StaticRoute.
const (
	RoutePolicySrc RoutePolicy = "policySrc"
	RoutePolicyDst RoutePolicy = "policyDst"
)

// PolicyRouteAction is what a policy route does with traffic.
// +kubebuilder:validation:Enum=allow;drop;reroute
type PolicyRouteAction string

// The actions of a PolicyRoute.
const (
	PolicyRouteAllow   PolicyRouteAction = "allow"
	PolicyRouteDrop    PolicyRouteAction = "drop"
	PolicyRouteReroute PolicyRouteAction = "reroute"
)

// Vpc is a network of its own: a router that connects subnets, with routes and an address space that may overlap that of other Vpcs. It becomes one OVN logical router of the same name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=vpcs,singular=vpc,shortName=vpc
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="EnableExternal",type="boolean",JSONPath=".status.enableExternal"
// +kubebuilder:printcolumn:name="EnableBfd",type="boolean",JSONPath=".status.enableBfd"
// +kubebuilder:printcolumn:name="Standby",type="boolean",JSONPath=".status.standby"
// +kubebuilder:printcolumn:name="Subnets",type="string",JSONPath=".status.subnets"
// +kubebuilder:printcolumn:name="ExtraExternalSubnets",type="string",JSONPath=".status.extraExternalSubnets"
// +kubebuilder:printcolumn:name="Namespaces",type="string",JSONPath=".spec.namespaces"
// +kubebuilder:printcolumn:name="DefaultSubnet",type="string",JSONPath=".status.defaultLogicalSwitch"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type Vpc struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The router that is wanted.
	// +optional
	Spec VpcSpec `json:"spec"`
	// What was observed; written by the controller only.
	// +optional
	Status VpcStatus `json:"status"`
}

// VpcList is a list of Vpcs.
//
// +kubebuilder:object:root=true
type VpcList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The Vpcs.
	Items []Vpc `json:"items"`
}

// VpcSpec is the router that is wanted.
type VpcSpec struct {
	// Name of the Subnet for namespaces of this Vpc that are bound to no subnet of their own.
	// +optional
	DefaultSubnet string `json:"defaultSubnet,omitempty"`
	// Names of the namespaces whose pods are in this Vpc. A namespace that no Vpc names is in the default one, ovn-cluster.
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
	// Static routes of the router. Of the routes that match, the one with the longest prefix is taken; equal ones share the traffic.
	// +optional
	// +kubebuilder:validation:MaxItems=32768
	StaticRoutes []StaticRoute `json:"staticRoutes,omitempty"`
	// Policies of the router; they are looked at after the static routes and override them.
	// +optional
	// +kubebuilder:validation:MaxItems=32768
	PolicyRoutes []PolicyRoute `json:"policyRoutes,omitempty"`
	// Direct links to other Vpcs. A link works when both Vpcs list each other.
	// +optional
	// +kubebuilder:validation:MaxItems=8192
	VpcPeerings []VpcPeering `json:"vpcPeerings,omitempty"`

	// Connects the router to the default external network, with an address of its own there. Default: false.
	// +optional
	EnableExternal bool `json:"enableExternal,omitempty"`
	// Names of further external subnets to connect the router to; they must be underlay subnets of a ProviderNetwork.
	// +optional
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitempty"`
	// Watches the next hops of external default routes by BFD, so that a dead one is no longer used. Default: false.
	// +optional
	EnableBfd bool `json:"enableBfd,omitempty"`
	// Port of the router for the BFD sessions of gateways.
	// +optional
	BFDPort *BFDPort `json:"bfdPort,omitempty"`
}

// BFDPort is a port of the router that ends BFD sessions.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || !self.enabled || (has(self.ip) && self.ip.size() > 0)",fieldPath=".ip",message="spec.bfdPort.ip is required when spec.bfdPort.enabled is true"
type BFDPort struct {
	// Whether the port exists.
	// +optional
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`
	// Addresses of the port: an address, or an IPv4 and an IPv6 one separated by a comma. Required when enabled is true.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.split(',', 2).all(a, isIP(a))",message="ip must be an address, or an IPv4 and an IPv6 address separated by a comma"
	IP string `json:"ip,omitempty"`
	// Nodes that may host the port. Default: at most three nodes, chosen automatically.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// VpcPeering is a direct link to another Vpc.
type VpcPeering struct {
	// Name of the other Vpc.
	// +optional
	RemoteVpc string `json:"remoteVpc,omitempty"`
	// Address of this end of the link with the length of the link's network, for example 169.254.0.1/30, or an IPv4 and an IPv6 one separated by a comma. Both ends must be in one network.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.split(',', 2).all(c, isCIDR(c))",message="localConnectIP must be an address with a prefix length such as 169.254.0.1/30, or an IPv4 and an IPv6 one separated by a comma"
	LocalConnectIP string `json:"localConnectIP,omitempty"`
}

// StaticRoute sends traffic to a next hop by its source or destination.
//
// +kubebuilder:validation:XValidation:rule="has(self.cidr) && (isCIDR(self.cidr) || isIP(self.cidr))",fieldPath=".cidr",message="cidr is required and must be a CIDR such as 10.17.0.0/16 or an address"
// +kubebuilder:validation:XValidation:rule="has(self.nextHopIP) && isIP(self.nextHopIP)",fieldPath=".nextHopIP",message="nextHopIP is required and must be one address; for several next hops repeat the route"
type StaticRoute struct {
	// Which address of a packet is compared with cidr: policyDst, its destination (the default), or policySrc, its source.
	// +optional
	Policy RoutePolicy `json:"policy,omitempty"`
	// Traffic the route is about: a CIDR such as 0.0.0.0/0, or a single address.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CIDR string `json:"cidr,omitempty"`
	// Address of the next router.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	NextHopIP string `json:"nextHopIP,omitempty"`
	// ecmp_symmetric_reply sends replies back through the next hop that the request came from. Default: empty, every packet takes any of the equal routes.
	// +optional
	ECMPMode string `json:"ecmpMode,omitempty"`
	// UUID of the OVN BFD session that watches the next hop. Filled in by the controller for external default routes.
	// +optional
	BfdID string `json:"bfdId,omitempty"`
	// Name of the OVN route table the route is in. Subnets choose a table by spec.routeTable. Default: the main table.
	// +optional
	RouteTable string `json:"routeTable,omitempty"`
}

// PolicyRoute decides about traffic that passes the router by any of its properties.
//
// +kubebuilder:validation:XValidation:rule="has(self.action)",fieldPath=".action",message="action is required: allow, drop or reroute"
// +kubebuilder:validation:XValidation:rule="!has(self.action) || self.action != 'reroute' || (has(self.nextHopIP) && self.nextHopIP.size() > 0)",fieldPath=".nextHopIP",message="nextHopIP is required when action is reroute"
type PolicyRoute struct {
	// Rank from 0 to 32767; of all policies that match, the one with the highest number decides. Those of Woven itself are between 29000 and 31000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int `json:"priority,omitempty"`
	// Traffic the policy is about, in OVN's match language, for example ip4.src == 10.16.0.0/16. It is passed on as it is; if OVN cannot parse it, the policy has no effect.
	// +optional
	Match string `json:"match,omitempty"`
	// What happens to the traffic: allow (leave it to the routes), drop, or reroute (send it to nextHopIP).
	// +optional
	Action PolicyRouteAction `json:"action,omitempty"`
	// Addresses of the next routers, separated by commas; several share the traffic. Used by reroute only.
	// +optional
	NextHopIP string `json:"nextHopIP,omitempty"`
}

// BFDPortStatus is what was observed of the BFD port.
type BFDPortStatus struct {
	// Name of the router port, bfd@<vpc>.
	// +optional
	Name string `json:"name,omitempty"`
	// Addresses of the port.
	// +optional
	IP string `json:"ip,omitempty"`
	// Names of the nodes that may host the port.
	// +optional
	Nodes []string `json:"nodes,omitempty"`
}

// VpcStatus is what was observed of a Vpc.
type VpcStatus struct {
	// State of the Vpc. The message of a condition that is not as it should be names field and cause.
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`

	// True once the router exists.
	// +optional
	Standby bool `json:"standby"`
	// True for the default Vpc, ovn-cluster.
	// +optional
	Default bool `json:"default"`
	// Name of the default subnet of the Vpc.
	// +optional
	DefaultLogicalSwitch string `json:"defaultLogicalSwitch"`
	// Name of the OVN logical router.
	// +optional
	Router string `json:"router"`
	// Name of the OVN load balancer for TCP Services without session affinity.
	// +optional
	TCPLoadBalancer string `json:"tcpLoadBalancer"`
	// Name of the OVN load balancer for UDP Services without session affinity.
	// +optional
	UDPLoadBalancer string `json:"udpLoadBalancer"`
	// Name of the OVN load balancer for SCTP Services without session affinity.
	// +optional
	SctpLoadBalancer string `json:"sctpLoadBalancer"`
	// Name of the OVN load balancer for TCP Services with session affinity.
	// +optional
	TCPSessionLoadBalancer string `json:"tcpSessionLoadBalancer"`
	// Name of the OVN load balancer for UDP Services with session affinity.
	// +optional
	UDPSessionLoadBalancer string `json:"udpSessionLoadBalancer"`
	// Name of the OVN load balancer for SCTP Services with session affinity.
	// +optional
	SctpSessionLoadBalancer string `json:"sctpSessionLoadBalancer"`
	// Names of the subnets connected to the router, sorted.
	// +optional
	Subnets []string `json:"subnets,omitempty"`
	// Names of the Vpcs that a link is established to.
	// +optional
	VpcPeerings []string `json:"vpcPeerings,omitempty"`
	// Whether the router is connected to the default external network.
	// +optional
	EnableExternal bool `json:"enableExternal"`
	// Names of the further external subnets the router is connected to.
	// +optional
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitempty"`
	// Whether external default routes are watched by BFD.
	// +optional
	EnableBfd bool `json:"enableBfd"`
	// The router port for BFD sessions.
	// +optional
	BFDPort BFDPortStatus `json:"bfdPort,omitzero"`
}
