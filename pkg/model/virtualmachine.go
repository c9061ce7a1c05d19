// SPDX-License-Identifier: Apache-2.0

package model

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PodTypeVirtualMachine is the PodType of a record that outlives its pod for as long as the KubeVirt VM of that name
// exists.
const PodTypeVirtualMachine = "VirtualMachine"

// DefinitionVirtualMachine is the name of KubeVirt's definition of VirtualMachines.
const DefinitionVirtualMachine = "virtualmachines.kubevirt.io"

// Definition is the definition of an optional kind. While not all of its objects are known yet, nothing may be
// concluded from their absence.
type Definition struct {
	Meta
	Followed bool // all objects of the kind are known
}

// VirtualMachine retains the addresses of the pods that run it.
type VirtualMachine struct{ Meta }

// VirtualMachineFrom projects a VM.
func VirtualMachineFrom(o *metav1.PartialObjectMetadata) (VirtualMachine, []Problem) {
	return VirtualMachine{Meta: metaOf(o)}, nil
}

// AddressOwner returns the workload that retains the pod's address beyond the pod, as in the record.
func (p *Pod) AddressOwner() (podType, ownerUID string) {
	switch {
	case p.VM != "":
		return PodTypeVirtualMachine, "" // each start of the VM has another owner
	case p.Owner.Kind == PodTypeStatefulSet:
		return PodTypeStatefulSet, p.Owner.UID
	}
	return "", ""
}
