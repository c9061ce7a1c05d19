package model

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PodTypeVirtualMachine is the PodType of a record that outlives its pod for as
// long as the KubeVirt VM of that name exists.
const PodTypeVirtualMachine = "VirtualMachine"

// DefinitionVirtualMachine is the name of KubeVirt's definition of VirtualMachines.
const DefinitionVirtualMachine = "virtualmachines.kubevirt.io"

// Definition is that of a kind which a cluster need not have. Where there is one
// whose objects are not all known yet, nothing may be concluded from their absence.
type Definition struct {
	Meta
	Followed bool // all objects of the kind are known
}

// VirtualMachine keeps the addresses of the pods that run it.
type VirtualMachine struct{ Meta }

// VirtualMachineFrom projects a VM.
func VirtualMachineFrom(o *metav1.PartialObjectMetadata) (VirtualMachine, []Problem) {
	return VirtualMachine{Meta: metaOf(o)}, nil
}

// AddressOwner is what the record of a pod's address says of the workload that the
// address outlives the pod for.
func (p *Pod) AddressOwner() (podType, ownerUID string) {
	switch {
	case p.VM != "":
		return PodTypeVirtualMachine, "" // each start of the VM has another owner
	case p.Owner.Kind == PodTypeStatefulSet:
		return PodTypeStatefulSet, p.Owner.UID
	}
	return "", ""
}
