// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// A running pod keeps its address, whatever happens to its record. The allocator learns addresses from records; this
// file handles the time without a record: the addresses are kept. What a pod's annotations say proves nothing (ADR 16).

// lose releases the address of an owner whose record was deleted, unless its pod runs with it: then it is kept until
// there is a record again, or the pod is deleted.
func (r *Registry) lose(owner, user model.Ref) {
	pod := r.carrier(user)
	if held, ok := r.allocator.Get(owner); ok && r.runsWith(pod, owner) {
		r.keep(pod, held)
		return
	}
	r.drop(owner)
	r.free(owner)
}

// carrier is the pod that uses a record: for a record of a VM, a pod that runs the VM.
func (r *Registry) carrier(user model.Ref) model.Ref {
	if user.Kind != model.KindVirtualMachine {
		return user
	}
	for _, pod := range r.world.Pods.All() { // records of VMs are rarely lost
		if pod.VM == user.Name && pod.Namespace == user.Namespace && allocated(pod) {
			return podRef(pod)
		}
	}
	return user
}

func podRef(pod *model.Pod) model.Ref {
	return model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name}
}

// keep keeps addresses for a pod.
func (r *Registry) keep(pod model.Ref, held ipam.Allocation) {
	if !slices.Contains(r.unrecorded[pod], held.Owner) {
		r.unrecorded[pod] = append(r.unrecorded[pod], held.Owner)
	}
	r.listener.Wake(r.world.SetKept(held.Owner, &model.IP{
		Meta: model.Meta{Name: held.Owner.Name}, Subnet: held.Subnet, Addrs: held.Addrs, MAC: held.MAC,
	})...)
}

// drop ends the keeping of the addresses of an owner.
func (r *Registry) drop(owner model.Ref) { r.listener.Wake(r.world.SetKept(owner, nil)...) }

// runsWith reports whether a pod may run with the addresses of an owner that had a record: the controller has written
// its annotations.
func (r *Registry) runsWith(ref, owner model.Ref) bool {
	if ref.Kind != model.KindPod {
		return false
	}
	pod, ok := r.world.Pods.Get(world.KeyOf(ref))
	if !ok || pod.Completed || pod.HostNetwork {
		return false
	}
	for i := range pod.NICs {
		if nicRecord(pod, i) == owner {
			return len(pod.NICs[i].Written) > 0
		}
	}
	return false
}

func allocated(pod *model.Pod) bool {
	return slices.ContainsFunc(pod.NICs, func(nic model.PodNIC) bool { return len(nic.Written) > 0 })
}

// nicRecord is the IP object that records the addresses of a NIC.
func nicRecord(pod *model.Pod, nic int) model.Ref {
	return model.Ref{Kind: model.KindIP, Name: pod.PortName(pod.NICs[nic].Provider)}
}

// podChanged releases what was kept for a pod that no longer uses it. A claim in progress is checked when it completes.
func (r *Registry) podChanged(pod model.Ref) {
	owners, ok := r.unrecorded[pod]
	if !ok {
		return
	}
	delete(r.unrecorded, pod)
	for _, owner := range owners {
		if _, claiming := r.claiming[owner]; !claiming && !r.recorded(owner) {
			r.lose(owner, pod)
		}
	}
}

// Port is a port of ours in the northbound database.
type Port struct {
	PodUID string
	Subnet string
	Addrs  model.Addrs
	MAC    string
}

// KeepCarried is called once, when all objects and the northbound database are known: it keeps the addresses of running
// pods whose records were lost while no controller ran. portOf finds a port of a pod. The older pod wins.
func (r *Registry) KeepCarried(portOf func(pod model.Ref, name string) (Port, bool)) {
	for _, pod := range r.withLostRecords() {
		for i := range pod.NICs {
			record := nicRecord(pod, i)
			if r.recorded(record) {
				continue
			}
			a, ok := r.evidence(pod, i, portOf)
			if ok && r.allocator.Record(a) == nil { // else another owner has it, and the pod gets another address
				r.keep(podRef(pod), a)
			}
		}
	}
}

// evidence returns the addresses that a NIC without a record runs with, as far as there is evidence that its tenant
// cannot forge: its port, or the pod's status together with the annotations.
func (r *Registry) evidence(pod *model.Pod, nic int, portOf func(model.Ref, string) (Port, bool)) (a ipam.Allocation, ok bool) {
	record := nicRecord(pod, nic)
	if port, found := portOf(podRef(pod), record.Name); found {
		return ipam.Allocation{Subnet: port.Subnet, Owner: record, Addrs: port.Addrs, MAC: port.MAC}, port.PodUID == pod.UID
	}
	if !pod.NICs[nic].Confirmed {
		return a, false
	}
	state := pod.NICs[nic].Carried()
	subnet, there := r.world.Subnets.Get(world.Key{Name: state.Subnet})
	return ipam.Allocation{Subnet: state.Subnet, Owner: record, Addrs: state.Addrs, MAC: state.MAC},
		there && state.MAC != "" && inside(subnet.CIDR, state.Addrs)
}

func inside(cidr model.Prefixes, addrs model.Addrs) bool {
	return (!addrs.V4.IsValid() || cidr.V4.Contains(addrs.V4)) && (!addrs.V6.IsValid() || cidr.V6.Contains(addrs.V6))
}

// withLostRecords lists the pods with a NIC that is allocated and has no record, oldest first.
func (r *Registry) withLostRecords() (lost []*model.Pod) {
	for _, pod := range r.world.Pods.All() {
		if pod.Completed || pod.HostNetwork {
			continue
		}
		for i := range pod.NICs {
			if len(pod.NICs[i].Written) > 0 && !r.recorded(nicRecord(pod, i)) {
				lost = append(lost, pod)
				break
			}
		}
	}
	slices.SortFunc(lost, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), podRef(a).Compare(podRef(b)))
	})
	return lost
}
