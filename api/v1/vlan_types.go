// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Vlan is a VLAN of a physical network (a ProviderNetwork) that underlay subnets can be on.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=vlans,singular=vlan,shortName=vlan
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="ID",type="string",JSONPath=".spec.id"
// +kubebuilder:printcolumn:name="Provider",type="string",JSONPath=".spec.provider"
// +kubebuilder:printcolumn:name="conflict",type="boolean",JSONPath=".status.conflict"
type Vlan struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The VLAN that is wanted.
	// +optional
	Spec VlanSpec `json:"spec"`
	// What was observed; written by the controller only.
	// +optional
	Status VlanStatus `json:"status"`
}

// VlanList is a list of Vlans.
//
// +kubebuilder:object:root=true
type VlanList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The VLANs.
	Items []Vlan `json:"items"`
}

// VlanSpec is the VLAN that is wanted.
type VlanSpec struct {
	// VLAN ID of the packets on the wire, from 1 to 4095 (IEEE 802.1Q); 0, the default, sends them untagged. Two Vlans of one provider must not share an ID other than 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	ID int `json:"id"`
	// Name of the ProviderNetwork that carries the VLAN.
	Provider string `json:"provider"`
	// Deprecated, use id. Taken as the VLAN ID if id is 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4095
	VlanID int `json:"vlanId,omitempty"`
	// Deprecated, use provider.
	// +optional
	ProviderInterfaceName string `json:"providerInterfaceName,omitempty"`
}

// VlanStatus is what was observed of a Vlan.
type VlanStatus struct {
	// State of the VLAN. The message of a condition that is not as it should be names field and cause.
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
	// Names of the subnets on this VLAN, sorted.
	// +optional
	Subnets []string `json:"subnets,omitempty"`
	// True if another Vlan of the same provider has the same ID, other than 0.
	// +optional
	Conflict bool `json:"conflict"`
}
