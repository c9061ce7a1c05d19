// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// IPPool sets addresses of a subnet aside for pods that name the pool, in the annotation ovn.kubernetes.io/ip_pool or by their namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=ippools,singular=ippool,shortName=ippool
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Subnet",type="string",JSONPath=".spec.subnet"
// +kubebuilder:printcolumn:name="enableAddressSet",type="boolean",JSONPath=".spec.enableAddressSet"
// +kubebuilder:printcolumn:name="IPs",type="string",JSONPath=".spec.ips"
// +kubebuilder:printcolumn:name="V4Used",type="number",JSONPath=".status.v4UsingIPs"
// +kubebuilder:printcolumn:name="V4Available",type="number",JSONPath=".status.v4AvailableIPs"
// +kubebuilder:printcolumn:name="V6Used",type="number",JSONPath=".status.v6UsingIPs"
// +kubebuilder:printcolumn:name="V6Available",type="number",JSONPath=".status.v6AvailableIPs"
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The addresses that are wanted, and for whom.
	// +optional
	Spec IPPoolSpec `json:"spec"`
	// What was observed; written by the controller only.
	// +optional
	Status IPPoolStatus `json:"status"`
}

// IPPoolList is a list of IPPools.
//
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The pools.
	Items []IPPool `json:"items"`
}

// IPPoolSpec is the addresses that are wanted, and for whom.
type IPPoolSpec struct {
	// Name of the Subnet that the addresses belong to. It cannot be changed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:XValidation:rule="oldSelf.size() == 0 || self == oldSelf",message="subnet cannot be changed; make a new IPPool for another subnet"
	Subnet string `json:"subnet"`
	// Names of namespaces whose pods take their addresses from the pool. A namespace may be in one pool for each subnet.
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`
	// Addresses of the pool, each an address such as 10.16.0.10, a range such as 10.16.0.20..10.16.0.30 (both ends included) or a CIDR such as 10.16.1.0/28. Both families may be mixed. They must be inside the subnet and in no other pool.
	// +kubebuilder:validation:MaxItems=32768
	// +kubebuilder:validation:items:MaxLength=80
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self) || (self.contains('..') && isIP(self.substring(0, self.indexOf('..'))) && isIP(self.substring(self.indexOf('..') + 2)))",message="ips must hold addresses such as 10.16.0.10, ranges such as 10.16.0.20..10.16.0.30, or CIDRs such as 10.16.1.0/28"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[^:]*[.][.].*:') && !self.matches(':.*[.][.][^:]*$')",message="the ends of a range must have the same IP family"
	// +kubebuilder:validation:MinItems=1
	IPs []string `json:"ips"`
	// Keeps an OVN address set with the addresses of the pool, to be named in the match of access rules.
	// +optional
	// +kubebuilder:default=false
	EnableAddressSet bool `json:"enableAddressSet,omitempty"`
}

// IPPoolStatus is what was observed of an IPPool.
type IPPoolStatus struct {
	// State of the pool: Ready, Error. The message of a condition that is not as it should be names field and cause.
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`

	// Number of IPv4 addresses that can still be allocated.
	// +optional
	V4AvailableIPs BigInt `json:"v4AvailableIPs"`
	// IPv4 addresses that can still be allocated, as ranges such as 10.16.0.5-10.16.0.9,10.16.0.12.
	// +optional
	V4AvailableIPRange string `json:"v4AvailableIPRange"`
	// Number of IPv4 addresses in use.
	// +optional
	V4UsingIPs BigInt `json:"v4UsingIPs"`
	// IPv4 addresses in use, as ranges.
	// +optional
	V4UsingIPRange string `json:"v4UsingIPRange"`
	// Number of IPv6 addresses that can still be allocated. May exceed 2^63; the API server then keeps it as a float and may round it.
	// +optional
	V6AvailableIPs BigInt `json:"v6AvailableIPs"`
	// IPv6 addresses that can still be allocated, as ranges such as fd00::5-fd00::ffff.
	// +optional
	V6AvailableIPRange string `json:"v6AvailableIPRange"`
	// Number of IPv6 addresses in use.
	// +optional
	V6UsingIPs BigInt `json:"v6UsingIPs"`
	// IPv6 addresses in use, as ranges.
	// +optional
	V6UsingIPRange string `json:"v6UsingIPRange"`
}
