package compile

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// vm: the records of a KubeVirt VM bear its name, and not those of the pods that run
// it. While a pod runs it they are that pod's; they stay as long as there is a pod or
// the VM, stopped or not.
func (c Config) vm(ref model.Ref, v *world.View) (r Result) {
	records := slices.DeleteFunc(v.IPsOfPod(ref.Namespace, ref.Name), func(ip *model.IP) bool { return !ofVM(ip) })
	if len(records) == 0 {
		return r
	}
	r.Watches = true
	_, exists := v.VirtualMachine(ref.Namespace, ref.Name)
	if definition, ok := v.Definition(model.DefinitionVirtualMachine); ok && !definition.Followed {
		exists = true // or not: it will be known soon
	}
	runs := len(running(v, ref.Namespace, ref.Name)) > 0
	for _, ip := range records {
		switch {
		case runs:
		case ip.Deleting:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		case ip.Reserved:
			adopt(&r, ip, "", true)
		case !exists:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		}
	}
	return r
}

func ofVM(ip *model.IP) bool { return ip.PodType == model.PodTypeVirtualMachine }

// running lists the pods that may be connected as a VM, the oldest first.
func running(v *world.View, namespace, vm string) []*model.Pod {
	pods := slices.DeleteFunc(v.PodsOfVM(namespace, vm), func(p *model.Pod) bool { return p.Completed || p.HostNetwork || p.Node == "" })
	slices.SortFunc(pods, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

// firstOfVM tells whether a pod is the one that has the address of its VM. Two pods
// run one VM only while it moves from the one to the other.
func firstOfVM(r *Result, v *world.View, pod *model.Pod) bool {
	first := running(v, pod.Namespace, pod.VM)[0]
	if first.Name == pod.Name {
		return true
	}
	r.problem(model.ReasonVMRunsElsewhere, "", "pod %s/%s waits: VirtualMachine %s has its address in pod %s, and a live migration of addresses is not supported",
		pod.Namespace, pod.Name, pod.VM, first.Name)
	return false
}
