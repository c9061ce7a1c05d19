// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// PodProblems returns the conflicts of what a new pod requests: an address outside of its subnets, the gateway's, or
// one that another object has. If a pod is refused, a controller recreates it with growing delay, while a pod that
// waits is served at once: so a conflict that may be temporary is not fatal to such a pod.
func PodProblems(pod *Pod, c AdmissionView) []Problem {
	mine := func(ip *IP) bool { return ip.Namespace == pod.Namespace && ip.PodName == pod.Name }
	list := nicProblems(pod, c, mine)
	for i := range list {
		temporary := list[i].Reason == ReasonAddressConflict || list[i].Reason == ReasonSubnetNotPermitted
		if temporary && pod.Owner.Kind != "" {
			list[i].Fatal = false
		}
	}
	return list
}

// TemplateProblems is [PodProblems] for the future pods of a workload: pod is created from its template and has its
// namespace. Addresses of its own pods, by their names, are not conflicts.
func TemplateProblems(pod *Pod, workload string, c AdmissionView) []Problem {
	return nicProblems(pod, c, func(ip *IP) bool {
		return ip.Namespace == pod.Namespace && strings.HasPrefix(ip.PodName, workload+"-")
	})
}

func nicProblems(pod *Pod, c AdmissionView, mine func(*IP) bool) []Problem {
	p := problems{reason: ReasonPodInvalid}
	for i := range pod.NICs {
		if nic := &pod.NICs[i]; len(nic.Written) == 0 && !nic.Invalid {
			p.nicConflicts(nic, pod.Namespace, c, mine)
		}
	}
	return p.list
}

func (p *problems) nicConflicts(nic *PodNIC, namespace string, c AdmissionView, mine func(*IP) bool) {
	field := func(suffix string) string { return AnnotationField(nic.Provider.Key(suffix)) }
	if nic.Pool != "" && nic.IPs == (Addrs{}) {
		p.pool(nic, namespace, field(annotations.SuffixIPPool), c)
		return
	}
	subnets, missing, ok := subnetsFor(nic, namespace, c)
	switch {
	case !ok:
		return
	case len(missing) > 0 && nic.Subnet != "":
		p.missing(field(annotations.SuffixLogicalSwitch), "there is no Subnet %s yet; the pod waits for it", strings.Join(missing, ", "))
		return
	case len(missing) > 0 || len(subnets) == 0:
		return
	}
	if nic.Subnet != "" && !p.placed(field(annotations.SuffixLogicalSwitch), subnets[0], namespace, c) {
		return
	}
	requested := field(annotations.SuffixIPAddress)
	if nic.IPs == (Addrs{}) {
		requested = field(annotations.SuffixIPPool)
	}
	p.notOfOthers(nic, namespace, requested, subnets, c)
	for _, addr := range Families(nic.IPs) {
		p.wanted(field(annotations.SuffixIPAddress), subnets, addr, c, mine)
	}
	p.inSubnets(field(annotations.SuffixIPPool), nic.List, subnets)
	if nic.MAC != "" && len(subnets) == 1 {
		p.freeMAC(field(annotations.SuffixMACAddress), subnets[0], nic.MAC, c, mine)
	}
}

// placed checks that pods of a namespace may be in a subnet that they name.
func (p *problems) placed(field string, subnet *Subnet, namespace string, c AdmissionView) bool {
	ns, ok := c.Namespace(namespace)
	return !ok || p.placedFor(field, subnet, ns, c)
}

func (p *problems) placedFor(field string, subnet *Subnet, ns *Namespace, c AdmissionView) bool {
	rules := c.Placement()
	problem := PlacementProblem(field, subnet.Name, ns.Name)
	switch {
	case subnet.Name == rules.NodeSubnet:
		problem = NodeSubnetProblem(field, subnet.Name)
	case rules.Open || subnet.Placement().Permits(ns.Name) || chosenFor(ns, subnet, c):
		return true
	}
	problem.Fatal = true
	p.list = append(p.list, problem)
	return false
}

// chosenFor reports whether an administrator chose a subnet for a namespace, in any way.
func chosenFor(ns *Namespace, subnet *Subnet, c AdmissionView) bool {
	return subnet.Name == c.Placement().DefaultSubnet || binds(subnet, ns) ||
		slices.ContainsFunc(c.Vpcs(), func(vpc *Vpc) bool {
			return vpc.DefaultSubnet == subnet.Name && slices.Contains(vpc.Namespaces, ns.Name)
		})
}

// notOfOthers checks that no address that a NIC requests is in a pool for pods of other namespaces.
func (p *problems) notOfOthers(nic *PodNIC, namespace, field string, subnets []*Subnet, c AdmissionView) {
	if c.Placement().Open {
		return
	}
	pools := slices.DeleteFunc(c.IPPools(), func(pool *IPPool) bool {
		return !slices.ContainsFunc(subnets, func(s *Subnet) bool { return s.Name == pool.Subnet })
	})
	if pool := PoolOfOthers(pools, nic.Requested(), namespace); pool != nil {
		problem := PoolPlacementProblem(field, pool, namespace)
		problem.Fatal = true
		p.list = append(p.list, problem)
	}
}

// inSubnets checks that the addresses of a list are in one of the subnets; it reports the first one that is not.
func (p *problems) inSubnets(field string, list AddressList, subnets []*Subnet) {
	for _, run := range list {
		for _, addr := range []netip.Addr{run.V4.First, run.V4.Last, run.V6.First, run.V6.Last} {
			if addr.IsValid() && subnetOf(subnets, addr) == nil {
				p.outside(field, subnets, addr)
				return
			}
		}
	}
}

func (p *problems) pool(nic *PodNIC, namespace, field string, c AdmissionView) {
	pool, ok := c.IPPool(nic.Pool)
	switch {
	case !ok:
		p.missing(field, "there is no IPPool %s yet; the pod waits for it", nic.Pool)
	case nic.Subnet != "" && nic.Subnet != pool.Subnet:
		p.fatal(field, "IPPool %s is of Subnet %s, but the annotation logical_switch names %s", pool.Name, pool.Subnet, nic.Subnet)
	case !c.Placement().Open && !pool.Permits(namespace):
		problem := PoolPlacementProblem(field, pool, namespace)
		problem.Fatal = true
		p.list = append(p.list, problem)
	default:
		if subnet, known := c.Subnet(pool.Subnet); known {
			p.placed(field, subnet, namespace, c)
		}
	}
}

// wanted checks one address that a pod requests.
func (p *problems) wanted(field string, subnets []*Subnet, addr netip.Addr, c AdmissionView, mine func(*IP) bool) {
	subnet := subnetOf(subnets, addr)
	if subnet == nil {
		p.outside(field, subnets, addr)
		return
	}
	p.free(field, subnet, addr, c, mine)
}

// free checks that an address belongs neither to the gateway nor to another object.
func (p *problems) free(field string, subnet *Subnet, addr netip.Addr, c AdmissionView, mine func(*IP) bool) {
	if slices.Contains(Families(subnet.Gateway), addr) {
		p.fatal(field, "%s is the gateway of Subnet %s", addr, subnet.Name)
		return
	}
	if ip, taken := c.Holder(subnet.Name, addr); taken && !mine(ip) && !ip.Deleting {
		p.conflict(field, "%s of Subnet %s belongs to %s, IP %s", addr, subnet.Name, userOf(ip), ip.Name)
	}
}

func (p *problems) freeMAC(field string, subnet *Subnet, mac string, c AdmissionView, mine func(*IP) bool) {
	if ip, taken := c.HolderOfMAC(subnet.Name, mac); taken && !mine(ip) && !ip.Deleting {
		p.conflict(field, "%s is the MAC of %s in Subnet %s, IP %s", mac, userOf(ip), subnet.Name, ip.Name)
	}
}

func (p *problems) outside(field string, subnets []*Subnet, addr netip.Addr) {
	var texts []string
	for _, s := range subnets {
		texts = append(texts, s.Name+" ("+PrefixesText(s.CIDR)+")")
	}
	p.fatal(field, "%s is not a host address of Subnet %s", addr, strings.Join(texts, ", "))
}

// subnetOf returns the subnet that has an address for hosts; nil if there is none.
func subnetOf(subnets []*Subnet, addr netip.Addr) *Subnet {
	for _, s := range subnets {
		if prefix := s.CIDR.Of(addr); prefix.IsValid() && HostRange(prefix).Contains(addr) {
			return s
		}
	}
	return nil
}

// IPProblems returns the conflicts of a record, or a reservation, that is created or changed.
func IPProblems(ip *IP, c AdmissionView) []Problem {
	p := problems{reason: ReasonIPInvalid}
	subnet, ok := c.Subnet(ip.Subnet)
	if !ok {
		p.missing("spec.subnet", "there is no Subnet %s yet; the address waits for it", ip.Subnet)
		return p.list
	}
	if ip.Namespace != "" && ip.Subnet == c.Placement().NodeSubnet {
		problem := NodeSubnetProblem("spec.subnet", ip.Subnet)
		problem.Fatal = true
		p.list = append(p.list, problem)
	}
	mine := func(other *IP) bool { return other.Name == ip.Name }
	for _, addr := range Families(ip.Addrs) {
		p.wanted(fieldOf(addr), []*Subnet{subnet}, addr, c, mine)
	}
	if ip.MAC != "" {
		p.freeMAC("spec.macAddress", subnet, ip.MAC, c, mine)
	}
	return p.list
}

func fieldOf(addr netip.Addr) string {
	if addr.Is4() {
		return "spec.v4IpAddress"
	}
	return "spec.v6IpAddress"
}

// IPChangeProblems returns forbidden changes of a record: its values, while a pod or a node has the address. Missing
// values may be added.
func IPChangeProblems(before, after *IP) []Problem {
	p := problems{reason: ReasonIPInvalid}
	if before.NodeName == "" {
		return nil // no pod has taken it yet
	}
	for _, f := range []struct{ field, before, after string }{
		{"spec.subnet", before.Subnet, after.Subnet},
		{"spec.v4IpAddress", addrText(before.Addrs.V4), addrText(after.Addrs.V4)},
		{"spec.v6IpAddress", addrText(before.Addrs.V6), addrText(after.Addrs.V6)},
		{"spec.macAddress", before.MAC, after.MAC},
		{"spec.podName", before.PodName, after.PodName},
		{"spec.namespace", before.Namespace, after.Namespace},
	} {
		if f.before != "" && f.before != f.after {
			p.fatal(f.field, "it cannot be changed from %s to %s while %s has the address", f.before, quote(f.after), userOf(before))
		}
	}
	return p.list
}
