// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IP records that an address is taken, and by whom: one object for each interface of a pod, for each node, and for addresses that subnets need themselves. The name is "<pod>.<namespace>" for the first interface, "<pod>.<namespace>.<provider>" for others, and "node-<node>" for a node. Creating an object in advance reserves the address for a pod of that name; deleting one releases the address.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ips,singular=ip,shortName=ip
// +kubebuilder:printcolumn:name="V4IP",type="string",JSONPath=".spec.v4IpAddress"
// +kubebuilder:printcolumn:name="V6IP",type="string",JSONPath=".spec.v6IpAddress"
// +kubebuilder:printcolumn:name="Mac",type="string",JSONPath=".spec.macAddress"
// +kubebuilder:printcolumn:name="Node",type="string",JSONPath=".spec.nodeName"
// +kubebuilder:printcolumn:name="Subnet",type="string",JSONPath=".spec.subnet"
type IP struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The address and its owner.
	// +optional
	Spec IPSpec `json:"spec"`
}

// IPList is a list of IPs.
//
// +kubebuilder:object:root=true
type IPList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The addresses.
	Items []IP `json:"items"`
}

// IPSpec is an address and its owner.
type IPSpec struct {
	// Name of the pod; of the virtual machine, if the pod runs one; of the node, for the address of a node.
	// +optional
	PodName string `json:"podName"`
	// Namespace of the pod; empty for a node.
	// +optional
	Namespace string `json:"namespace"`
	// Name of the Subnet that the address is taken from.
	// +optional
	Subnet string `json:"subnet"`
	// Not used any more; kept so that older objects still apply.
	// +optional
	AttachSubnets []string `json:"attachSubnets,omitempty"`
	// Name of the node the pod runs on.
	// +optional
	NodeName string `json:"nodeName"`
	// All addresses: one, or an IPv4 and an IPv6 one separated by a comma.
	// +optional
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.split(',', 2).all(a, isIP(a))",message="ipAddress must be an address such as 10.16.0.5, or an IPv4 and an IPv6 address separated by a comma"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[A-F]')",message="ipAddress must be written in lower case"
	IPAddress string `json:"ipAddress"`
	// The IPv4 address; empty if there is none.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || (isIP(self) && ip(self).family() == 4)",message="v4IpAddress must be an IPv4 address such as 10.16.0.5"
	V4IPAddress string `json:"v4IpAddress"`
	// The IPv6 address in lower case; empty if there is none.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || (isIP(self) && ip(self).family() == 6)",message="v6IpAddress must be an IPv6 address such as fd00::5"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[A-F]')",message="v6IpAddress must be written in lower case"
	V6IPAddress string `json:"v6IpAddress"`
	// Not used any more; kept so that older objects still apply.
	// +optional
	AttachIPs []string `json:"attachIps,omitempty"`
	// The MAC address, such as 00:00:00:6f:a1:02; empty in an object made in advance, if any will do.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.size() == 0 || self.matches('^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$')",message="macAddress must be six bytes in hexadecimal separated by colons, such as 00:00:00:6f:a1:02"
	MacAddress string `json:"macAddress"`
	// Not used any more; kept so that older objects still apply.
	// +optional
	AttachMacs []string `json:"attachMacs,omitempty"`
	// Not used any more; kept so that older objects still apply.
	// +optional
	ContainerID string `json:"containerID"`
	// What owns the pod, if the address must outlive it: StatefulSet or VirtualMachine; empty otherwise.
	// +optional
	PodType string `json:"podType"`
}
