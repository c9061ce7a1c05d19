// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"reflect"
	"slices"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
)

// defaultVpc is the name of the Vpc that contains the node network.
const defaultVpc = "ovn-cluster"

const (
	noteDefaultVpc = "it works in the Vpc " + defaultVpc + " only, as in Kube-OVN"
	noteUnderlay   = "pods are connected by tunnels, not to physical networks"
	noteExternal   = "a Vpc has no connection to external networks"
)

var vpcFields = slices.Concat(
	works("spec.defaultSubnet", "spec.namespaces"),
	rows(NotYet, "a Vpc has the routes to its Subnets only", "spec.staticRoutes", "spec.policyRoutes"),
	rows(NotYet, "Vpcs cannot be connected", "spec.vpcPeerings"),
	rows(NotYet, noteExternal, "spec.enableExternal", "spec.extraExternalSubnets"),
	rows(NotYet, "next hops are not monitored by BFD", "spec.bfdPort", "spec.enableBfd"),
)

var subnetFields = slices.Concat(
	works("spec.acls[].action", "spec.acls[].direction", "spec.acls[].match", "spec.acls[].priority", "spec.allowEWTraffic",
		"spec.allowSubnets", "spec.cidrBlock", "spec.default", "spec.dhcpV4Options", "spec.dhcpV6Options", "spec.enableDHCP",
		"spec.enableIPv6RA", "spec.enableLb", "spec.excludeIps", "spec.gateway", "spec.ipv6RAConfigs", "spec.mtu",
		"spec.namespaceSelectors", "spec.namespaces", "spec.natOutgoingPolicyRules[].action", "spec.natOutgoingPolicyRules[].match.dstIPs",
		"spec.natOutgoingPolicyRules[].match.srcIPs", "spec.policyRoutingPriority", "spec.policyRoutingTableID", "spec.private",
		"spec.protocol", "spec.vips", "spec.vpc"),
	rows(Works, "a pod starts without a check of its gateway in any case", "spec.disableGatewayCheck"),
	inDefaultVpc("spec.enableEcmp", "spec.externalEgressGateway", "spec.gatewayNode", "spec.gatewayNodeSelectors", "spec.natOutgoing", "spec.natOutgoingPolicyRules"),
	[]Row{
		{
			Name: "spec.gatewayType", State: Partly, Values: "^distributed$", DefaultVpc: true,
			Note: "centralized works in the Vpc " + defaultVpc + " only, as in Kube-OVN",
		},
		{
			Name: "spec.provider", State: Partly, Values: "^ovn$", Essential: func(p string) bool { return !strings.HasSuffix(p, ".ovn") },
			Note: "pods have the interface of the provider ovn only, so that no pod gets an address of this Subnet",
		},
		{Name: "spec.vlan", State: NotYet, Essential: func(string) bool { return true }, Note: noteUnderlay},
	},
	rows(NotYet, noteUnderlay, "spec.enableExternalLBAddress", "spec.logicalGateway", "spec.u2oFeatures.overlayOnlyRouting",
		"spec.u2oInterconnection", "spec.u2oInterconnectionIP"),
	rows(NotYet, "clusters are not interconnected, and no Subnet is announced to others", "spec.disableInterConnection"),
	rows(NotYet, "multicast is delivered to all pods of the Subnet", "spec.enableMulticastSnoop"),
	rows(NotYet, "tunnels use external_ids:ovn-encap-ip of the node's Open vSwitch", "spec.nodeNetwork"),
	rows(NotYet, "the router has one table of routes", "spec.routeTable"),
)

var ipFields = slices.Concat(
	works("spec.ipAddress", "spec.macAddress", "spec.namespace", "spec.nodeName", "spec.podName", "spec.podType", "spec.subnet",
		"spec.v4IpAddress", "spec.v6IpAddress"),
	rows(Unused, "", "spec.attachIps", "spec.attachMacs", "spec.attachSubnets", "spec.containerID"),
)

var ipPoolFields = works("spec.enableAddressSet", "spec.ips", "spec.namespaces", "spec.subnet")

func inDefaultVpc(names ...string) []Row {
	out := rows(Partly, noteDefaultVpc, names...)
	for i := range out {
		out[i].DefaultVpc = true
	}
	return out
}

// missing returns a kind of Kube-OVN that is not supported.
func missing(name, resource, note string) Kind {
	return Kind{Name: name, Group: Group, Resource: resource, State: NotYet, Note: note}
}

// Kinds are all kinds of the table: those of Kube-OVN, then those of others.
var Kinds = append([]Kind{
	{
		Name: "IP", Group: Group, Resource: "ips", State: Works, Spec: reflect.TypeFor[v1.IPSpec](), Fields: ipFields,
		Annotations: ipAnnotations, Labels: ipLabels,
	},
	{Name: "IPPool", Group: Group, Resource: "ippools", State: Works, Spec: reflect.TypeFor[v1.IPPoolSpec](), Fields: ipPoolFields},
	{
		Name: "Subnet", Group: Group, Resource: "subnets", State: Partly, Note: "overlay Subnets", Spec: reflect.TypeFor[v1.SubnetSpec](),
		Fields: subnetFields, Annotations: subnetAnnotations, Labels: subnetLabels,
	},
	{
		Name: "Vpc", Group: Group, Resource: "vpcs", State: Partly, Note: "without routes, peerings and external networks",
		Spec: reflect.TypeFor[v1.VpcSpec](), Fields: vpcFields, Annotations: vpcAnnotations, Labels: vpcLabels,
	},

	missing("BgpConf", "bgp-confs", ""),
	missing("DNSNameResolver", "dnsnameresolvers", ""),
	missing("EvpnConf", "evpn-confs", ""),
	missing("IptablesDnatRule", "iptables-dnat-rules", ""),
	missing("IptablesEIP", "iptables-eips", ""),
	missing("IptablesFIPRule", "iptables-fip-rules", ""),
	missing("IptablesSnatRule", "iptables-snat-rules", ""),
	missing("OvnDnatRule", "ovn-dnat-rules", ""),
	missing("OvnEip", "ovn-eips", ""),
	missing("OvnFip", "ovn-fips", ""),
	missing("OvnSnatRule", "ovn-snat-rules", ""),
	missing("ProviderNetwork", "provider-networks", noteUnderlay),
	missing("QoSPolicy", "qos-policies", ""),
	missing("RouterLBRule", "router-lb-rules", ""),
	missing("SecurityGroup", "security-groups", "use a NetworkPolicy, or spec.acls of the Subnet"),
	missing("SwitchLBRule", "switch-lb-rules", "use a Service"),
	missing("Vip", "vips", "use spec.vips of the Subnet and the annotation ovn.kubernetes.io/port_vips of pods"),
	missing("Vlan", "vlans", noteUnderlay),
	missing("VpcDns", "vpc-dnses", ""),
	missing("VpcEgressGateway", "vpc-egress-gateways", "use gateway nodes (spec.gatewayNode of the Subnet), or spec.externalEgressGateway"),
	missing("VpcNatGateway", "vpc-nat-gateways", ""),
}, otherKinds...)
