// SPDX-License-Identifier: Apache-2.0

package world

import (
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// indexPodVpcs is the index of the Vpcs in which a namespace has pods.
const indexPodVpcs = "podvpcs"

// podVpcs counts the NICs of each namespace's pods by Vpc, so that an owner can read the Vpcs of a namespace's pods
// without reading every pod.
type podVpcs struct {
	w     *World
	count map[string]map[string]int // by namespace, then by Vpc
}

func newPodVpcs(w *World) *podVpcs {
	p := &podVpcs{w: w, count: map[string]map[string]int{}}
	w.IPs.listeners = append(w.IPs.listeners, p.ip)
	w.Subnets.listeners = append(w.Subnets.listeners, p.subnet)
	return p
}

func (p *podVpcs) ip(_ Key, old, now *model.IP) (woken []model.Ref) {
	if old != nil && now != nil && old.Namespace == now.Namespace && old.Subnet == now.Subnet {
		return nil
	}
	count := func(ip *model.IP, n int) {
		if ip == nil {
			return
		}
		if s, ok := p.w.Subnets.Get(Key{Name: ip.Subnet}); ok {
			woken = append(woken, p.add(ip, s.Vpc, n)...)
		}
	}
	count(now, 1) // first, so that a move within a Vpc wakes no owner
	count(old, -1)
	return woken
}

// subnet counts the NICs of a subnet again when its Vpc changes.
func (p *podVpcs) subnet(key Key, old, now *model.Subnet) (woken []model.Ref) {
	if old != nil && now != nil && old.Vpc == now.Vpc {
		return nil
	}
	for _, record := range p.w.IPs.bucket(indexSubnet, key) {
		ip, _ := p.w.IPs.Get(record)
		if old != nil {
			woken = append(woken, p.add(ip, old.Vpc, -1)...)
		}
		if now != nil {
			woken = append(woken, p.add(ip, now.Vpc, 1)...)
		}
	}
	return woken
}

// add wakes the readers when the first NIC is added or the last one is removed.
func (p *podVpcs) add(ip *model.IP, vpc string, n int) []model.Ref {
	if ip.Namespace == "" {
		return nil // the record of a node
	}
	in := p.count[ip.Namespace]
	if in == nil {
		in = map[string]int{}
		p.count[ip.Namespace] = in
	}
	before := in[vpc]
	if in[vpc] += n; in[vpc] == 0 {
		delete(in, vpc)
	}
	if len(in) == 0 {
		delete(p.count, ip.Namespace)
	}
	if (before > 0) == (before+n > 0) {
		return nil
	}
	return p.w.readers.of(p.w.readers.dep(model.KindIP, indexPodVpcs, Key{Name: ip.Namespace}))
}

// VpcsOfPods lists the Vpcs in which a namespace has pods, by name.
func (v *View) VpcsOfPods(namespace string) []string {
	v.reads = append(v.reads, v.w.readers.dep(model.KindIP, indexPodVpcs, Key{Name: namespace}))
	return slices.Sorted(maps.Keys(v.w.podVpcs.count[namespace]))
}
