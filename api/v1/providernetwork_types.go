// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProviderNetwork is a physical network that nodes are connected to by a network card. On each of its nodes the card becomes a port of the OVS bridge br-<name>, which is why the name has at most 12 characters.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,path=provider-networks,singular=provider-network,shortName=pn
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="DefaultInterface",type="string",JSONPath=".spec.defaultInterface"
// +kubebuilder:printcolumn:name="Ready",type="boolean",JSONPath=".status.ready"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 12",message="metadata.name must have at most 12 characters: the bridge br-<name> must fit in the 15 characters of an interface name"
type ProviderNetwork struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// The network cards and the nodes.
	// +optional
	Spec ProviderNetworkSpec `json:"spec"`
	// What was observed; written by the controller and by the nodes.
	// +optional
	Status ProviderNetworkStatus `json:"status"`
}

// ProviderNetworkList is a list of ProviderNetworks.
//
// +kubebuilder:object:root=true
type ProviderNetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// The networks.
	Items []ProviderNetwork `json:"items"`
}

// ProviderNetworkSpec names the network cards and the nodes of a physical network.
type ProviderNetworkSpec struct {
	// Network card on every node that customInterfaces does not name, for example eth1. At most 15 characters.
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/\s]+$`
	DefaultInterface string `json:"defaultInterface"`
	// Network cards of nodes where it is not defaultInterface.
	// +optional
	CustomInterfaces []CustomInterface `json:"customInterfaces,omitempty"`
	// Labels of the nodes that take part. Default: all nodes but excludeNodes.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// Names of nodes that do not take part. Ignored if nodeSelector is set.
	// +optional
	ExcludeNodes []string `json:"excludeNodes,omitempty"`
	// Swaps the names of card and bridge: the bridge takes the card's name, so that what the system configures by that name goes on to work. Default: false.
	// +optional
	ExchangeLinkName bool `json:"exchangeLinkName,omitempty"`
	// Moves VLAN interfaces that the system has made on the card (such as eth1.10) to the bridge, so that they go on to work. Default: false.
	// +optional
	PreserveVlanInterfaces bool `json:"preserveVlanInterfaces,omitempty"`
	// Names of the VLAN interfaces to move, for example eth1.10. Default with preserveVlanInterfaces: all that are found.
	// +optional
	VlanInterfaces []string `json:"vlanInterfaces,omitempty"`
	// Makes a VLAN interface "<card>.<id>" on the nodes if defaultInterface or customInterfaces names one that is missing. Default: false.
	// +optional
	AutoCreateVlanSubinterfaces bool `json:"autoCreateVlanSubinterfaces,omitempty"`
}

// CustomInterface names the network card of some nodes.
type CustomInterface struct {
	// Network card, at most 15 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:Pattern=`^[^/\s]+$`
	Interface string `json:"interface,omitempty"`
	// Names of the nodes.
	// +optional
	Nodes []string `json:"nodes,omitempty"`
}

// ProviderNetworkCondition is a condition of the network on one node.
type ProviderNetworkCondition struct {
	// Name of the node that the condition is about.
	// +optional
	Node string `json:"node,omitempty"`

	Condition `json:",inline"`
}

// ProviderNetworkStatus is what was observed of a ProviderNetwork.
type ProviderNetworkStatus struct {
	// True once the network works on every node that takes part.
	// +optional
	Ready bool `json:"ready"`
	// Names of the nodes on which the network works, sorted.
	// +optional
	ReadyNodes []string `json:"readyNodes,omitempty"`
	// Names of the nodes on which it does not; their conditions say why.
	// +optional
	NotReadyNodes []string `json:"notReadyNodes,omitempty"`
	// Names of the Vlans on this network, sorted.
	// +optional
	Vlans []string `json:"vlans,omitempty"`
	// State of the network on each node.
	// +optional
	Conditions []ProviderNetworkCondition `json:"conditions,omitempty"`
}
