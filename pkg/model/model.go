// Package model holds what a compile function may know of the cluster: plain
// structs projected from Kubernetes objects, already parsed and validated.
//
// A projection holds what compile reads and nothing else: a change that leaves
// it equal (a status, a heartbeat, managedFields) wakes nobody. Values of this
// package are immutable once they are handed to package world.
package model

import (
	"net/netip"
	"reflect"
)

// Kind names the kind of an object, spelled as Kubernetes spells it.
type Kind string

// The kinds that the core compiles or reads.
const (
	KindVpc       Kind = "Vpc"
	KindSubnet    Kind = "Subnet"
	KindNode      Kind = "Node"
	KindNamespace Kind = "Namespace"
	KindPod       Kind = "Pod"
	KindIP        Kind = "IP"
	KindIPPool    Kind = "IPPool"
	// KindStatefulSet is read only: it keeps the addresses of its pods.
	KindStatefulSet Kind = "StatefulSet"
	// KindVirtualMachine is read only, too: KubeVirt's VM keeps the addresses of its pods.
	KindVirtualMachine Kind = "VirtualMachine"
	KindService        Kind = "Service"
	// KindEndpointSlice is read only: it holds backends of a Service.
	KindEndpointSlice Kind = "EndpointSlice"
	// KindDefinition is that of an optional kind, see [Definition].
	KindDefinition Kind = "CustomResourceDefinition"
	// KindHeartbeat is what is known of a gateway node's sign of life; its name is the node's.
	KindHeartbeat Kind = "Heartbeat"
)

// Meta is what every object carries. Created orders two objects that claim the
// same thing: the older one wins; equal times are decided by name.
type Meta struct {
	Namespace string // empty for cluster-scoped kinds
	Name      string
	UID       string
	Created   int64 // creationTimestamp, seconds since the Unix epoch
	Deleting  bool  // deletionTimestamp is set
	Finalized bool  // carries our finalizer
}

// Dual is a pair of values, one an address family; either may be its zero value.
type Dual[T any] struct {
	V4, V6 T
}

// Of is the value of the address family of addr.
func (d Dual[T]) Of(addr netip.Addr) T {
	if addr.Is4() {
		return d.V4
	}
	return d.V6
}

// Addrs is one address for each family; an invalid netip.Addr stands for none.
type Addrs = Dual[netip.Addr]

// Prefixes is one prefix for each family; an invalid netip.Prefix stands for none.
type Prefixes = Dual[netip.Prefix]

// Range is a closed range of addresses of one family.
type Range struct {
	First, Last netip.Addr
}

// GatewayType tells where traffic of a subnet leaves the cluster.
type GatewayType string

// The gateway types of a Subnet.
const (
	GatewayDistributed GatewayType = "distributed"
	GatewayCentralized GatewayType = "centralized"
)

// Vpc is a logical router.
type Vpc struct {
	Meta
	Default       bool // the Vpc that holds the node network
	DefaultSubnet string
	Namespaces    []string
}

// Subnet is a logical switch and a range of addresses.
type Subnet struct {
	Meta
	Vpc         string
	Provider    Provider
	CIDR        Prefixes // masked
	Gateway     Addrs
	Exclude     []Range // includes the gateways
	Default     bool
	GatewayType GatewayType
	NatOutgoing bool
	Gateways    Gateways
	Isolation
	// LoadBalancers is spec.enableLb: whether the pods reach Services; nil leaves it to the controller's flag.
	LoadBalancers *bool
	MTU           int // bytes; 0 for what the tunnels leave
	Vlan          string
	Namespaces    []string
	DHCP          DHCP
	// RouterAdvertisement holds what spec.ipv6RAConfigs says; nil if the router advertises nothing.
	RouterAdvertisement map[string]string
	// NamespaceSelectors are spec.namespaceSelectors as labels.Selector writes them; labels.Parse reads them.
	NamespaceSelectors []string
}

// Node is a machine with a port on the join switch.
type Node struct {
	Meta
	InternalIPs []netip.Addr
	// Addresses are all addresses in its status, those of type InternalIP and ExternalIP
	// and names that are addresses, sorted: what a policy means that names nodes as peers.
	Addresses   []netip.Addr
	Ready       bool              // condition Ready is True
	Labels      map[string]string // for the gatewayNodeSelectors of Subnets
	Annotations map[string]string // those that the controller writes, as they are now
	// Chassis is the name of the node in OVN, as its cniserver writes it; empty until then.
	Chassis string
}

// Heartbeat tells of a gateway node whether its own datapath and the processes
// on it are alive. It is known within seconds, while a Node's Ready takes most of a
// minute. A node without one is judged by Ready alone.
type Heartbeat struct {
	Meta
	Lost bool
}

// Pod is a workload with at least one NIC.
type Pod struct {
	Meta
	Node        string // empty until it is scheduled
	HostNetwork bool
	Completed   bool     // Succeeded or Failed: its addresses are free
	NICs        []PodNIC // the default NIC first
	Owner       PodOwner
	// VM names the KubeVirt VM that the pod runs; empty for other pods.
	VM string
	// NorthGateway is the next hop of what leaves the pod, in place of the subnet's gateway node.
	NorthGateway Addrs
	// Labels and Ports, the named ports of its containers, are what policies select it by; nil
	// if it has no NICs. Ports are sorted.
	Labels map[string]string
	Ports  []PolicyPort
}

// PodOwner is the workload that controls a pod.
type PodOwner struct {
	Kind string // StatefulSet, ReplicaSet, …; empty for a bare pod
	Name string
	UID  string
}

// PodNIC is what a pod asks for one of its NICs, and what is written on it so far.
type PodNIC struct {
	Provider Provider
	// What the user asks for.
	Subnet string // annotation logical_switch, unless the controller wrote it
	IPs    Addrs  // annotation ip_address, unless the controller wrote it
	MAC    string // annotation mac_address, unless the controller wrote it
	Family string // annotation ip_family: [FamilyIPv4], [FamilyIPv6] or empty for all that the subnet has
	// The annotation ip_pool is the addresses one of which the NIC is to have, or the name of an IPPool.
	List AddressList
	Pool string
	DHCP DHCP // annotations dhcp-v4-options and dhcp-v6-options
	// Invalid NICs ask for something that cannot be read: they get nothing, and keep what is recorded for them.
	Invalid bool
	// Written holds the annotations that the controller owns, as they are now.
	Written map[string]string
}

// The values of the annotation ip_family.
const (
	FamilyIPv4 = "ipv4"
	FamilyIPv6 = "ipv6"
)

// IP is the durable record of an allocation.
type IP struct {
	Meta
	Subnet    string
	Provider  Provider // of the NIC that has the address
	Addrs     Addrs
	MAC       string
	PodName   string // or name of the VM or node
	Namespace string // of the pod; empty for nodes
	NodeName  string
	PodType   string // what the address outlives its pod for: [PodTypeStatefulSet], [PodTypeVirtualMachine], or empty
	OwnerUID  string // of the workload that PodType names; empty if it is not recorded
	Reserved  bool
	Labelled  bool // has the labels that the controller gives
}

// Complete tells whether a record has all that a port needs: a MAC and, unless its
// subnet has no addresses, an address.
func (ip *IP) Complete() bool { return ip.MAC != "" && (ip.Labelled || ip.Addrs != (Addrs{})) }

// Equal reports whether two projections are the same, so that a change which
// leaves them equal wakes nobody.
func Equal[T any](a, b T) bool {
	return reflect.DeepEqual(a, b)
}

// Problem is a fact about an object that its user must know: it becomes a
// condition and an event. It names the field and the cause.
type Problem struct {
	Reason  string // CamelCase, for example ValidateLogicalSwitchFailed
	Field   string // path of the field, for example spec.cidrBlock; empty when there is none
	Message string
	Fatal   bool // the object does not compile: its rows are frozen
	// NIC has a fatal problem stop one NIC of a pod only; empty for the whole object.
	NIC Provider
}

func (p Problem) Error() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}
