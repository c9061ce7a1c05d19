// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// vm: the address records of a KubeVirt VM have its name, not that of the pods that run it. While a pod runs the VM,
// they belong to that pod. They exist as long as the VM (running or stopped) or a pod of it.
func (c Config) vm(ref model.Ref, v *world.View) (r Result) {
	records := slices.DeleteFunc(v.IPsOfPod(ref.Namespace, ref.Name), func(ip *model.IP) bool { return !ofVM(ip) })
	if len(records) == 0 {
		return r
	}
	r.Watches = true
	_, exists := v.VirtualMachine(ref.Namespace, ref.Name)
	if definition, ok := v.Definition(model.DefinitionVirtualMachine); ok && !definition.Followed {
		exists = true // unknown until the kind is synced: assume that it exists
	}
	runs := len(running(v, ref.Namespace, ref.Name)) > 0
	for _, ip := range records {
		switch {
		case runs:
		case ip.Deleting:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		case ip.Reserved:
			adopt(&r, ip, "", true)
		case !exists || c.misplaced(v, ref.Namespace, "", ip.Subnet) != nil:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		}
	}
	return r
}

func ofVM(ip *model.IP) bool { return ip.PodType == model.PodTypeVirtualMachine }

// running returns the pods of a VM that may be connected, the oldest first.
func running(v *world.View, namespace, vm string) []*model.Pod {
	pods := slices.DeleteFunc(v.PodsOfVM(namespace, vm), func(p *model.Pod) bool { return p.Completed || p.HostNetwork || p.Node == "" })
	slices.SortFunc(pods, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

// firstOfVM reports whether a pod is the one that has the address of its VM. Only during a live migration do two pods
// run one VM.
func firstOfVM(r *Result, v *world.View, pod *model.Pod) bool {
	first := running(v, pod.Namespace, pod.VM)[0]
	if first.Name == pod.Name {
		return true
	}
	r.problem(model.ReasonVMRunsElsewhere, "", "pod %s/%s waits: VirtualMachine %s has its address in pod %s, and a live migration of addresses is not supported",
		pod.Namespace, pod.Name, pod.VM, first.Name)
	return false
}
