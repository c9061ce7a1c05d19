// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
)

// families maps the values of the annotation ip_family.

// share is the part of a pod's annotation ip_pool that the pod may use: with a StatefulSet the address of its ordinal,
// else all addresses.
func share(r *Result, pod *model.Pod, nic *model.PodNIC) (model.AddressList, bool) {
	list, ordinal := ownShare(pod, nic)
	if len(list) == 0 {
		r.problem(model.ReasonAcquireAddressFailed, model.AnnotationField(nic.Provider.Key(annotations.SuffixIPPool)),
			"pod %s/%s has the ordinal %d, but the list has only %d addresses", pod.Namespace, pod.Name, ordinal, nic.List.Len())
	}
	return list, len(list) > 0
}

func ownShare(pod *model.Pod, nic *model.PodNIC) (list model.AddressList, ordinal int) {
	if pod.Owner.Kind != model.PodTypeStatefulSet {
		return nic.List, 0
	}
	_, ordinal, ok := model.OrdinalOf(pod.Name)
	if !ok {
		return nic.List, 0
	}
	one, ok := nic.List.At(ordinal)
	if !ok {
		return nil, ordinal
	}
	return model.AddressList{{V4: model.Range{First: one.V4, Last: one.V4}, V6: model.Range{First: one.V6, Last: one.V6}}}, ordinal
}

// listed reports whether a record satisfies the annotations ip_pool and ip_family. They do not apply to a pod that
// requests an address itself.
func listed(ip *model.IP, pod *model.Pod, nic *model.PodNIC) bool {
	if nic.Family == model.IPv4 && ip.Addrs.V6.IsValid() || nic.Family == model.IPv6 && ip.Addrs.V4.IsValid() {
		return false
	}
	if len(nic.List) == 0 || nic.IPs != (model.Addrs{}) {
		return true
	}
	list, _ := ownShare(pod, nic)
	return list.Holds(ip.Addrs)
}
