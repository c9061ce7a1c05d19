// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ServiceName is what the name of a Service resolves to (Kubernetes DNS-Based Service Discovery,
// https://github.com/kubernetes/dns/blob/master/docs/specification.md): addresses of its own, even if another proxy
// serves them, or those of its endpoints. The zero value is a name that resolves to nothing here (type ExternalName).
type ServiceName struct {
	Addrs    Addrs
	Headless bool
}

func serviceName(o *corev1.Service) ServiceName {
	switch {
	case o.Spec.Type == corev1.ServiceTypeExternalName:
		return ServiceName{}
	case o.Spec.ClusterIP == corev1.ClusterIPNone:
		return ServiceName{Headless: true}
	}
	return ServiceName{Addrs: clusterIPs(new(problems), o)} // ServiceFrom reports the problems
}

// NamedEndpoint is an endpoint with a host name, below the name of its Service.
type NamedEndpoint struct {
	Hostname string
	Addr     netip.Addr
}

// name adds a ready endpoint to the named ones.
func (s *EndpointSlice) name(e *discoveryv1.Endpoint, addr netip.Addr) {
	if e.Hostname != nil && *e.Hostname != "" {
		s.Named = append(s.Named, NamedEndpoint{Hostname: strings.ToLower(*e.Hostname), Addr: addr})
	}
}

func sortedNamed(list []NamedEndpoint) []NamedEndpoint {
	slices.SortFunc(list, func(a, b NamedEndpoint) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), a.Addr.Compare(b.Addr))
	})
	return slices.Compact(list)
}
