package engine

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// A running pod keeps the address that it carries, whatever becomes of the
// record. The allocator gets to know addresses from records; what follows is for
// the time in which there is none, or in which the one that is there will go.

// onItsWayOut tells whether a record of a pod is being released. A namesake of the
// pod that it was for must not be told that address: the record is there still, but not for long.
func (c *Core) onItsWayOut(of model.Ref) bool {
	if len(c.writing) == 0 || of.Kind != model.KindPod {
		return false
	}
	pod, ok := c.world.Pods.Get(world.KeyOf(of))
	if !ok {
		return false
	}
	return slices.ContainsFunc(pod.NICs, func(nic model.PodNIC) bool {
		ip := model.Ref{Kind: model.KindIP, Name: pod.PortName(nic.Provider)}
		_, busy := c.writing[writeKey{sort: compile.SortRelease, target: ip}]
		return busy
	})
}

// lose gives an address back whose record is gone, unless its pod carries it: then
// it stays taken until there is a record again, or the pod is gone.
func (c *Core) lose(ip string, of model.Ref) {
	of = c.carrier(of)
	if held, ok := c.ipam.Get(ip); ok && c.carries(of, held) {
		c.keepFor(of, ip)
		return
	}
	c.free(ip)
}

// carrier is the pod that uses a record: for that of a VM, one that runs it.
func (c *Core) carrier(of model.Ref) model.Ref {
	if of.Kind != model.KindVirtualMachine {
		return of
	}
	for _, pod := range c.world.Pods.All() { // records of VMs are seldom lost
		if pod.VM == of.Name && pod.Namespace == of.Namespace && len(carriedBy(pod)) > 0 {
			return model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name}
		}
	}
	return of
}

func (c *Core) keepFor(of model.Ref, ip string) {
	if !slices.Contains(c.unrecorded[of], ip) {
		c.unrecorded[of] = append(c.unrecorded[of], ip)
	}
}

// carries tells whether a pod runs with an address.
func (c *Core) carries(of model.Ref, held ipam.Allocation) bool {
	if of.Kind != model.KindPod {
		return false
	}
	pod, ok := c.world.Pods.Get(world.KeyOf(of))
	return ok && slices.Contains(carriedBy(pod), held)
}

// carriedBy lists what the annotations of a running pod say that it has.
func carriedBy(pod *model.Pod) (out []ipam.Allocation) {
	if pod.Completed || pod.HostNetwork {
		return nil
	}
	for i := range pod.NICs {
		if addrs, mac, subnet, ok := compile.Carried(&pod.NICs[i]); ok {
			out = append(out, ipam.Allocation{
				Subnet: subnet, Owner: pod.PortName(pod.NICs[i].Provider), Addrs: addrs, MAC: mac,
			})
		}
	}
	return out
}

// reconsider gives back what was kept for a pod that does not carry it any more.
// One that is being recorded is looked at when that has ended.
func (c *Core) reconsider(of model.Ref) {
	ips := c.unrecorded[of]
	delete(c.unrecorded, of)
	for _, ip := range ips {
		_, recorded := c.world.IPs.Get(world.Key{Name: ip})
		_, claiming := c.writing[writeKey{sort: compile.SortClaim, target: model.Ref{Kind: model.KindIP, Name: ip}}]
		if !recorded && !claiming {
			c.lose(ip, of)
		}
	}
}

// keepCarried is done once, when all objects are known: records that were lost
// while nobody looked are not there, but their addresses are taken.
func (c *Core) keepCarried() {
	var lost []*model.Pod
	for _, pod := range c.world.Pods.All() {
		for i := range pod.NICs {
			if _, recorded := c.world.IPs.Get(world.Key{Name: pod.PortName(pod.NICs[i].Provider)}); !recorded && len(pod.NICs[i].Written) > 0 {
				lost = append(lost, pod)
				break
			}
		}
	}
	slices.SortFunc(lost, func(a, b *model.Pod) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range lost {
		for _, a := range carriedBy(pod) {
			if _, recorded := c.world.IPs.Get(world.Key{Name: a.Owner}); recorded {
				continue
			}
			if c.ipam.Record(a) == nil { // else somebody else has it, and the claim will say so
				c.keepFor(model.Ref{Kind: model.KindPod, Namespace: pod.Namespace, Name: pod.Name}, a.Owner)
			}
		}
	}
}
