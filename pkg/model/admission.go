// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// AdmissionView is the state of the cluster for the admission of objects. It may lag behind: its result is advice to
// the author of an object, and the conditions and events that the object gets afterwards decide.
type AdmissionView interface {
	// Subnet returns one by name, and so do Namespace, Vpc and IPPool.
	Subnet(name string) (*Subnet, bool)
	Namespace(name string) (*Namespace, bool)
	Vpc(name string) (*Vpc, bool)
	IPPool(name string) (*IPPool, bool)
	// Subnets lists all by name, and so do Vpcs, IPPools and Nodes.
	Subnets() []*Subnet
	Vpcs() []*Vpc
	IPPools() []*IPPool
	Nodes() []*Node
	// IPs lists the records of a subnet by name.
	IPs(subnet string) []*IP
	// Holder returns the record with an address of a subnet, HolderOfMAC the record with a MAC.
	Holder(subnet string, addr netip.Addr) (*IP, bool)
	HolderOfMAC(subnet, mac string) (*IP, bool)
	// Placement returns the rules that decide which Subnets a pod may be in.
	Placement() PlacementRules
	// Infrastructure holds addresses that no Subnet may have.
	Infrastructure() Infrastructure
}

// SubnetProblems returns the conflicts of a Subnet that is created or changed: another one has its addresses, whichever
// is older, addresses of the infrastructure are inside, its gateway is a pod's address, or a pod's address is outside.
func SubnetProblems(s *Subnet, c AdmissionView) []Problem {
	p := problems{reason: ReasonSubnetInvalid}
	for _, other := range c.Subnets() {
		if mine, theirs, where, ok := shared(s, other); ok {
			p.fatal("spec.cidrBlock", "%s overlaps %s of Subnet %s in %s", mine, theirs, other.Name, where)
		}
	}
	young := *s
	if young.Created == 0 {
		young.Created = math.MaxInt64 // it does not exist yet
	}
	for _, node := range c.Nodes() {
		if problem, ok := OverlapsNode(young, *node); ok {
			p.list = append(p.list, problem)
			break // the others are likely to be in the same network
		}
	}
	infrastructure := c.Infrastructure()
	p.list = append(p.list, OverlapsServers(*s, infrastructure)...)
	for _, r := range infrastructure.Ranges {
		if problem, ok := OverlapsReserved(young, r); ok {
			p.list = append(p.list, problem)
		}
	}
	for _, gateway := range Families(s.Gateway) {
		if ip, ok := c.Holder(s.Name, gateway); ok {
			p.fatal("spec.gateway", "%s is the address of %s, IP %s", gateway, userOf(ip), ip.Name)
		}
	}
	p.left(s, c)
	if _, same := c.Vpc(s.Name); same {
		p.warn("metadata.name", "there is a Vpc of this name, too: a router and a switch with the same name are easily confused")
	}
	if _, known := c.Vpc(s.Vpc); !known && s.Vpc != "" {
		p.missing("spec.vpc", "there is no Vpc %s yet; the subnet waits for it", s.Vpc)
	}
	return p.list
}

// shared returns the addresses that two subnets of one network have in common.
func shared(a, b *Subnet) (mine, theirs netip.Prefix, where string, ok bool) {
	if a.Name == b.Name || !sameNetwork(*a, *b) {
		return mine, theirs, "", false
	}
	where = "Vpc " + a.Vpc
	if a.Vlan != "" {
		where = "vlan " + a.Vlan
	}
	for _, pair := range [][2]netip.Prefix{{a.CIDR.V4, b.CIDR.V4}, {a.CIDR.V6, b.CIDR.V6}} {
		if overlap(pair[0], pair[1]) {
			return pair[0], pair[1], where, true
		}
	}
	return mine, theirs, "", false
}

// left returns an address in use that is not in the CIDR.
func (p *problems) left(s *Subnet, c AdmissionView) {
	if before, known := c.Subnet(s.Name); known && before.CIDR == s.CIDR {
		return
	}
	for _, ip := range c.IPs(s.Name) {
		for _, addr := range Families(ip.Addrs) {
			if prefix := s.CIDR.Of(addr); !prefix.IsValid() || !prefix.Contains(addr) {
				p.fatal("spec.cidrBlock", "%s does not contain %s, the address of %s, IP %s", quote(PrefixesText(s.CIDR)), addr, userOf(ip), ip.Name)
				return
			}
		}
	}
}

// SubnetRemovalProblem reports that addresses of a Subnet are in use, so that it cannot be deleted before the objects
// that have them.
func SubnetRemovalProblem(name string, c AdmissionView) (Problem, bool) {
	p := problems{reason: ReasonSubnetInUse}
	var first *IP
	n := 0
	for _, ip := range c.IPs(name) {
		if ip.Deleting {
			continue
		}
		if n++; first == nil {
			first = ip
		}
	}
	if first == nil {
		return Problem{}, false
	}
	more := ""
	if n > 1 {
		more = fmt.Sprintf(" and %d more", n-1)
	}
	p.fatal("", "its addresses are in use: %s by %s, IP %s%s", AddrsText(first.Addrs), userOf(first), first.Name, more)
	return p.list[0], true
}

// userOf names the object that an address was recorded for.
func userOf(ip *IP) string {
	switch {
	case ip.PodName == "":
		return "no pod"
	case ip.Namespace == "":
		return "node " + ip.PodName
	default:
		return "pod " + ip.Namespace + "/" + ip.PodName
	}
}

// IPPoolProblems returns the conflicts of an IPPool that is created or changed: addresses outside of its subnet or in
// another pool, whichever is older.
func IPPoolProblems(pool *IPPool, c AdmissionView) []Problem {
	p := problems{reason: ReasonIPPoolInvalid}
	subnet, ok := c.Subnet(pool.Subnet)
	if !ok {
		p.missing("spec.subnet", "there is no Subnet %s yet; the pool waits for it", pool.Subnet)
		return p.list
	}
	young := *pool
	young.Created = math.MaxInt64
	if problem, bad := PoolProblem(&young, subnet.CIDR, nil); bad {
		p.list = append(p.list, problem)
	}
	for _, other := range c.IPPools() {
		if other.Name == pool.Name || other.Subnet != pool.Subnet {
			continue
		}
		if mine, theirs, both := overlapping(pool.Ranges, other.Ranges); both {
			p.fatal("spec.ips", "%s overlaps %s of IPPool %s", mine, theirs, other.Name)
		}
	}
	return p.list
}

// VpcProblems returns the conflicts of a Vpc.
func VpcProblems(vpc *Vpc, c AdmissionView) []Problem {
	p := problems{reason: ReasonVpcInvalid}
	if _, ok := c.Subnet(vpc.Name); ok {
		p.warn("metadata.name", "there is a Subnet of this name, too: a router and a switch with the same name are easily confused")
	}
	if vpc.DefaultSubnet != "" {
		if _, ok := c.Subnet(vpc.DefaultSubnet); !ok {
			p.missing("spec.defaultSubnet", "there is no Subnet %s yet", vpc.DefaultSubnet)
		}
	}
	return p.list
}

// NamespaceProblems returns the conflicts of a namespace, and of the Subnet that its annotations describe if that does
// not exist yet.
func NamespaceProblems(n *Namespace, c AdmissionView) []Problem {
	p := problems{reason: ReasonNamespaceInvalid}
	for _, name := range n.LogicalSwitches {
		if s, ok := c.Subnet(name); ok {
			p.placedFor(AnnotationField(annotations.LogicalSwitch), s, n, c)
			continue
		}
		if n.Request == nil {
			p.missing(AnnotationField(annotations.LogicalSwitch), "there is no Subnet %s yet; pods wait for it", name)
			continue
		}
		if problem, outside := c.Placement().RequestProblem(n, name, AnnotationField(annotations.CIDR)); outside {
			problem.Fatal = true
			p.list = append(p.list, problem)
			continue
		}
		p.list = append(p.list, n.Request.Problems...)
		if !Fatal(p.list) {
			p.requested(name, n.Request, c)
		}
	}
	return p.list
}

// requested checks the Subnet that a namespace describes.
func (p *problems) requested(name string, request *SubnetRequest, c AdmissionView) {
	s, _ := SubnetFrom(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: request.Spec})
	for _, problem := range SubnetProblems(&s, c) {
		problem.Reason = p.reason
		if key, ok := requestFields[problem.Field]; ok {
			problem.Field = AnnotationField(key)
		}
		p.list = append(p.list, problem)
	}
}

// missing adds a warning about an object that may still be created.
func (p *problems) missing(field, format string, args ...any) {
	p.warn(field, format, args...)
	p.list[len(p.list)-1].Reason = ReasonNotFound
}

// conflict is about an address that another object has.
func (p *problems) conflict(field, format string, args ...any) {
	p.fatal(field, format, args...)
	p.list[len(p.list)-1].Reason = ReasonAddressConflict
}

// subnetsFor returns the subnets from which a NIC of a pod in this namespace may get its address; ok is false if they
// are unknown.
func subnetsFor(nic *PodNIC, namespace string, c AdmissionView) (found []*Subnet, missing []string, ok bool) {
	ns, ok := c.Namespace(namespace)
	if !ok {
		return nil, nil, false
	}
	var bound []string
	for _, s := range c.Subnets() {
		if s.Provider == nic.Provider.Network() && binds(s, ns) {
			bound = append(bound, s.Name)
		}
	}
	vpcDefault := ""
	for _, vpc := range c.Vpcs() {
		if slices.Contains(vpc.Namespaces, namespace) {
			vpcDefault = vpc.DefaultSubnet
		}
	}
	for _, name := range ChooseSubnets(*nic, ns.LogicalSwitches, bound, vpcDefault, c.Placement().DefaultSubnet) {
		if s, known := c.Subnet(name); known {
			found = append(found, s)
		} else {
			missing = append(missing, name)
		}
	}
	return found, missing, true
}

// binds reports whether the spec of a subnet binds it to a namespace.
func binds(s *Subnet, ns *Namespace) bool {
	return slices.Contains(s.Namespaces, ns.Name) || slices.ContainsFunc(s.NamespaceSelectors, func(text string) bool {
		selector, err := labels.Parse(text)
		return err == nil && selector.Matches(labels.Set(ns.Labels))
	})
}
