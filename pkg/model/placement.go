// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// PlacementRules are the settings of the controller that decide which Subnets a pod may be in.
type PlacementRules struct {
	DefaultSubnet string
	// NodeSubnet is the name of the nodes' Subnet, which no pod is in.
	NodeSubnet string
	// Open lets pods of all namespaces name any other Subnet or IPPool, as Kube-OVN does.
	Open bool
	// NamespaceSubnets are the ranges inside which the annotations of a namespace may describe a Subnet; empty for
	// none.
	NamespaceSubnets []netip.Prefix
}

// Placement is which namespaces' pods may be in a subnet. What an administrator chose for a namespace in another way
// (a selector of the Subnet, the spec of the Vpc, the cluster's default) is always permitted.
type Placement struct {
	// Restricted subnets are private, or bound to namespaces by their spec.
	Restricted bool
	// Namespaces are those of spec.namespaces, and of the annotation allowed_namespaces, where "*" stands for all.
	Namespaces []string
}

// Placement returns which namespaces' pods may be in the subnet.
func (s *Subnet) Placement() Placement {
	if !s.Private && len(s.Namespaces)+len(s.NamespaceSelectors) == 0 {
		return Placement{}
	}
	return Placement{Restricted: true, Namespaces: slices.Concat(s.Namespaces, s.AllowedNamespaces)}
}

// Permits reports whether pods of a namespace may be in the subnet, as far as the Subnet itself says.
func (p Placement) Permits(namespace string) bool {
	return !p.Restricted || slices.Contains(p.Namespaces, "*") || slices.Contains(p.Namespaces, namespace)
}

// PlacementProblem reports that a subnet is not for the pods of a namespace.
func PlacementProblem(field, subnet, namespace string) Problem {
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf(
		"Subnet %s is private or bound to namespaces, and namespace %s is not one of them: an administrator can add it to spec.namespaces or to the annotation allowed_namespaces of the Subnet",
		subnet, namespace)}
}

// NodeSubnetProblem reports that a pod asks for an address of the nodes' subnet.
func NodeSubnetProblem(field, subnet string) Problem {
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf("Subnet %s is for nodes: pods get no address of it", subnet)}
}

// Permits reports whether pods of a namespace may have addresses of the pool, as far as the pool itself says.
func (p *IPPool) Permits(namespace string) bool {
	return len(p.Namespaces) == 0 || slices.Contains(p.Namespaces, namespace)
}

// PoolPlacementProblem reports that a pool is not for the pods of a namespace.
func PoolPlacementProblem(field string, pool *IPPool, namespace string) Problem {
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf(
		"IPPool %s is for pods of %s, and namespace %s is not one of them: an administrator can add it to spec.namespaces of the IPPool",
		pool.Name, strings.Join(pool.Namespaces, ", "), namespace)}
}

// PoolOfOthers returns the first of the pools that has one of the addresses and is not for the pods of a namespace; nil
// if there is none.
func PoolOfOthers(pools []*IPPool, addresses AddressList, namespace string) *IPPool {
	for _, pool := range pools {
		if pool.Permits(namespace) {
			continue
		}
		for _, run := range addresses {
			for _, r := range []Range{run.V4, run.V6} {
				if r.First.IsValid() && slices.ContainsFunc(pool.Ranges, r.overlaps) {
					return pool
				}
			}
		}
	}
	return nil
}

// Requested lists the addresses that a NIC requests, by the annotation ip_address or by a list.
func (nic *PodNIC) Requested() AddressList {
	if nic.IPs == (Addrs{}) {
		return nic.List
	}
	return ListOf(nic.IPs)
}

// ListOf returns the addresses as a list.
func ListOf(a Addrs) AddressList {
	return AddressList{{V4: Range{First: a.V4, Last: a.V4}, V6: Range{First: a.V6, Last: a.V6}}}
}

// RequestProblem returns why a namespace may not create the Subnet that its annotations describe.
func (p PlacementRules) RequestProblem(n *Namespace, subnet, field string) (Problem, bool) {
	outside, ok := p.outside(n.Request)
	if ok {
		return Problem{}, false
	}
	permitted := "none"
	if len(p.NamespaceSubnets) > 0 {
		permitted = prefixTexts(p.NamespaceSubnets)
	}
	return Problem{Reason: ReasonSubnetNotPermitted, Field: field, Message: fmt.Sprintf(
		"there is no Subnet %s, and namespace %s may not create one with %s: the flag --namespace-subnet-cidrs of the controller permits %s; pods of the namespace wait",
		subnet, n.Name, outside, permitted)}, true
}

// outside returns a CIDR of a request that is in none of the permitted ranges; ok is true if there is none.
func (p PlacementRules) outside(request *SubnetRequest) (text string, ok bool) {
	cidr, err := ParsePrefixes(request.Spec.CIDRBlock)
	if err != nil {
		return quote(request.Spec.CIDRBlock), len(p.NamespaceSubnets) > 0 // the problems of the request name it
	}
	for _, prefix := range PrefixFamilies(cidr) {
		if !slices.ContainsFunc(p.NamespaceSubnets, func(permitted netip.Prefix) bool {
			return permitted.Contains(prefix.Addr()) && permitted.Bits() <= prefix.Bits()
		}) {
			return prefix.String(), false
		}
	}
	return "", true
}

func prefixTexts(list []netip.Prefix) string {
	texts := make([]string, 0, len(list))
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}
