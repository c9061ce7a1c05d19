// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "kubeovn.io"

// GroupVersion is the API group and version of every kind in this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers every kind of this package, its list kind and the
// common meta kinds of the group with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := schemeBuilder.AddToScheme(scheme); err != nil {
		return fmt.Errorf("register %s: %w", GroupVersion, err)
	}
	return nil
}

// Resource qualifies a plural resource name with the group, for errors and
// dynamic clients.
func Resource(resource string) schema.GroupResource {
	return GroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&IP{}, &IPList{},
		&IPPool{}, &IPPoolList{},
		&ProviderNetwork{}, &ProviderNetworkList{},
		&Subnet{}, &SubnetList{},
		&Vlan{}, &VlanList{},
		&Vpc{}, &VpcList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
