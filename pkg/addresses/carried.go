// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// A running pod keeps its address, whatever happens to its record. The allocator learns addresses from records; this
// file handles the time without a record.

// lose releases the address of an owner whose record was deleted, unless its pod uses the address: then it stays held
// until there is a record again, or the pod is deleted.
func (r *Registry) lose(owner, user model.Ref) {
	pod := r.carrier(user)
	if held, ok := r.allocator.Get(owner); ok && r.carries(pod, held) {
		r.keepFor(pod, owner)
		return
	}
	r.free(owner)
}

// carrier is the pod that uses a record: for a record of a VM, a pod that runs the VM.
func (r *Registry) carrier(user model.Ref) model.Ref {
	if user.Kind != model.KindVirtualMachine {
		return user
	}
	for _, pod := range r.world.Pods.All() { // records of VMs are rarely lost
		if pod.VM == user.Name && pod.Namespace == user.Namespace && len(carriedBy(pod)) > 0 {
			return podRef(pod)
		}
	}
	return user
}

func podRef(pod *model.Pod) model.Ref {
	return model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name}
}

func (r *Registry) keepFor(pod, owner model.Ref) {
	if !slices.Contains(r.unrecorded[pod], owner) {
		r.unrecorded[pod] = append(r.unrecorded[pod], owner)
	}
}

// carries reports whether a pod runs with an address.
func (r *Registry) carries(ref model.Ref, held ipam.Allocation) bool {
	if ref.Kind != model.KindPod {
		return false
	}
	pod, ok := r.world.Pods.Get(world.KeyOf(ref))
	return ok && slices.Contains(carriedBy(pod), held)
}

// carriedBy returns the addresses in the annotations of a running pod.
func carriedBy(pod *model.Pod) (out []ipam.Allocation) {
	if pod.Completed || pod.HostNetwork {
		return nil
	}
	for i := range pod.NICs {
		if addrs, mac, subnet, ok := compile.Carried(&pod.NICs[i]); ok {
			out = append(out, ipam.Allocation{
				Subnet: subnet, Owner: nicRecord(pod, i), Addrs: addrs, MAC: mac,
			})
		}
	}
	return out
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

// HoldCarried is called once, when all objects are known: it holds the addresses of running pods whose records were
// lost while no controller ran. The older pod wins.
func (r *Registry) HoldCarried() {
	for _, pod := range r.withLostRecords() {
		for _, a := range carriedBy(pod) {
			if r.recorded(a.Owner) {
				continue
			}
			if r.allocator.Record(a) == nil { // else another owner has it, and the claim will report that
				r.keepFor(podRef(pod), a.Owner)
			}
		}
	}
}

// withLostRecords lists the pods with a NIC that has addresses but no record, oldest first.
func (r *Registry) withLostRecords() (lost []*model.Pod) {
	for _, pod := range r.world.Pods.All() {
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
