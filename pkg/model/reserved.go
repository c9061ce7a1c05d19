// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// Addresses have one owner. Who may have an address is decided in this order:
//
//  1. infrastructure: API servers, addresses of Nodes, reserved ranges, then Subnets
//  2. ClusterIPs
//  3. of two objects of the same rank the older one, see [Older]
//
// A Subnet that is older than a Node or a ServiceCIDR keeps working with a problem, because running pods have its
// addresses.

// Infrastructure holds addresses that no Subnet and no external address of a Service may have.
type Infrastructure struct {
	Ranges []ReservedRange
	// APIServers are the addresses at which the API server is reached.
	APIServers []netip.Addr
	// Databases are the addresses of OVN's databases.
	Databases []netip.Addr
}

// ReservedRange is a range of addresses of the infrastructure, in every Vpc.
type ReservedRange struct {
	Prefix netip.Prefix
	// Holder describes what has the range, for messages.
	Holder string
	// Subnet is the name of the Subnet that has the range; empty for others.
	Subnet string
	// Created is the creation time of the holder in seconds since the Unix epoch. Zero is older than any object.
	Created int64
}

// Equal reports whether the same addresses are held by the same holders.
func (i Infrastructure) Equal(other Infrastructure) bool {
	return slices.Equal(i.Ranges, other.Ranges) && slices.Equal(i.APIServers, other.APIServers) && slices.Equal(i.Databases, other.Databases)
}

// server describes the server of the cluster that has an address; empty if none has.
func (i Infrastructure) server(a netip.Addr) string {
	switch {
	case slices.Contains(i.APIServers, a):
		return "an address of the API server"
	case slices.Contains(i.Databases, a):
		return "an address of OVN's databases"
	}
	return ""
}

// InfrastructureConfig is the part of the infrastructure that is configured.
type InfrastructureConfig struct {
	// NodeSubnet is the name of the Subnet of the nodes' ports; empty while it is not known.
	NodeSubnet string
	// APIServers are the addresses at which this process reaches the API server.
	APIServers []netip.Addr
	// Databases are the addresses of OVN's databases.
	Databases []netip.Addr
	// ServiceRange contains the ClusterIPs of a cluster without ServiceCIDRs.
	ServiceRange Prefixes
	// HostSource contains the source addresses of hosts for Services.
	HostSource Prefixes
}

// With adds what objects of the cluster hold: the ServiceCIDRs, the addresses of the Subnet of the nodes, and the
// endpoints of the Service kubernetes.
func (c InfrastructureConfig) With(services []*ServiceCIDR, nodes Prefixes, endpoints []*EndpointSlice) Infrastructure {
	var nodeRanges []ReservedRange
	if c.NodeSubnet != "" {
		nodeRanges = reserve(nodes, "Subnet "+c.NodeSubnet+" of the nodes")
	}
	for i := range nodeRanges {
		nodeRanges[i].Subnet = c.NodeSubnet
	}
	return Infrastructure{
		Ranges: slices.Concat(
			clusterIPRanges(services, c.ServiceRange),
			reserve(c.HostSource, "the range of the hosts' source addresses for Services (--node-service-cidr)"),
			nodeRanges,
		),
		APIServers: APIServersOf(c.APIServers, endpoints),
		Databases:  c.Databases,
	}
}

// DatabaseAddresses returns the addresses in lists of OVSDB connections, such as "ssl:192.0.2.1:6642,ssl:[::1]:6642"
// (ovsdb(7)). Host names and unix sockets are skipped.
func DatabaseAddresses(lists ...string) (out []netip.Addr) {
	for _, text := range strings.Split(strings.Join(lists, ","), ",") {
		_, address, _ := strings.Cut(strings.TrimSpace(text), ":")
		if at, err := netip.ParseAddrPort(address); err == nil {
			out = append(out, at.Addr().Unmap())
		}
	}
	return sortedAddrs(out)
}

// ServiceCIDR contains ranges from which the API server allocates ClusterIPs (KEP-1880).
type ServiceCIDR struct {
	Meta
	CIDRs []netip.Prefix // in network form
}

// ServiceCIDRFrom projects a ServiceCIDR. The API server validates it. One that is being deleted still counts: it goes
// when no Service uses it.
func ServiceCIDRFrom(o *networkingv1.ServiceCIDR) (ServiceCIDR, []Problem) {
	s := ServiceCIDR{Meta: metaOf(o)}
	for _, text := range o.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			s.CIDRs = append(s.CIDRs, p.Masked())
		}
	}
	return s, nil
}

// clusterIPRanges returns the ranges of ClusterIPs: those of the ServiceCIDRs or, in a cluster that does not serve this
// kind, the range that a flag gives.
func clusterIPRanges(list []*ServiceCIDR, flag Prefixes) (out []ReservedRange) {
	for _, s := range list {
		for _, p := range s.CIDRs {
			out = append(out, ReservedRange{Prefix: p, Holder: "ServiceCIDR " + s.Name, Created: s.Created})
		}
	}
	if len(out) > 0 {
		return out
	}
	return reserve(flag, "the range of ClusterIPs (--service-cluster-ip-range)")
}

func reserve(p Prefixes, holder string) (out []ReservedRange) {
	for _, prefix := range PrefixFamilies(p) {
		out = append(out, ReservedRange{Prefix: prefix.Masked(), Holder: holder})
	}
	return out
}

// The namespace and name of the Service whose endpoints are the API servers.
const (
	APIServerNamespace = "default"
	APIServerService   = "kubernetes"
)

// APIServersOf adds the endpoints of the Service kubernetes to addresses of the API server.
func APIServersOf(configured []netip.Addr, endpoints []*EndpointSlice) []netip.Addr {
	out := slices.Clone(configured)
	for _, e := range endpoints {
		out = slices.Concat(out, e.Ready, e.Draining)
	}
	return sortedAddrs(out)
}

// OverlapsReserved reports whether the CIDR of an overlay subnet overlaps a reserved range. Policies, routes and load
// balancers trust these addresses in every Vpc.
func OverlapsReserved(s Subnet, r ReservedRange) (Problem, bool) {
	mine := s.CIDR.Of(r.Prefix.Addr())
	if s.Name == r.Subnet || !s.Provider.OVN() || !overlap(mine, r.Prefix) {
		return Problem{}, false
	}
	p := problems{reason: ReasonSubnetInvalid}
	if r.Created <= s.Created {
		p.fatal(FieldCIDRBlock, "%s of Subnet %s overlaps %s, %s", mine, s.Name, r.Prefix, r.Holder)
	} else {
		p.warn(FieldCIDRBlock, "%s of Subnet %s overlaps %s, %s, which was added later: pods of the Subnet may be taken for it", mine, s.Name, r.Prefix, r.Holder)
	}
	return p.list[0], true
}
