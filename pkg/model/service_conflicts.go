// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressView answers who has an address, for the conflicts of a Service.
type AddressView interface {
	Infrastructure() Infrastructure
	// NodeAt returns the name of a Node with an address.
	NodeAt(a netip.Addr) (name string, ok bool)
	// SubnetAt returns the name of a connected Subnet of the Service's Vpc that contains an address.
	SubnetAt(a netip.Addr) (name string, ok bool)
	// ClusterIPAt returns the Service with a ClusterIP.
	ClusterIPAt(a netip.Addr) (*Service, bool)
}

// Fields of a Service that claim addresses and ports.
const (
	fieldExternalIPs = "spec.externalIPs"
	fieldIngress     = "status.loadBalancer.ingress"
	fieldNodePort    = "spec.ports.nodePort"
	fieldHealthPort  = "spec.healthCheckNodePort"
)

// WithoutConflicts returns a Service without the external addresses and ports of nodes that belong to something else
// than a Service's external address, with a problem for each. The controller and the nodes program what is left. For
// external addresses of other Services see [Service.HasFrontend].
func WithoutConflicts(s *Service, c AddressView) (*Service, []Problem) {
	p := problems{reason: ReasonAddressConflict}
	out := *s
	out.External.IPs = p.withoutHeld(s, fieldExternalIPs, s.External.IPs, c)
	out.External.Ingress = p.withoutHeld(s, fieldIngress, s.External.Ingress, c)
	out.Ports = slices.Clone(s.Ports)
	external := len(out.External.Addresses()) > 0
	for i := range out.Ports {
		port := &out.Ports[i]
		if external && IsTunnel(port.Protocol, port.Port) {
			p.warn("spec.ports.port", "nodes do not forward %d/%s at external addresses: they use it for Geneve", port.Port, port.Protocol)
		}
		if holder := nodePortHolder(port.Protocol, port.NodePort); holder != "" {
			p.warn(fieldNodePort, "%d/%s is not forwarded: nodes use it for %s", port.NodePort, port.Protocol, holder)
			port.NodePort = 0
		}
	}
	if holder := nodePortHolder(TCP, s.External.HealthPort); holder != "" {
		p.warn(fieldHealthPort, "%d is not served: nodes use it for %s", s.External.HealthPort, holder)
		out.External.HealthPort = 0
	}
	return &out, p.list
}

// withoutHeld returns those of a Service's external addresses that no other object holds.
func (p *problems) withoutHeld(s *Service, field string, addresses []netip.Addr, c AddressView) (free []netip.Addr) {
	for _, a := range addresses {
		holder := holderOf(a, c)
		if holder == "" {
			free = append(free, a)
		} else if !reachedAnyway(a, s, c) {
			p.warn(field, "%s is not programmed: it is %s", a, holder)
		}
	}
	return free
}

// reachedAnyway reports whether a Service is reached at an address that it does not hold as an external one: at its own
// ClusterIP, or at a Node where all ports are its NodePorts.
func reachedAnyway(a netip.Addr, s *Service, c AddressView) bool {
	if slices.Contains(Families(s.ClusterIPs), a) {
		return true
	}
	_, node := c.NodeAt(a)
	return node && !slices.ContainsFunc(s.Ports, func(port ServicePort) bool { return port.Port != port.NodePort })
}

// holderOf describes what has an address that a Service claims; empty if it is free.
func holderOf(a netip.Addr, c AddressView) string {
	infrastructure := c.Infrastructure()
	if server := infrastructure.server(a); server != "" {
		return server
	}
	if special(a) {
		return "a loopback, link-local, multicast or unspecified address"
	}
	if node, ok := c.NodeAt(a); ok {
		return "an address of Node " + node
	}
	if other, ok := c.ClusterIPAt(a); ok {
		return fmt.Sprintf("the ClusterIP of Service %s/%s", other.Namespace, other.Name)
	}
	for _, r := range infrastructure.Ranges {
		if r.Prefix.Contains(a) {
			return fmt.Sprintf("in %s, %s", r.Prefix, r.Holder)
		}
	}
	if subnet, ok := c.SubnetAt(a); ok {
		return "in Subnet " + subnet
	}
	return ""
}

// special reports whether an address has a meaning of its own on each host or link.
func special(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// GenevePort is the UDP port of tunnels between nodes (RFC 8926).
const GenevePort = 6081

// nodePorts are ports at which nodes serve what the cluster depends on.
var nodePorts = map[Protocol]map[uint16]string{
	TCP: {
		2379: "etcd", 2380: "etcd", 6443: "the API server", 10250: "the kubelet",
		6641: "OVN's northbound database", 6642: "OVN's southbound database",
		6643: "OVN's northbound database", 6644: "OVN's southbound database",
	},
	UDP: {GenevePort: "Geneve"},
}

// nodePortHolder describes what nodes use a port for; empty if it is free. It matters only if kube-apiserver's
// --service-node-port-range contains the port.
func nodePortHolder(protocol Protocol, port uint16) string { return nodePorts[protocol][port] }

// IsTunnel reports whether nodes use a port for tunnels between them. The addresses of tunnels are not known, so nodes
// forward this port at no external address.
func IsTunnel(protocol Protocol, port uint16) bool { return protocol == UDP && port == GenevePort }

// HasFrontend reports whether a Service claims an external address and port in a Vpc. The oldest Service that does has
// it, see [Older]; others may have the same address with other ports.
func (s *Service) HasFrontend(vpc string, at netip.AddrPort, protocol Protocol) bool {
	same := s.Vpc == vpc || s.Vpc == "" && vpc == DefaultVpc
	return same && s.ClusterIPs.In(FamilyOf(at.Addr())).IsValid() &&
		(slices.Contains(s.External.IPs, at.Addr()) || slices.Contains(s.External.Ingress, at.Addr())) &&
		slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.Protocol == protocol && p.Port == at.Port() })
}

// FrontendConflict is the problem of a Service that does not have an external address and port because an older one
// does.
func FrontendConflict(s *Service, at netip.AddrPort, protocol Protocol, holder *Service) Problem {
	p := problems{reason: ReasonAddressConflict}
	field := fieldExternalIPs
	if !slices.Contains(s.External.IPs, at.Addr()) {
		field = fieldIngress
	}
	p.warn(field, "%s/%s is not programmed: the older Service %s/%s has it", at, protocol, holder.Namespace, holder.Name)
	return p.list[0]
}

// Addresses returns the external addresses, each once.
func (e *External) Addresses() []netip.Addr { return sortedAddrs(slices.Concat(e.IPs, e.Ingress)) }

// Addresses returns all addresses of a Service, each once.
func (s *Service) Addresses() []netip.Addr {
	return sortedAddrs(slices.Concat(Families(s.ClusterIPs), s.External.IPs, s.External.Ingress))
}
