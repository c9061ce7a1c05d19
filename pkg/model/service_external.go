// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// External describes the other addresses of a Service than its ClusterIPs. Node ports are in the ports.
type External struct {
	// IPs are spec.externalIPs, sorted.
	IPs []netip.Addr
	// Ingress are the load balancer addresses that packets arrive with (status.loadBalancer.ingress; not those of
	// ipMode Proxy, KEP-1860), sorted.
	Ingress []netip.Addr
	// Local selects only backends of the node where a packet arrived, which see its source (externalTrafficPolicy
	// Local).
	Local bool
	// Sources are the clients that may connect to Ingress (spec.loadBalancerSourceRanges); an IP family without any is
	// open to all.
	Sources []netip.Prefix
	// HealthPort is the port that reports to load balancers whether a node has a backend (spec.healthCheckNodePort); 0
	// for none.
	HealthPort uint16
}

// Guarded reports whether the clients of the Ingress addresses of an IP family are restricted.
func (e *External) Guarded(is4 bool) bool {
	return slices.ContainsFunc(e.Sources, func(p netip.Prefix) bool { return p.Addr().Is4() == is4 })
}

// Any reports whether the Service has other addresses than its ClusterIPs.
func (s *Service) Any() bool {
	return len(s.External.IPs)+len(s.External.Ingress) > 0 || slices.ContainsFunc(s.Ports, func(p ServicePort) bool { return p.NodePort != 0 })
}

func portNumber(n int32) uint16 {
	if n < 1 || n > 65535 {
		return 0
	}
	return uint16(n)
}

// externalOf reads the fields that only some types of Services have; the API server enforces that others do not have
// them.
func externalOf(p *problems, o *corev1.Service) (e External) {
	for _, text := range o.Spec.ExternalIPs {
		if addr, err := parseAPIAddr(text); err != nil {
			p.warn("spec.externalIPs", "it is ignored: %s", err)
		} else {
			e.IPs = append(e.IPs, addr)
		}
	}
	e.IPs = sortedAddrs(e.IPs)
	local := o.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	switch o.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		e.Ingress = ingressAddresses(p, o.Status.LoadBalancer.Ingress)
		e.Sources = sourceRanges(p, o.Spec.LoadBalancerSourceRanges)
		e.Local = local
		if local {
			e.HealthPort = portNumber(o.Spec.HealthCheckNodePort)
		}
	case corev1.ServiceTypeNodePort:
		e.Local = local
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName, "":
		e.Local = local && len(e.IPs) > 0
	}
	return e
}

func ingressAddresses(p *problems, list []corev1.LoadBalancerIngress) (out []netip.Addr) {
	for i := range list {
		if list[i].IP == "" || list[i].IPMode != nil && *list[i].IPMode != corev1.LoadBalancerIPModeVIP {
			continue // a name, or the load balancer sends to NodePorts itself
		}
		if addr, err := parseAPIAddr(list[i].IP); err != nil {
			p.warn("status.loadBalancer.ingress", "it is ignored: %s", err)
		} else {
			out = append(out, addr)
		}
	}
	return sortedAddrs(out)
}

// nobody contains prefixes that match no client.
var nobody = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 32), netip.PrefixFrom(netip.IPv6Unspecified(), 128)}

// sourceRanges: an invalid range matches no client, so that a typo does not open the Service to all.
func sourceRanges(p *problems, texts []string) (out []netip.Prefix) {
	for _, text := range texts {
		prefix, err := parseAPIPrefix(text)
		if err != nil {
			p.warn("spec.loadBalancerSourceRanges", "it allows no source: %s", err)
			out = append(out, nobody...)
			continue
		}
		out = append(out, prefix)
	}
	for _, all := range out {
		if all.Bits() == 0 {
			out = slices.DeleteFunc(slices.Clone(out), func(p netip.Prefix) bool { return p.Addr().Is4() == all.Addr().Is4() })
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
