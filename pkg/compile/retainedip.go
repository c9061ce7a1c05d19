// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// gone releases the records of a pod that no longer exists, has completed or has moved to the host's network, after its
// ports are deleted. It keeps records that a user reserved, and those of a pod that its StatefulSet will recreate.
func (c Config) gone(r *Result, v *world.View, records []*model.IP, onHost bool) {
	for _, ip := range records {
		switch {
		case ofVM(ip): // see [Config.vm]
		case ip.Deleting:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		case ip.Reserved:
			adopt(r, ip, "", true)
		case !onHost && c.keeps(v, ip):
			r.Watches = true
		default:
			r.want(Release{IP: ip.Name, UID: ip.UID})
		}
	}
}

// keeps reports whether a StatefulSet will recreate the pod of a record, and in the same subnet, which must be for its
// namespace.
func (c Config) keeps(v *world.View, ip *model.IP) bool {
	if ip.PodType != model.PodTypeStatefulSet {
		return false
	}
	name, ordinal, ok := model.OrdinalOf(ip.PodName)
	if !ok {
		return false
	}
	set, ok := v.StatefulSet(ip.Namespace, name)
	if c.misplaced(v, ip.Namespace, "", ip.Subnet) != nil {
		return false
	}
	if !ok || set.Deleting || !set.Makes(ordinal) || ip.OwnerUID != "" && ip.OwnerUID != set.UID {
		return false
	}
	nic := model.PodNIC{Provider: ip.Provider}
	if ip.Provider == model.DefaultProvider {
		nic.Subnet, nic.Pool = set.Subnet, set.Pool
	}
	candidates, _, ok := c.candidates(v, ip.Namespace, &nic)
	return !ok || fromAny(candidates, ip)
}

// inherits reports whether a pod without an address may use the one that its StatefulSet or VM retained for it: the
// owner is the same, and so are the subnet and the pool.
func (c Config) inherits(v *world.View, pod *model.Pod, nic *model.PodNIC, ip *model.IP) bool {
	kept := !ip.Reserved && (ofVM(ip) || ip.PodType == model.PodTypeStatefulSet)
	if len(nic.Written) > 0 || !kept && nic.Pool == "" {
		return true
	}
	if kept && ip.OwnerUID != "" && ip.OwnerUID != pod.Owner.UID {
		return false
	}
	candidates, _, ok := c.candidates(v, pod.Namespace, nic)
	return !ok || fromAny(candidates, ip)
}

// updateRecord updates the node and the owner in the record of a pod.
func updateRecord(r *Result, pod *model.Pod, ip *model.IP) {
	podType, ownerUID := pod.AddressOwner()
	if podType == "" && ip.PodType != model.PodTypeStatefulSet && !ofVM(ip) {
		podType, ownerUID = ip.PodType, ip.OwnerUID
	}
	if ip.NodeName != pod.Node || ip.PodType != podType || ip.OwnerUID != ownerUID {
		r.want(UpdateIPRecord{IP: ip.Name, UID: ip.UID, NodeName: pod.Node, PodType: podType, OwnerUID: ownerUID})
	}
}
