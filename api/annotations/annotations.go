// SPDX-License-Identifier: Apache-2.0

// Package annotations names every annotation, label and finalizer that Woven reads or writes. The names are those of
// Kube-OVN.
//
// An annotation of a pod's NIC is keyed by the provider of that NIC: "<provider>.kubernetes.io/<suffix>". The provider
// of the default NIC is "ovn", hence "ovn.kubernetes.io/ip_address". [Key] builds such names.
package annotations

// DefaultProvider is the provider of a pod's default NIC.
const DefaultProvider = "ovn"

// Suffixes of the annotations of a pod's NIC; see [Key]. Suffixes without a comment are documented below, at the
// annotation of the default NIC.
const (
	SuffixAllocated     = "allocated"
	SuffixRouted        = "routed"
	SuffixIPAddress     = "ip_address"
	SuffixMACAddress    = "mac_address"
	SuffixIPPool        = "ip_pool"
	SuffixCIDR          = "cidr"
	SuffixGateway       = "gateway"
	SuffixLogicalSwitch = "logical_switch"
	SuffixLogicalRouter = "logical_router"
	SuffixPodNICType    = "pod_nic_type"
	SuffixRoutes        = "routes"

	// SuffixIPFamily limits the addresses of the pod, on a dual-stack Subnet, to one IP family.
	//woven:on Pod
	//woven:by user
	//woven:value ipv4 or ipv6; without it, one address of each IP family of the Subnet
	SuffixIPFamily = "ip_family"
	// SuffixVirtualMachine names the KubeVirt virtual machine that the pod runs; logical switch port and IP object
	// have its name.
	//woven:on Pod
	//woven:by controller
	//woven:value name of a VirtualMachine
	SuffixVirtualMachine = "virtualmachine"
	// SuffixDHCPv4Options overrides DHCPv4 options of the Subnet for the pod.
	//woven:on Pod
	//woven:by user
	//woven:value name=value pairs, separated by commas
	SuffixDHCPv4Options = "dhcp-v4-options"
	// SuffixDHCPv6Options overrides DHCPv6 options of the Subnet for the pod.
	//woven:on Pod
	//woven:by user
	//woven:value name=value pairs, separated by commas
	SuffixDHCPv6Options = "dhcp-v6-options"
	// SuffixPortSecurity decides whether the port may only send with its own MAC address and addresses. A Subnet
	// decides for its pods: true (always), optional (pods and namespaces may turn it off) or false (they may turn it
	// on); without the annotation the controller's flag --default-port-security decides.
	//woven:on Pod,Namespace,Subnet
	//woven:by user
	//woven:value true or false; on a Subnet also optional
	SuffixPortSecurity = "port_security"
	// SuffixLayer2Forward lets the port send and receive with any MAC address, if its Subnet lets pods turn port
	// security off.
	//woven:on Pod
	//woven:by user
	//woven:value true or false (default)
	SuffixLayer2Forward = "layer2_forward"
	// SuffixPortVIPs lists further addresses that the pod may send with, of spec.vips of its Subnet.
	//woven:on Pod
	//woven:by user
	//woven:value addresses, separated by commas
	SuffixPortVIPs = "port_vips"
)

// Annotations. The directives name the kinds that have the annotation (on), its writers (by) and its format (value);
// docs/reference/api.md is generated from them.
const (
	// Allocated is set when the controller has allocated the addresses.
	//woven:on Pod,Node
	//woven:by controller
	//woven:value true
	Allocated = "ovn.kubernetes.io/allocated"
	// Routed is set when the rows of the pod are committed to the northbound database; CNI ADD waits for it.
	//woven:on Pod
	//woven:by controller
	//woven:value true
	Routed = "ovn.kubernetes.io/routed"
	// IPAddress contains the addresses. A user sets it before the pod has addresses, to request these; the controller
	// sets it to the allocated addresses.
	//woven:on Pod,Node
	//woven:by user,controller
	//woven:value an IPv4 address, an IPv6 address, or both in this order, separated by a comma
	IPAddress = "ovn.kubernetes.io/ip_address"
	// MACAddress contains the MAC address. A user sets it before the pod has addresses, to request this one; the
	// controller sets it to the allocated one.
	//woven:on Pod,Node
	//woven:by user,controller
	//woven:value a unicast MAC address; the controller writes lower case with colons
	MACAddress = "ovn.kubernetes.io/mac_address"
	// CIDR contains the CIDRs of the Subnet. On a Namespace whose [LogicalSwitch] names a Subnet that does not exist, a
	// user sets it to have the Subnet created with this CIDR.
	//woven:on Pod,Node,Namespace
	//woven:by user,controller
	//woven:value an IPv4 CIDR, an IPv6 CIDR, or both in this order, separated by a comma; on Namespaces those of
	//woven:value several Subnets separated by semicolons
	CIDR = "ovn.kubernetes.io/cidr"
	// Gateway contains the gateway of the Subnet. On a Namespace a user sets it for the Subnet that is created; see
	// [CIDR].
	//woven:on Pod,Node,Namespace
	//woven:by user,controller
	//woven:value an IPv4 address, an IPv6 address, or both in this order, separated by a comma
	Gateway = "ovn.kubernetes.io/gateway"
	// LogicalSwitch names the Subnet. On a Pod or Namespace a user sets it to choose the Subnet of the addresses; the
	// controller sets it to the Subnet in use. On a Service it selects the Vpc of that Subnet.
	//woven:on Pod,Node,Namespace,Service
	//woven:by user,controller
	//woven:value name of a Subnet; on Namespaces several names separated by commas, in order of preference
	LogicalSwitch = "ovn.kubernetes.io/logical_switch"
	// LogicalRouter names the Vpc. On a Service a user sets it to the Vpc of the Service's backends; on a Pod the
	// controller sets it to the Vpc of the Subnet.
	//woven:on Pod,Service
	//woven:by user,controller
	//woven:value name of a Vpc
	LogicalRouter = "ovn.kubernetes.io/logical_router"
	// PodNICType is the type of the pod's interface.
	//woven:on Pod
	//woven:by controller
	//woven:value veth-pair
	PodNICType = "ovn.kubernetes.io/pod_nic_type"
	// Routes lists further routes inside the pod. A route without dst is the default route of the gateway's IP family,
	// one without gw uses the Subnet's gateway.
	//woven:on Pod
	//woven:by user
	//woven:value JSON list of objects with dst (CIDR) and gw (address)
	Routes = "ovn.kubernetes.io/routes"
	// ExcludeIPs contains the addresses that are not allocated: spec.excludeIps of the bound Subnets. A user sets it
	// for the Subnet that is created; see [CIDR].
	//woven:on Namespace
	//woven:by user,controller
	//woven:value addresses (a) and ranges (a..b), separated by commas; those of several Subnets separated by
	//woven:value semicolons
	ExcludeIPs = "ovn.kubernetes.io/exclude_ips"
	// GatewayType sets spec.gatewayType of the Subnet that is created; see [CIDR].
	//woven:on Namespace
	//woven:by user
	//woven:value distributed (default) or centralized
	GatewayType = "ovn.kubernetes.io/gateway_type"
	// GatewayNode sets spec.gatewayNode of the Subnet that is created; see [CIDR].
	//woven:on Namespace
	//woven:by user
	//woven:value names of Nodes, separated by commas
	GatewayNode = "ovn.kubernetes.io/gateway_node"
	// Private sets spec.private of the Subnet that is created; see [CIDR].
	//woven:on Namespace
	//woven:by user
	//woven:value true or false (default)
	Private = "ovn.kubernetes.io/private"
	// Allow sets spec.allowSubnets of the Subnet that is created; see [CIDR].
	//woven:on Namespace
	//woven:by user
	//woven:value CIDRs, separated by commas
	Allow = "ovn.kubernetes.io/allow"
	// BoundSwitch is the value that the controller wrote to [LogicalSwitch]. If the two differ, a user has chosen the
	// Subnet.
	//woven:on Namespace
	//woven:by controller
	//woven:value names of Subnets, separated by commas
	BoundSwitch = "woven/bound-logical-switch"
	// IPPool selects the addresses to allocate from. On a Namespace the controller lists the IPPools that are bound to
	// it.
	//woven:on Pod,Namespace
	//woven:by user,controller
	//woven:value on Pods the name of an IPPool, or addresses and ranges (a..b) separated by commas, pairs of
	//woven:value both IP families by semicolons; on Namespaces names of IPPools, separated by commas
	IPPool = "ovn.kubernetes.io/ip_pool"
	// Chassis is the OVN chassis of the node.
	//woven:on Node
	//woven:by cniserver
	//woven:value system-id of the node's Open vSwitch
	Chassis = "ovn.kubernetes.io/chassis"
	// OwnerUID identifies the workload that keeps the address when the pod is deleted.
	//woven:on IP
	//woven:by controller
	//woven:value UID of a StatefulSet or VirtualMachine
	OwnerUID = "ovn.kubernetes.io/owner_uid"
	// NorthGateway is the next hop of traffic that leaves the pod's Vpc, instead of the gateway of its Subnet.
	//woven:on Pod
	//woven:by user
	//woven:value an IPv4 address, an IPv6 address, or both, separated by a comma
	NorthGateway = "ovn.kubernetes.io/north_gateway"
	// EnableLog enables logging of a policy's decisions; [LogACLActions] selects the decisions.
	//woven:on NetworkPolicy
	//woven:by user
	//woven:value true or false (default)
	EnableLog = "ovn.kubernetes.io/enable_log"
	// LogACLActions lists the decisions of a policy that are logged; for a NetworkPolicy, if [EnableLog] is set.
	//woven:on NetworkPolicy,AdminNetworkPolicy,BaselineAdminNetworkPolicy,ClusterNetworkPolicy
	//woven:by user
	//woven:value allow, drop (or deny) and pass, separated by commas; drop by default for a NetworkPolicy
	LogACLActions = "ovn.kubernetes.io/log_acl_actions"
	// ACLLogMeterRate limits the log lines per second of a policy.
	//woven:on NetworkPolicy,AdminNetworkPolicy,BaselineAdminNetworkPolicy,ClusterNetworkPolicy
	//woven:by user
	//woven:value number of lines per second, from 1; 10 by default
	ACLLogMeterRate = "ovn.kubernetes.io/acl_log_meter_rate"
	// PolicyEnforcement selects the traffic that a NetworkPolicy denies: standard denies all that no rule allows, lax
	// only TCP, UDP and SCTP.
	//woven:on NetworkPolicy
	//woven:by user
	//woven:value standard (default) or lax
	PolicyEnforcement = "ovn.kubernetes.io/network_policy_enforcement"
	// PolicyFor limits a NetworkPolicy to some NICs of its pods.
	//woven:on NetworkPolicy
	//woven:by user
	//woven:value ovn (the default NIC) and NAMESPACE/NETWORKATTACHMENTDEFINITION, separated by commas
	PolicyFor = "ovn.kubernetes.io/network_policy_for"
	// PortSecurity is the annotation [SuffixPortSecurity] of the default NIC.
	//woven:on Pod,Namespace,Subnet
	//woven:by user
	//woven:value true or false; on a Subnet also optional
	PortSecurity = "ovn.kubernetes.io/port_security"
	// AllowedNamespaces lists further namespaces whose pods may name a Subnet that is private or bound to namespaces.
	//woven:on Subnet
	//woven:by user
	//woven:value names of namespaces, separated by commas, or * for all
	AllowedNamespaces = "ovn.kubernetes.io/allowed_namespaces"
	// Vpc is the Vpc in which the Service is reachable.
	//woven:on Service
	//woven:by controller
	//woven:value name of a Vpc
	Vpc = "ovn.kubernetes.io/vpc"
	// PortName is the logical switch port of the node.
	//woven:on Node
	//woven:by controller
	//woven:value node-NAME
	PortName = "ovn.kubernetes.io/port_name"
	// ServiceSource contains the source addresses of the host for Services, each with the prefix length of the range
	// that contains those of all nodes.
	//woven:on Node
	//woven:by controller
	//woven:value for example 169.254.64.2/18, fd69:254:64::2/112, or both, separated by a comma
	ServiceSource = "ovn.kubernetes.io/service_source"
)

// Labels.
const (
	// LabelSubnet is the Subnet of the addresses.
	//woven:on IP
	//woven:by controller
	//woven:value name of a Subnet
	LabelSubnet = "ovn.kubernetes.io/subnet"
	// LabelNodeName is the node of the pod; empty while there is no pod.
	//woven:on IP
	//woven:by controller
	//woven:value name of a Node
	LabelNodeName = "ovn.kubernetes.io/node-name"
	// LabelIPReserved is true if the object is a reservation, which outlives its pods. Without the label, it is one.
	//woven:on IP
	//woven:by controller
	//woven:value true or false
	LabelIPReserved = "ovn.kubernetes.io/ip_reserved"
	// LabelVpc is the Vpc of the Subnet.
	//woven:on Subnet
	//woven:by controller
	//woven:value name of a Vpc
	LabelVpc = "ovn.kubernetes.io/vpc"
	// LabelGateway marks the Leases that gateway nodes renew as a heartbeat.
	//woven:on Lease
	//woven:by cniserver
	//woven:value true
	LabelGateway = "woven/gateway"
)

// Finalizer is set on objects whose rows and addresses the controller must release before they are deleted.
const Finalizer = "kubeovn.io/kube-ovn-controller"

// DeprecatedFinalizer is a former name; the controller replaces it by [Finalizer].
const DeprecatedFinalizer = "kube-ovn-controller"

// ProviderDomain is appended to the provider in the domain of a NIC's annotations.
const ProviderDomain = ".kubernetes.io"

// Key returns the annotation of a NIC: "<provider>.kubernetes.io/<suffix>".
func Key(provider, suffix string) string {
	if provider == DefaultProvider {
		if key, ok := defaultKeys[suffix]; ok {
			return key
		}
	}
	return provider + ProviderDomain + "/" + suffix
}

// defaultKeys avoids the concatenation for the keys that every pod has.
var defaultKeys = map[string]string{
	SuffixAllocated:     Allocated,
	SuffixRouted:        Routed,
	SuffixIPAddress:     IPAddress,
	SuffixMACAddress:    MACAddress,
	SuffixCIDR:          CIDR,
	SuffixGateway:       Gateway,
	SuffixLogicalSwitch: LogicalSwitch,
	SuffixLogicalRouter: LogicalRouter,
	SuffixPodNICType:    PodNICType,
	SuffixPortSecurity:  PortSecurity,
	SuffixLayer2Forward: DefaultProvider + ProviderDomain + "/" + SuffixLayer2Forward,
	SuffixPortVIPs:      DefaultProvider + ProviderDomain + "/" + SuffixPortVIPs,
}
