// Package annotations names every annotation, label and finalizer that Woven
// reads or writes. The names are wire-compatible with Kube-OVN.
//
// An annotation of a pod's NIC is keyed by the provider of that NIC:
// "<provider>.kubernetes.io/<suffix>". The provider of the default NIC is
// "ovn", hence "ovn.kubernetes.io/ip_address". [Key] builds such names.
package annotations

// DefaultProvider is the provider of a pod's default NIC.
const DefaultProvider = "ovn"

// Suffixes of the per-provider pod annotations; see [Key].
const (
	SuffixAllocated     = "allocated"
	SuffixRouted        = "routed"
	SuffixIPAddress     = "ip_address"
	SuffixMACAddress    = "mac_address"
	SuffixIPFamily      = "ip_family"
	SuffixIPPool        = "ip_pool"
	SuffixCIDR          = "cidr"
	SuffixGateway       = "gateway"
	SuffixLogicalSwitch = "logical_switch"
	SuffixLogicalRouter = "logical_router"
	SuffixPodNICType    = "pod_nic_type"
	// SuffixVirtualMachine names the KubeVirt VM that a pod runs; port and IP object bear its name.
	SuffixVirtualMachine = "virtualmachine"
	SuffixRoutes         = "routes"
	SuffixMirror         = "mirror"
	// SuffixDHCPv4Options and SuffixDHCPv6Options are laid over the options of the subnet: "name=value,name=value".
	SuffixDHCPv4Options = "dhcp-v4-options"
	SuffixDHCPv6Options = "dhcp-v6-options"
)

// Annotations of the default provider, written out because they are read most.
const (
	// Allocated is "true" once the controller has chosen the addresses.
	Allocated = "ovn.kubernetes.io/allocated"
	// Routed is "true" once the rows of the pod are committed to the northbound database; CNI ADD waits for it.
	Routed = "ovn.kubernetes.io/routed"
	// IPAddress is "10.16.0.5", "fd00::5" or "10.16.0.5,fd00::5" (IPv4 first).
	IPAddress = "ovn.kubernetes.io/ip_address"
	// MACAddress is a unicast MAC, lower case with colons.
	MACAddress = "ovn.kubernetes.io/mac_address"
	// CIDR is the subnet's CIDR, "v4", "v6" or "v4,v6".
	CIDR = "ovn.kubernetes.io/cidr"
	// Gateway is the subnet's gateway, "v4", "v6" or "v4,v6".
	Gateway = "ovn.kubernetes.io/gateway"
	// LogicalSwitch names the subnet; on a namespace it is a comma separated list in order of preference.
	LogicalSwitch = "ovn.kubernetes.io/logical_switch"
	// LogicalRouter names the Vpc; on a Service, the one that its backends are in.
	LogicalRouter = "ovn.kubernetes.io/logical_router"
	// PodNICType is "veth-pair".
	PodNICType = "ovn.kubernetes.io/pod_nic_type"
	// Routes is a JSON list of {"dst","gw"} for routes inside the pod.
	Routes = "ovn.kubernetes.io/routes"
	// ExcludeIPs is written on namespaces: the excludeIps of the bound subnets, subnets separated by ";".
	ExcludeIPs = "ovn.kubernetes.io/exclude_ips"
	// GatewayType, GatewayNode, Private ("true") and Allow (CIDRs, comma separated) describe, on a namespace, the Subnet that it wants made.
	GatewayType = "ovn.kubernetes.io/gateway_type"
	GatewayNode = "ovn.kubernetes.io/gateway_node"
	Private     = "ovn.kubernetes.io/private"
	Allow       = "ovn.kubernetes.io/allow"
	// BoundSwitch is written on namespaces: what the controller wrote as logical_switch. Where the two differ, a user chose.
	BoundSwitch = "woven/bound-logical-switch"
	// IPPool names an IPPool or lists addresses.
	IPPool = "ovn.kubernetes.io/ip_pool"
	// Chassis is written on nodes by the cniserver: the OVS system-id.
	Chassis = "ovn.kubernetes.io/chassis"
	// OwnerUID is written on IP objects: the UID of the workload that keeps the address when the pod is gone.
	OwnerUID = "ovn.kubernetes.io/owner_uid"
	// NorthGateway is the next hop of what leaves a pod: an address or one for each family, separated by a comma.
	NorthGateway = "ovn.kubernetes.io/north_gateway"
	// EnableLog has the decisions of a NetworkPolicy logged: "true". Which, LogACLActions says.
	EnableLog = "ovn.kubernetes.io/enable_log"
	// LogACLActions lists the decisions of a policy that are logged: allow, drop (or deny) and pass, comma separated.
	LogACLActions = "ovn.kubernetes.io/log_acl_actions"
	// ACLLogMeterRate is the greatest number of lines a second that a policy logs.
	ACLLogMeterRate = "ovn.kubernetes.io/acl_log_meter_rate"
	// PolicyEnforcement of a NetworkPolicy is "standard" or "lax".
	PolicyEnforcement = "ovn.kubernetes.io/network_policy_enforcement"
	// PolicyFor limits a NetworkPolicy to some NICs of its pods: "ovn" and "<namespace>/<NetworkAttachmentDefinition>", comma separated.
	PolicyFor = "ovn.kubernetes.io/network_policy_for"
	// Vpc is written on Services: the Vpc in which they are reached.
	Vpc = "ovn.kubernetes.io/vpc"
	// PortName is written on nodes: "node-<node>".
	PortName = "ovn.kubernetes.io/port_name"
	// ServiceSource is written on nodes: the addresses that its host takes towards Services, each with the length
	// of the prefix that those of all nodes are in: "169.254.64.2/18", "fd69:254:64::2/112" or both.
	ServiceSource = "ovn.kubernetes.io/service_source"
)

// Labels of IP and Subnet objects.
const (
	LabelSubnet     = "ovn.kubernetes.io/subnet"
	LabelNodeName   = "ovn.kubernetes.io/node-name"
	LabelIPReserved = "ovn.kubernetes.io/ip_reserved"
	LabelVpc        = "ovn.kubernetes.io/vpc"
)

// LabelGateway is "true" on the Leases by which gateway nodes show that they live.
const LabelGateway = "woven/gateway"

// Finalizer guards objects whose rows and addresses the controller must release first.
const Finalizer = "kubeovn.io/kube-ovn-controller"

// DeprecatedFinalizer is replaced by [Finalizer] where it is found.
const DeprecatedFinalizer = "kube-ovn-controller"

// ProviderDomain follows the provider in the domain of an annotation of a NIC.
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

// defaultKeys spares the concatenation for the keys that every pod has.
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
}
