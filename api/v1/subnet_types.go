// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GatewayType says where traffic of a subnet leaves the cluster.
// +kubebuilder:validation:Enum="";distributed;centralized
type GatewayType string

// The gateway types of a Subnet.
const (
	// GatewayDistributed lets traffic leave from the node of each pod.
	GatewayDistributed GatewayType = "distributed"
	// GatewayCentralized lets traffic of all pods leave from chosen gateway nodes.
	GatewayCentralized GatewayType = "centralized"
)

// Protocol names the address families of a subnet.
// +kubebuilder:validation:Enum="";IPv4;IPv6;Dual;Mac
type Protocol string

// The protocols of a Subnet.
const (
	ProtocolIPv4 Protocol = "IPv4"
	ProtocolIPv6 Protocol = "IPv6"
	ProtocolDual Protocol = "Dual"
	// ProtocolMAC is an underlay subnet without a CIDR: pods get a MAC and take their address from an outside DHCP server.
	ProtocolMAC Protocol = "Mac"
)

// NATAction is what a rule does with traffic that leaves the cluster.
// +kubebuilder:validation:Enum=nat;forward
type NATAction string

// The actions of a NatOutgoingPolicyRule.
const (
	NATActionNAT     NATAction = "nat"
	NATActionForward NATAction = "forward"
)

// ACLDirection says which way the traffic of an ACL goes, seen from the switch.
// +kubebuilder:validation:Enum=from-lport;to-lport
type ACLDirection string

// ACLAction is what OVN does with traffic that an ACL matches.
// +kubebuilder:validation:Enum=allow;allow-related;allow-stateless;drop;reject;pass
type ACLAction string

// Subnet is a range of addresses that pods take theirs from, with the gateway, the isolation and the services of that network. It becomes one OVN logical switch of the same name.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=subnets,singular=subnet,shortName=subnet
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Provider",type="string",JSONPath=".spec.provider"
// +kubebuilder:printcolumn:name="Vpc",type="string",JSONPath=".spec.vpc"
// +kubebuilder:printcolumn:name="Vlan",type="string",JSONPath=".spec.vlan"
// +kubebuilder:printcolumn:name="Protocol",type="string",JSONPath=".spec.protocol"
// +kubebuilder:printcolumn:name="CIDR",type="string",JSONPath=".spec.cidrBlock"
// +kubebuilder:printcolumn:name="Private",type="boolean",JSONPath=".spec.private"
// +kubebuilder:printcolumn:name="NAT",type="boolean",JSONPath=".spec.natOutgoing"
// +kubebuilder:printcolumn:name="Default",type="boolean",JSONPath=".spec.default"
// +kubebuilder:printcolumn:name="GatewayType",type="string",JSONPath=".spec.gatewayType"
// +kubebuilder:printcolumn:name="V4Used",type="number",JSONPath=".status.v4usingIPs"
// +kubebuilder:printcolumn:name="V4Available",type="number",JSONPath=".status.v4availableIPs"
// +kubebuilder:printcolumn:name="V6Used",type="number",JSONPath=".status.v6usingIPs"
// +kubebuilder:printcolumn:name="V6Available",type="number",JSONPath=".status.v6availableIPs"
// +kubebuilder:printcolumn:name="ExcludeIPs",type="string",JSONPath=".spec.excludeIps"
// +kubebuilder:printcolumn:name="U2OInterconnectionIP",type="string",JSONPath=".status.u2oInterconnectionIP"
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.vpc) || (oldSelf.hasValue() && has(oldSelf.value().spec) && has(oldSelf.value().spec.vpc) && oldSelf.value().spec.vpc == self.spec.vpc) || self.spec.vpc != self.metadata.name",optionalOldSelf=true,fieldPath=".spec.vpc",message="spec.vpc must not equal the name of the subnet: a switch and a router of one name cannot be told apart"
type Subnet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The network that is wanted.
	// +optional
	Spec SubnetSpec `json:"spec"`
	// What was observed; written by the controller only.
	// +optional
	Status SubnetStatus `json:"status"`
}

// SubnetList is a list of Subnets.
//
// +kubebuilder:object:root=true
type SubnetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The subnets.
	Items []Subnet `json:"items"`
}

// Rules that bind several fields let pass what was so before: an object that is stored
// already and breaks one can still be edited. The API server does the same for rules
// of one field (KEP-4008).

// SubnetSpec is the network that is wanted.
//
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().cidrBlock) == has(self.cidrBlock) && (!has(self.cidrBlock) || oldSelf.value().cidrBlock == self.cidrBlock) && has(oldSelf.value().vlan) == has(self.vlan) && (!has(self.vlan) || oldSelf.value().vlan == self.vlan)) || (has(self.cidrBlock) && self.cidrBlock.size() > 0) || (has(self.vlan) && self.vlan.size() > 0)",optionalOldSelf=true,fieldPath=".cidrBlock",message="spec.cidrBlock is required; only an underlay subnet (spec.vlan set) may leave the addresses to an outside DHCP server"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().cidrBlock) == has(self.cidrBlock) && (!has(self.cidrBlock) || oldSelf.value().cidrBlock == self.cidrBlock) && has(oldSelf.value().gateway) == has(self.gateway) && (!has(self.gateway) || oldSelf.value().gateway == self.gateway)) || (has(self.cidrBlock) && self.cidrBlock.size() > 0) || !has(self.gateway) || self.gateway.size() == 0",optionalOldSelf=true,fieldPath=".gateway",message="spec.gateway must be empty when spec.cidrBlock is empty"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().cidrBlock) == has(self.cidrBlock) && (!has(self.cidrBlock) || oldSelf.value().cidrBlock == self.cidrBlock) && has(oldSelf.value().excludeIps) == has(self.excludeIps) && (!has(self.excludeIps) || oldSelf.value().excludeIps == self.excludeIps)) || (has(self.cidrBlock) && self.cidrBlock.size() > 0) || !has(self.excludeIps) || self.excludeIps.size() == 0",optionalOldSelf=true,fieldPath=".excludeIps",message="spec.excludeIps must be empty when spec.cidrBlock is empty"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().cidrBlock) == has(self.cidrBlock) && (!has(self.cidrBlock) || oldSelf.value().cidrBlock == self.cidrBlock) && has(oldSelf.value().gateway) == has(self.gateway) && (!has(self.gateway) || oldSelf.value().gateway == self.gateway)) || !has(self.gateway) || !has(self.cidrBlock) || !self.cidrBlock.split(',', 2).all(c, isCIDR(c)) || self.gateway.split(',', 2).all(g, !isIP(g) || self.cidrBlock.split(',', 2).exists(c, cidr(c).containsIP(g) && (cidr(c).prefixLength() >= (cidr(c).ip().family() == 4 ? 31 : 127) || !(cidr(c).masked().ip() == ip(g)))))",optionalOldSelf=true,fieldPath=".gateway",message="spec.gateway must be inside spec.cidrBlock and not its network address",messageExpression="'spec.gateway must be inside spec.cidrBlock and not its network address: they are ' + self.gateway + ' and ' + self.cidrBlock"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().cidrBlock) == has(self.cidrBlock) && (!has(self.cidrBlock) || oldSelf.value().cidrBlock == self.cidrBlock) && has(oldSelf.value().mtu) == has(self.mtu) && (!has(self.mtu) || oldSelf.value().mtu == self.mtu)) || !has(self.mtu) || self.mtu == 0 || self.mtu >= 1280 || !has(self.cidrBlock) || !self.cidrBlock.contains(':')",optionalOldSelf=true,fieldPath=".mtu",message="spec.mtu must be at least 1280 in a subnet with IPv6 (RFC 8200)"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().externalEgressGateway) == has(self.externalEgressGateway) && (!has(self.externalEgressGateway) || oldSelf.value().externalEgressGateway == self.externalEgressGateway) && has(oldSelf.value().natOutgoing) == has(self.natOutgoing) && (!has(self.natOutgoing) || oldSelf.value().natOutgoing == self.natOutgoing)) || !has(self.externalEgressGateway) || self.externalEgressGateway.size() == 0 || !has(self.natOutgoing) || !self.natOutgoing",optionalOldSelf=true,fieldPath=".externalEgressGateway",message="spec.externalEgressGateway and spec.natOutgoing exclude each other"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().externalEgressGateway) == has(self.externalEgressGateway) && (!has(self.externalEgressGateway) || oldSelf.value().externalEgressGateway == self.externalEgressGateway) && has(oldSelf.value().policyRoutingTableID) == has(self.policyRoutingTableID) && (!has(self.policyRoutingTableID) || oldSelf.value().policyRoutingTableID == self.policyRoutingTableID)) || !has(self.externalEgressGateway) || self.externalEgressGateway.size() == 0 || (has(self.policyRoutingTableID) && self.policyRoutingTableID != 0 && !(self.policyRoutingTableID in [253, 254, 255]))",optionalOldSelf=true,fieldPath=".policyRoutingTableID",message="spec.externalEgressGateway needs spec.policyRoutingTableID, other than 0 and the reserved tables 253 to 255"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().externalEgressGateway) == has(self.externalEgressGateway) && (!has(self.externalEgressGateway) || oldSelf.value().externalEgressGateway == self.externalEgressGateway) && has(oldSelf.value().policyRoutingPriority) == has(self.policyRoutingPriority) && (!has(self.policyRoutingPriority) || oldSelf.value().policyRoutingPriority == self.policyRoutingPriority)) || !has(self.externalEgressGateway) || self.externalEgressGateway.size() == 0 || (has(self.policyRoutingPriority) && self.policyRoutingPriority != 0)",optionalOldSelf=true,fieldPath=".policyRoutingPriority",message="spec.externalEgressGateway needs spec.policyRoutingPriority"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().vlan) == has(self.vlan) && (!has(self.vlan) || oldSelf.value().vlan == self.vlan) && has(oldSelf.value().logicalGateway) == has(self.logicalGateway) && (!has(self.logicalGateway) || oldSelf.value().logicalGateway == self.logicalGateway) && has(oldSelf.value().u2oInterconnection) == has(self.u2oInterconnection) && (!has(self.u2oInterconnection) || oldSelf.value().u2oInterconnection == self.u2oInterconnection)) || !has(self.vlan) || self.vlan.size() == 0 || !has(self.logicalGateway) || !self.logicalGateway || !has(self.u2oInterconnection) || !self.u2oInterconnection",optionalOldSelf=true,fieldPath=".u2oInterconnection",message="spec.u2oInterconnection and spec.logicalGateway exclude each other"
// +kubebuilder:validation:XValidation:rule="(oldSelf.hasValue() && has(oldSelf.value().vlan) == has(self.vlan) && (!has(self.vlan) || oldSelf.value().vlan == self.vlan) && has(oldSelf.value().u2oInterconnection) == has(self.u2oInterconnection) && (!has(self.u2oInterconnection) || oldSelf.value().u2oInterconnection == self.u2oInterconnection) && has(oldSelf.value().u2oFeatures) == has(self.u2oFeatures) && (!has(self.u2oFeatures) || oldSelf.value().u2oFeatures == self.u2oFeatures)) || !has(self.u2oFeatures) || !has(self.u2oFeatures.overlayOnlyRouting) || !self.u2oFeatures.overlayOnlyRouting || (has(self.u2oInterconnection) && self.u2oInterconnection && has(self.vlan) && self.vlan.size() > 0)",optionalOldSelf=true,fieldPath=".u2oFeatures",message="spec.u2oFeatures.overlayOnlyRouting needs spec.u2oInterconnection and spec.vlan"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.vpc) || oldSelf.vpc.size() == 0 || (has(self.vpc) && self.vpc.size() > 0 ? self.vpc == oldSelf.vpc : oldSelf.vpc == 'ovn-cluster')",fieldPath=".vpc",message="spec.vpc cannot be changed; make a new Subnet in the other Vpc",messageExpression="'spec.vpc cannot be changed from ' + oldSelf.vpc + '; make a new Subnet in the other Vpc'"
type SubnetSpec struct {
	// Makes this the subnet of namespaces that are bound to no other. There is one such subnet in a cluster, chosen when the controller is installed; true on any other subnet is set back to false.
	// +optional
	Default bool `json:"default"`
	// Name of the Vpc whose router connects this subnet. Default: ovn-cluster, for subnets of an OVN provider. It cannot be moved to another Vpc later.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Vpc string `json:"vpc,omitempty"`
	// Address families of the subnet: IPv4, IPv6, Dual, or Mac for an underlay subnet without a CIDR. It is computed from cidrBlock; a value that disagrees is corrected.
	// +optional
	Protocol Protocol `json:"protocol,omitempty"`
	// Names of the namespaces whose pods get their addresses here. The namespaces need not exist yet. A namespace named by several subnets uses them in turn.
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
	// Label selectors of further namespaces to bind, in addition to namespaces. A namespace is bound if any one of them matches.
	// +optional
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`
	// Addresses of the subnet: a CIDR such as 10.16.0.0/16, or for dual stack an IPv4 and an IPv6 CIDR such as 10.16.0.0/16,fd00:10:16::/64. Host bits are cleared. It must not overlap a subnet of the same Vpc (or, in an underlay, of the same vlan). It may be empty only in an underlay subnet (vlan set), where pods then take their addresses from an outside DHCP server.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || (self.split(',', 2).size() == 1 && isCIDR(self)) || (self.split(',', 2).size() == 2 && isCIDR(self.split(',', 2)[0]) && cidr(self.split(',', 2)[0]).ip().family() == 4 && isCIDR(self.split(',', 2)[1]) && cidr(self.split(',', 2)[1]).ip().family() == 6)",message="cidrBlock must be a CIDR such as 10.16.0.0/16, or an IPv4 and an IPv6 CIDR in this order, separated by a comma without blanks"
	// +kubebuilder:validation:XValidation:rule="self.split(',', 2).all(c, !isCIDR(c) || (cidr(c).ip().isGlobalUnicast() && cidr(c).masked().ip().isGlobalUnicast() && !cidr('0.0.0.0/8').containsIP(cidr(c).masked().ip()) && !cidr('240.0.0.0/4').containsIP(cidr(c).masked().ip())))",message="cidrBlock must hold unicast addresses that may leave a host: not 0.0.0.0/8, 240.0.0.0/4, loopback, link-local or multicast ones"
	// +kubebuilder:validation:XValidation:rule="self.split(',', 2).all(c, !isCIDR(c) || cidr(c).prefixLength() < (cidr(c).ip().family() == 4 ? 32 : 128))",message="cidrBlock must hold more than one address: a prefix length of 32 (IPv4) or 128 (IPv6) leaves no address for pods"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[A-F]')",message="cidrBlock must be written in lower case"
	CIDRBlock string `json:"cidrBlock,omitempty"`
	// Default gateway of the pods: an address in cidrBlock, or for dual stack an IPv4 and an IPv6 one such as 10.16.0.1,fd00:10:16::1. Default: the first address of cidrBlock; a family that is missing is completed in this way. It must be neither the network nor the broadcast address.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || (self.split(',', 2).size() == 1 && isIP(self)) || (self.split(',', 2).size() == 2 && isIP(self.split(',', 2)[0]) && ip(self.split(',', 2)[0]).family() == 4 && isIP(self.split(',', 2)[1]) && ip(self.split(',', 2)[1]).family() == 6)",message="gateway must be an address such as 10.16.0.1, or an IPv4 and an IPv6 address in this order, separated by a comma without blanks"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[A-F]')",message="gateway must be written in lower case"
	Gateway string `json:"gateway,omitempty"`
	// Addresses that are not handed out automatically, each an address such as 10.16.0.10 or a range such as 10.16.0.20..10.16.0.30 (both ends included). A pod may still ask for one of them by annotation. The gateways are added on their own; overlapping entries are merged and sorted.
	// +optional
	// +kubebuilder:validation:MaxItems=32768
	// +kubebuilder:validation:items:MaxLength=80
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || (self.contains('..') && isIP(self.substring(0, self.indexOf('..'))) && isIP(self.substring(self.indexOf('..') + 2)))",message="excludeIps must hold addresses such as 10.16.0.10 or ranges such as 10.16.0.20..10.16.0.30"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[A-F]')",message="excludeIps must be written in lower case"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[^:]*[.][.].*:') && !self.matches(':.*[.][.][^:]*$')",message="the ends of a range must have the same IP family"
	ExcludeIPs []string `json:"excludeIps,omitempty"`
	// Network that the subnet belongs to: ovn for the first interface of pods (the default), "<nad>.<namespace>.ovn" for a further OVN interface that the named NetworkAttachmentDefinition attaches, or "<nad>.<namespace>" when only the addresses are managed here and another CNI plugin moves the packets.
	// +optional
	// +kubebuilder:validation:MaxLength=239
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="provider must be a DNS subdomain in lower case: annotations of pods begin with it"
	Provider string `json:"provider,omitempty"`

	// Where traffic to the outside leaves the cluster: distributed (from the node of each pod) or centralized (from the nodes chosen by gatewayNode or gatewayNodeSelectors). Default in the default Vpc: distributed.
	// +optional
	GatewayType GatewayType `json:"gatewayType,omitempty"`
	// Gateway nodes of a centralized subnet, a comma-separated list of node names. A node may be followed by a colon and the address that traffic leaving from it is translated to, as in node1:172.18.0.2,node2.
	// +optional
	GatewayNode string `json:"gatewayNode"`
	// Label selectors that choose the gateway nodes of a centralized subnet; they take the place of gatewayNode. A node is chosen if any one of them matches.
	// +optional
	GatewayNodeSelectors []metav1.LabelSelector `json:"gatewayNodeSelectors,omitempty"`
	// Translates the source of traffic that leaves the cluster to the address of the gateway node. Works in the default Vpc only. Default: false.
	// +optional
	NatOutgoing bool `json:"natOutgoing"`
	// Rules that refine natOutgoing. The first rule that matches decides; traffic that none matches is translated.
	// +optional
	NatOutgoingPolicyRules []NatOutgoingPolicyRule `json:"natOutgoingPolicyRules,omitempty"`

	// Routers outside the cluster that take traffic leaving the subnet, one for each family, for example 192.168.1.1 or 192.168.1.1,fd01::1. The routes are made on every node (distributed) or on the gateway nodes (centralized). Needs policyRoutingTableID and policyRoutingPriority, and natOutgoing must be false.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || (self.split(',', 2).size() == 1 && isIP(self)) || (self.split(',', 2).size() == 2 && isIP(self.split(',', 2)[0]) && ip(self.split(',', 2)[0]).family() == 4 && isIP(self.split(',', 2)[1]) && ip(self.split(',', 2)[1]).family() == 6)",message="externalEgressGateway must be an address, or an IPv4 and an IPv6 address in this order, separated by a comma without blanks"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[A-F]')",message="externalEgressGateway must be written in lower case"
	ExternalEgressGateway string `json:"externalEgressGateway,omitempty"`
	// Priority of the routing rule ("ip rule") on the nodes that externalEgressGateway uses. Lower numbers are looked at first.
	// +optional
	PolicyRoutingPriority uint32 `json:"policyRoutingPriority,omitempty"`
	// Number of the routing table on the nodes that externalEgressGateway uses. No two subnets may share one; 0 and 253 to 255 belong to the kernel.
	// +optional
	PolicyRoutingTableID uint32 `json:"policyRoutingTableID,omitempty"`
	// Largest packet in bytes that the interfaces of pods send. Default (also for 0): the MTU of the node's network less the overhead of the tunnel. From 68, or from 1280 with IPv6, to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="self == 0 || self >= 68",message="mtu must be 0 for the default, or from 68 to 65535"
	Mtu uint32 `json:"mtu,omitempty"`

	// Isolates the subnet: only traffic from the subnet itself, from allowSubnets and from the nodes gets in. Default: false.
	// +optional
	Private bool `json:"private"`
	// CIDRs that may exchange traffic with the subnet although private is true.
	// +optional
	// +kubebuilder:validation:MaxItems=65536
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="allowSubnets must hold CIDRs such as 10.17.0.0/16"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[A-F]')",message="allowSubnets must be written in lower case"
	AllowSubnets []string `json:"allowSubnets,omitempty"`
	// OVN access rules for the traffic of the subnet, in addition to those of policies and of private.
	// +optional
	Acls []ACL `json:"acls,omitempty"`
	// Keeps traffic within the subnet allowed, at priority 1900 in both directions, so that a drop rule of lower priority in acls does not cut off neighbours. Default: false.
	// +optional
	AllowEWTraffic bool `json:"allowEWTraffic,omitempty"`

	// Name of the Vlan that carries the subnet. When it is set, the subnet is an underlay: pods are on the physical network, without a tunnel.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Vlan string `json:"vlan,omitempty"`
	// Addresses in cidrBlock that pods may share as virtual ones, for example for VRRP. Each becomes an OVN virtual port; a pod may own those that its annotation port_vips names.
	// +optional
	// +kubebuilder:validation:MaxItems=65536
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isIP(self)",message="vips must hold addresses such as 10.16.0.100"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('[A-F]')",message="vips must be written in lower case"
	Vips []string `json:"vips,omitempty"`
	// Underlay: traffic to other networks goes through the Vpc's router instead of a physical gateway. Excludes u2oInterconnection. Default: false.
	// +optional
	LogicalGateway bool `json:"logicalGateway,omitempty"`
	// Starts pods even if the gateway does not answer. Otherwise the start of a pod in an underlay fails until it does. Default: false.
	// +optional
	DisableGatewayCheck bool `json:"disableGatewayCheck,omitempty"`
	// Keeps the subnet out of the routes that are announced to other clusters through OVN interconnection. Default: false.
	// +optional
	DisableInterConnection bool `json:"disableInterConnection,omitempty"`

	// Answers DHCP requests of the pods, with the address that was allocated to each. Default: false.
	// +optional
	EnableDHCP bool `json:"enableDHCP,omitempty"`
	// Options of the DHCPv4 answers in OVN's spelling "name=value,name=value", for example lease_time=7200. They are laid over the defaults: lease_time=3600, router=<gateway>, server_id=169.254.0.254, server_mac (random) and mtu.
	// +optional
	DHCPv4Options string `json:"dhcpV4Options,omitempty"`
	// Options of the DHCPv6 answers in OVN's spelling "name=value,name=value". They are laid over the default: server_id (a random MAC).
	// +optional
	DHCPv6Options string `json:"dhcpV6Options,omitempty"`
	// Sends IPv6 router advertisements to the pods. Default: false.
	// +optional
	EnableIPv6RA bool `json:"enableIPv6RA,omitempty"`
	// Settings of the router advertisements in OVN's spelling "name=value,name=value". Default: address_mode=dhcpv6_stateful,max_interval=30,min_interval=5,send_periodic=true.
	// +optional
	IPv6RAConfigs string `json:"ipv6RAConfigs,omitempty"`

	// Connects an underlay subnet to the overlay subnets of its Vpc: the Vpc's router gets an address in this subnet. Without vlan it is set back to false. Default: false.
	// +optional
	U2OInterconnection bool `json:"u2oInterconnection,omitempty"`
	// Address of the router for u2oInterconnection: an address in cidrBlock other than the gateway, or an IPv4 and an IPv6 one separated by a comma. Chosen automatically when empty; emptied when u2oInterconnection is off.
	// +optional
	U2OInterconnectionIP string `json:"u2oInterconnectionIP,omitempty"`
	// Details of u2oInterconnection.
	// +optional
	U2OFeatures U2OFeatures `json:"u2oFeatures,omitzero"`
	// Gives the pods access to Services: attaches the Vpc's load balancers to the subnet's switch. Default: the controller's flag --enable-lb. The subnet that joins the nodes is not affected.
	// +optional
	EnableLb *bool `json:"enableLb,omitempty"`
	// Centralized gateway: spreads traffic over all ready gateway nodes instead of using one at a time. Default: false.
	// +optional
	EnableEcmp bool `json:"enableEcmp,omitempty"`
	// Delivers multicast only where it was asked for: OVN listens to IGMP and MLD, and asks for members from an address that it takes from the subnet. Default: false.
	// +optional
	EnableMulticastSnoop bool `json:"enableMulticastSnoop,omitempty"`
	// Lets Services of type LoadBalancer have external addresses of this underlay subnet, which MetalLB or Cilium announce. Default: false.
	// +optional
	EnableExternalLBAddress bool `json:"enableExternalLBAddress,omitempty"`

	// Name of the OVN route table whose routes apply to traffic of this subnet. Default: the main table of the Vpc's router.
	// +optional
	RouteTable string `json:"routeTable,omitempty"`
	// Key of the node annotation ovn.kubernetes.io/node_networks that says which address of the node carries the tunnels of these pods. A pod does not start on a node without that entry. Default: the node's usual tunnel address.
	// +optional
	NodeNetwork string `json:"nodeNetwork,omitempty"`
}

// U2OFeatures are details of the interconnection of an underlay subnet.
type U2OFeatures struct {
	// Sends only traffic to overlay subnets of the Vpc through OVN, and everything else to the physical gateway. Needs u2oInterconnection and vlan. Default: false.
	// +optional
	OverlayOnlyRouting bool `json:"overlayOnlyRouting,omitempty"`
}

// ACL is an OVN access rule on the logical switch of a subnet (ovn-nb(5), table ACL).
type ACL struct {
	// Way of the traffic, seen from the switch: from-lport is what pods send, to-lport is what they receive.
	// +required
	Direction ACLDirection `json:"direction,omitempty"`
	// Rank from 0 to 32767; of all rules that match, the one with the highest number decides.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int `json:"priority,omitempty"`
	// Traffic the rule is about, in OVN's match language (ovn-sb(5), Logical_Flow), for example ip4.dst == 10.17.0.0/16 && tcp. A rule whose match OVN cannot parse is left out; a condition of the Subnet names the column of the error.
	// +required
	// +kubebuilder:validation:MinLength=1
	Match string `json:"match,omitempty"`
	// What happens to the traffic: allow-related (let it and its replies pass), allow, allow-stateless (no connection tracking), drop, reject (with an answer to the sender) or pass (leave it to the next tier).
	// +required
	Action ACLAction `json:"action,omitempty"`
}

// NatOutgoingPolicyRule decides about the source address of traffic that leaves the cluster.
type NatOutgoingPolicyRule struct {
	// Traffic the rule is about.
	// +optional
	Match NatOutgoingPolicyMatch `json:"match"`
	// What happens to it: nat (the source becomes the node's address) or forward (the pod's address stays).
	// +optional
	Action NATAction `json:"action,omitempty"`
}

// NatOutgoingPolicyMatch chooses traffic by its addresses. Traffic matches if both fields do.
type NatOutgoingPolicyMatch struct {
	// Sources: addresses and CIDRs of one family, separated by commas. Empty matches all.
	// +optional
	// +kubebuilder:validation:Pattern=`^\s*$|^\s*[0-9a-fA-F:.]+(/[0-9]{1,3})?(,[0-9a-fA-F:.]+(/[0-9]{1,3})?)*\s*$`
	SrcIPs string `json:"srcIPs,omitempty"`
	// Destinations: addresses and CIDRs of the same family as srcIPs, separated by commas. Empty matches all.
	// +optional
	// +kubebuilder:validation:Pattern=`^\s*$|^\s*[0-9a-fA-F:.]+(/[0-9]{1,3})?(,[0-9a-fA-F:.]+(/[0-9]{1,3})?)*\s*$`
	DstIPs string `json:"dstIPs,omitempty"`
}

// NatOutgoingPolicyRuleStatus is a rule that is in force.
type NatOutgoingPolicyRuleStatus struct {
	// Twelve hexadecimal digits that identify the rule by subnet, position and content; the sets of addresses on the nodes carry them in their names.
	// +optional
	RuleID string `json:"ruleID,omitempty"`

	NatOutgoingPolicyRule `json:",inline"`
}

// SubnetStatus is what was observed of a Subnet.
type SubnetStatus struct {
	// State of the subnet: Ready, Validated, Error. The message of a condition that is not as it should be names field and cause.
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`

	// Number of IPv4 addresses that can still be allocated: the size of the CIDR less excludeIps and less those in use. In dual stack, both families count the same pods.
	// +optional
	V4AvailableIPs BigInt `json:"v4availableIPs"`
	// IPv4 addresses that can still be allocated, as ranges such as 10.16.0.5-10.16.0.9,10.16.0.12.
	// +optional
	V4AvailableIPRange string `json:"v4availableIPrange"`
	// Number of IPv4 addresses in use. Addresses listed in excludeIps are not counted.
	// +optional
	V4UsingIPs BigInt `json:"v4usingIPs"`
	// IPv4 addresses in use, as ranges.
	// +optional
	V4UsingIPRange string `json:"v4usingIPrange"`
	// Number of IPv6 addresses that can still be allocated. May exceed 2^63; the API server then keeps it as a float and may round it.
	// +optional
	V6AvailableIPs BigInt `json:"v6availableIPs"`
	// IPv6 addresses that can still be allocated, as ranges such as fd00::5-fd00::ffff.
	// +optional
	V6AvailableIPRange string `json:"v6availableIPrange"`
	// Number of IPv6 addresses in use. Addresses listed in excludeIps are not counted.
	// +optional
	V6UsingIPs BigInt `json:"v6usingIPs"`
	// IPv6 addresses in use, as ranges.
	// +optional
	V6UsingIPRange string `json:"v6usingIPrange"`
	// Node, or comma-separated nodes with enableEcmp, through which traffic of a centralized subnet leaves now.
	// +optional
	ActivateGateway string `json:"activateGateway"`
	// UUID of the row in OVN's table DHCP_Options for IPv4; empty while enableDHCP is false.
	// +optional
	DHCPv4OptionsUUID string `json:"dhcpV4OptionsUUID"`
	// UUID of the row in OVN's table DHCP_Options for IPv6; empty while enableDHCP is false.
	// +optional
	DHCPv6OptionsUUID string `json:"dhcpV6OptionsUUID"`
	// Address of the Vpc's router in this underlay subnet, or an IPv4 and an IPv6 one separated by a comma; empty while u2oInterconnection is off.
	// +optional
	U2OInterconnectionIP string `json:"u2oInterconnectionIP"`
	// MAC address of the Vpc's router in this underlay subnet.
	// +optional
	U2OInterconnectionMAC string `json:"u2oInterconnectionMAC"`
	// Name of the Vpc whose router is connected to this underlay subnet.
	// +optional
	U2OInterconnectionVPC string `json:"u2oInterconnectionVPC"`
	// The rules of spec.natOutgoingPolicyRules that are in force, with their identifiers.
	// +optional
	NatOutgoingPolicyRules []NatOutgoingPolicyRuleStatus `json:"natOutgoingPolicyRules,omitempty"`
	// Address from which enableMulticastSnoop asks for members.
	// +optional
	McastQuerierIP string `json:"mcastQuerierIP"`
	// MAC address from which enableMulticastSnoop asks for members.
	// +optional
	McastQuerierMAC string `json:"mcastQuerierMAC"`
}
