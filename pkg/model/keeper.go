package model

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PodTypeVirtualMachine is the PodType of a record that outlives its pod for as
// long as the KubeVirt VM of that name exists.
const PodTypeVirtualMachine = "VirtualMachine"

// VirtualMachine keeps the addresses of the pods that run it.
type VirtualMachine struct{ Meta }

// VirtualMachineFrom projects a VM.
func VirtualMachineFrom(o *metav1.PartialObjectMetadata) (VirtualMachine, []Problem) {
	return VirtualMachine{Meta: metaOf(o)}, nil
}

// Keeper is what the record of a pod's address says of the workload that the
// address outlives the pod for.
func (p *Pod) Keeper() (podType, ownerUID string) {
	switch {
	case p.VM != "":
		return PodTypeVirtualMachine, "" // each start of the VM has another owner
	case p.Owner.Kind == PodTypeStatefulSet:
		return PodTypeStatefulSet, p.Owner.UID
	}
	return "", ""
}
