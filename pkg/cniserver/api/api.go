// SPDX-License-Identifier: Apache-2.0

// Package api is the wire format between the CNI plugin and the cniserver of a node: JSON over HTTP on a unix socket.
// The plugin links it, so it imports only the standard library. The keys are those of Kube-OVN's daemon.
package api

// DefaultSocket is the cniserver's socket, and the plugin's default.
const DefaultSocket = "/run/openvswitch/kube-ovn-daemon.sock"

// Paths of the operations. Each is a POST with a JSON body.
const (
	// PathAdd returns 200 and an [AddResponse].
	PathAdd = "/api/v1/add"
	// PathDel returns 204.
	PathDel = "/api/v1/del"
	// PathCheck returns 204, or 500 with the difference.
	PathCheck = "/api/v1/check"
	// PathGC returns 204.
	PathGC = "/api/v1/gc"
	// PathStatus returns 204 when ADD can be served, else 503 with the reason.
	PathStatus = "/api/v1/status"
)

// MaxBody is the maximum length of a request body in bytes.
const MaxBody = 1 << 20

// Protocols of an [IP].
const (
	ProtocolIPv4 = "IPv4"
	ProtocolIPv6 = "IPv6"
)

// Route is one route inside the pod.
type Route struct {
	// Destination is a CIDR.
	Destination string `json:"dst"`
	// Gateway is an address; empty means the gateway of the NIC's subnet.
	Gateway string `json:"gw"`
}

// DNS is the dns section of a CNI network configuration, which is copied to the result.
type DNS struct {
	Nameservers []string `json:"nameservers,omitempty"`
	Domain      string   `json:"domain,omitempty"`
	Search      []string `json:"search,omitempty"`
	Options     []string `json:"options,omitempty"`
}

// Request is the body of ADD, DEL or CHECK of one NIC. DEL needs only the container and the interface.
type Request struct {
	// CNIType is the type field of the network configuration.
	CNIType      string `json:"cni_type"`
	PodName      string `json:"pod_name"`
	PodNamespace string `json:"pod_namespace"`
	// PodUID is empty when the runtime does not pass K8S_POD_UID.
	PodUID string `json:"pod_uid,omitempty"`
	// ContainerID is the id of the pod's sandbox.
	ContainerID string `json:"container_id"`
	// NetNS is the path of the sandbox's network namespace. Only DEL allows it to be empty.
	NetNS string `json:"net_ns"`
	// IfName is the interface inside the sandbox.
	IfName string `json:"if_name"`
	// Provider selects the pod's annotations; empty means "ovn".
	Provider string  `json:"provider"`
	Routes   []Route `json:"routes"`
	DNS      DNS     `json:"dns"`

	// IPs are the addresses in the runtime's prevResult; CHECK only.
	IPs []IP `json:"ips,omitempty"`

	// The fields below select SR-IOV and DPDK interfaces, which are not supported and refused.
	VfDriver                   string `json:"vf_driver"`
	DeviceID                   string `json:"deviceID"`
	VhostUserSocketVolumeName  string `json:"vhost_user_socket_volume_name"`
	VhostUserSocketName        string `json:"vhost_user_socket_name"`
	VhostUserSocketConsumption string `json:"vhost_user_socket_consumption"`
}

// IP is one address of the NIC.
type IP struct {
	// Protocol is [ProtocolIPv4] or [ProtocolIPv6].
	Protocol string `json:"protocol"`
	IP       string `json:"ip"`
	// CIDR is the subnet's prefix.
	CIDR    string `json:"cidr"`
	Gateway string `json:"gateway"`
}

// AddResponse describes the interface that ADD created.
type AddResponse struct {
	IPs        []IP   `json:"ips"`
	MACAddress string `json:"mac_address"`
	// Routes are the routes inside the pod, with default routes and without connected ones.
	Routes []Route `json:"routes"`
	// MTU is in bytes.
	MTU int `json:"mtu"`
	// PodNicName is the interface inside the pod.
	PodNicName string `json:"nicname"`
	DNS        DNS    `json:"dns"`
	// HostNicName and HostMACAddress describe the veth end on the node.
	HostNicName    string `json:"host_nicname,omitempty"`
	HostMACAddress string `json:"host_mac_address,omitempty"`
}

// ErrorResponse is the body of every response with a status of 400 or above.
type ErrorResponse struct {
	Error string `json:"error"`
}

// Attachment is one NIC that the runtime still has.
type Attachment struct {
	ContainerID string `json:"container_id"`
	IfName      string `json:"if_name"`
}

// GCRequest lists the valid NICs. GC removes all other NICs of Woven on the node.
type GCRequest struct {
	ValidAttachments []Attachment `json:"valid_attachments"`
}
