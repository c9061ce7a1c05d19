// SPDX-License-Identifier: Apache-2.0

package model

import (
	"slices"

	v1 "github.com/wovensdn/woven/api/v1"
)

// DefaultVpc is the name of the Vpc that contains the node network and every subnet and namespace that names no other.
const DefaultVpc = "ovn-cluster"

// Vpc is a logical router.
type Vpc struct {
	Meta
	Default       bool // the Vpc that contains the node network
	DefaultSubnet string
	Namespaces    []string
}

// VpcFrom projects a Vpc.
func VpcFrom(o *v1.Vpc) (Vpc, []Problem) {
	p := problems{reason: ReasonVpcInvalid}
	p.unsupported(KindVpc, o, &o.Spec)
	return Vpc{
		Meta:          metaOf(o),
		Default:       o.Name == DefaultVpc,
		DefaultSubnet: o.Spec.DefaultSubnet,
		Namespaces:    slices.Clone(o.Spec.Namespaces),
	}, p.list
}
