// SPDX-License-Identifier: Apache-2.0

package compat

import "slices"

// ovnDomain is the domain of the annotations, and of those of the default NIC.
const ovnDomain = "ovn.kubernetes.io/"

const kindPod = "Pod"

const (
	noteAttachment   = "pods have the interface of the provider ovn only"
	noteRates        = "there are no bandwidth limits"
	noteNetem        = "delay and loss are not emulated"
	noteBGP          = "no routes are announced by BGP"
	noteMigration    = "a virtual machine does not keep its address during a live migration"
	noteGatewayPod   = "there is no VpcNatGateway"
	notePhysicalNode = "nodes have no bridges to physical networks"
)

// ovn returns rows with names in [ovnDomain].
func ovn(list []Row) []Row {
	for i := range list {
		list[i].Name = ovnDomain + list[i].Name
	}
	return list
}

// nicAnnotations are those of a NIC that users set; nicResults are those that the controller writes.
var (
	nicAnnotations = ovn(slices.Concat(
		works("default_route", "dhcp-v4-options", "dhcp-v6-options", "ip_address", "ip_family", "ip_pool", "layer2_forward",
			"logical_switch", "mac_address", "port_security", "port_vips", "routes"),
		rows(NotYet, noteRates, "ingress_rate", "egress_rate", "ingress_burst", "egress_burst"),
		rows(NotYet, noteNetem, "latency", "jitter", "limit", "loss"),
		rows(NotYet, "use a NetworkPolicy, or spec.acls of the Subnet", "security_groups"),
		rows(NotYet, "the flag --enable-mirror of woven-cniserver, which is on by default, mirrors all pods of a node", "mirror"),
		rows(NotYet, noteMigration, "activation_strategy"),
		[]Row{{Name: "pod_nic_type", State: Partly, Values: "^veth-pair$", Note: "pods have an interface of type veth-pair"}},
	))
	nicResults = ovn(slices.Concat(
		written(Works, "", "allocated", "cidr", "gateway", "logical_router", "routed", "virtualmachine"),
		written(NotYet, noteUnderlay, "provider_network", "vlan_id"),
		written(NotYet, "there is no SR-IOV", "vf", "vf_representor"),
	))
)

var podAnnotations = slices.Concat(nicAnnotations, nicResults, ovn(slices.Concat(
	works("north_gateway"),
	rows(NotYet, "use spec.vips of the Subnet and the annotation ovn.kubernetes.io/port_vips", "aaps"),
	rows(NotYet, "request an address with the annotation ovn.kubernetes.io/ip_address", "vip"),
	rows(NotYet, noteExternal, "eip", "snat"),
	rows(NotYet, noteBGP, "bgp"),
	written(NotYet, noteGatewayPod, "vpc_cidrs", "vpc_dnat_md5", "vpc_eips", "vpc_floating_ips", "vpc_nat_gw", "vpc_nat_gw_activated",
		"vpc_nat_gw_container_restarted", "vpc_nat_gw_init", "vpc_snat_md5"),
)), []Row{
	{Name: "<name>.<namespace>.ovn.kubernetes.io/…", State: NotYet, Note: noteAttachment},
	{Name: "<name>.<namespace>.kubernetes.io/…", State: NotYet, Note: noteAttachment},
	{Name: "k8s.v1.cni.cncf.io/networks", State: Partly, Note: "Multus attaches the interfaces of other plugins; Woven attaches none"},
	{Name: "v1.multus-cni.io/default-network", State: Partly, Note: "Multus attaches the interfaces of other plugins; Woven attaches none"},
})

var namespaceAnnotations = slices.Concat(
	ovn(works("allow", "cidr", "exclude_ips", "gateway", "gateway_node", "gateway_type", "ip_pool", "logical_switch", "port_security", "private")),
	written(Works, "", "woven/bound-logical-switch"),
)

var nodeAnnotations = slices.Concat(
	ovn(slices.Concat(
		written(Works, "", "allocated", "chassis", "cidr", "gateway", "ip_address", "logical_switch", "mac_address", "port_name", "service_source"),
		rows(NotYet, noteRates, "ingress_rate", "egress_rate", "ingress_burst", "egress_burst"),
		rows(NotYet, "tunnels use external_ids:ovn-encap-ip of the node's Open vSwitch", "node_networks", "tunnel_interface"),
	)),
	rows(NotYet, notePhysicalNode, "*.provider-network.kubernetes.io/interface", "*.provider-network.kubernetes.io/exclude"),
)

var nodeLabels = slices.Concat(
	ovn(slices.Concat(
		rows(NotYet, noteExternal, "external-gw", "node-ext-gw"),
		rows(NotYet, "clusters are not interconnected", "ic-gw"),
		[]Row{{Name: "ovs_dp_type", State: Partly, Values: "^kernel$", Note: "datapath_type of the node's bridge br-int decides, not the label"}},
	)),
	rows(Unused, "the installation decides where OVN's databases run", "kube-ovn/role"),
	written(NotYet, notePhysicalNode, "*.provider-network.kubernetes.io/ready", "*.provider-network.kubernetes.io/mtu",
		"*.provider-network.kubernetes.io/vlan_interfaces", "*.provider-network.kubernetes.io/interface", "*.provider-network.kubernetes.io/exclude"),
)

var serviceAnnotations = ovn(slices.Concat(
	works("logical_router", "logical_switch"),
	written(Works, "", "vpc"),
	rows(NotYet, "use a Service with a ClusterIP", "switch_lb_vip"),
	rows(NotYet, noteExternal, "router_lb_vip"),
	rows(NotYet, "the readiness of pods decides which backends get connections", "service_health_check"),
	rows(NotYet, noteUnderlay, "service_external_ip_from_subnet"),
	rows(NotYet, noteBGP, "bgp"),
	rows(NotYet, "no pods are created for Services of type LoadBalancer", "attachmentprovider", "lb_svc_img"),
	written(NotYet, "", "service-cidr-hash"),
))

var (
	subnetAnnotations = ovn(slices.Concat(works("allowed_namespaces", "port_security"), rows(NotYet, noteBGP, "bgp")))
	subnetLabels      = ovn(written(Works, "", "vpc"))
	vpcAnnotations    = ovn(rows(NotYet, "Services of a Vpc are served by OVN without pods", "vpc_lb"))
	vpcLabels         = ovn(rows(NotYet, "routers of OpenStack Neutron are not adopted", "vpc_external"))
	ipAnnotations     = ovn(written(Works, "", "owner_uid"))
	ipLabels          = ovn(slices.Concat(works("ip_reserved"), written(Works, "", "node-name", "subnet")))
)

var (
	policyLog                = ovn(works("acl_log_meter_rate", "log_acl_actions"))
	networkPolicyAnnotations = slices.Concat(policyLog, ovn(works("enable_log", "network_policy_enforcement")), ovn(
		rows(Partly, "pods have the interface of the provider ovn only, so that a policy for others selects nothing", "network_policy_for")))
)

// otherKinds are kinds of Kubernetes, of which annotations and labels are listed.
var otherKinds = []Kind{
	{Name: "AdminNetworkPolicy", Group: "policy.networking.k8s.io", State: Works, Annotations: policyLog},
	{Name: "BaselineAdminNetworkPolicy", Group: "policy.networking.k8s.io", State: Works, Annotations: policyLog},
	{Name: "ClusterNetworkPolicy", Group: "policy.networking.k8s.io", State: Works, Annotations: policyLog},
	{Name: "Lease", Group: "coordination.k8s.io", State: Works, Labels: written(Works, "", "woven/gateway")},
	{Name: "Namespace", State: Works, Annotations: namespaceAnnotations},
	{Name: "NetworkPolicy", Group: "networking.k8s.io", State: Works, Annotations: networkPolicyAnnotations},
	{Name: "Node", State: Works, Annotations: nodeAnnotations, Labels: nodeLabels},
	{Name: kindPod, State: Works, Annotations: podAnnotations},
	{Name: "Service", State: Works, Annotations: serviceAnnotations},
}
