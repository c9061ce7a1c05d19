// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/wovensdn/woven/api/annotations"
)

// Protocol of a port of a Service, spelled as ovn-nb(5) spells it.
type Protocol string

// The protocols that Kubernetes knows for Services.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	SCTP Protocol = "sctp"
)

var protocols = map[corev1.Protocol]Protocol{"": TCP, corev1.ProtocolTCP: TCP, corev1.ProtocolUDP: UDP, corev1.ProtocolSCTP: SCTP}

// Service is a virtual address and its ports. A Service that has none (headless, of type ExternalName), or that another
// proxy serves, has no ClusterIPs here.
type Service struct {
	Meta
	ClusterIPs Addrs
	Ports      []ServicePort
	// Affinity makes connections of a client use the same backend (sessionAffinity ClientIP).
	Affinity bool
	// AffinityTimeout is how long affinity lasts without a new connection; 0 without affinity.
	AffinityTimeout time.Duration
	External        External
	// InternalLocal routes connections to the ClusterIPs only to backends of the client's node.
	InternalLocal bool
	DNS           ServiceName
	// Router and Switch are the Vpc and the Subnet that a user chose for the backends; empty without a choice.
	Router, Switch string
	// Vpc is the Vpc that the controller determined last: the annotation on the Service.
	Vpc string
}

// OnNodes reports whether nodes, and traffic from outside through them, reach the Service. They reach the Services of
// the default Vpc; until the controller has determined the Vpc, that one is assumed.
func (s *Service) OnNodes() bool { return s.Vpc == "" || s.Vpc == DefaultVpc }

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string // empty if the Service has one port only
	Protocol Protocol
	Port     uint16
	// NodePort is the port of each node that is forwarded here; 0 for none, as in slices.
	NodePort uint16
}

// EndpointSlice contains some of a Service's backends.
type EndpointSlice struct {
	Meta
	Service string        // in the same namespace; empty for none
	Ports   []ServicePort // sorted by name and protocol
	// Ready are the addresses that get new connections, sorted, of one IP family.
	Ready []netip.Addr
	// Draining are terminating endpoints that still serve: they get new connections when no endpoint of the Service is
	// ready (KEP-1669).
	Draining []netip.Addr
	// Nodes maps addresses to their nodes, if the slice contains them.
	Nodes map[netip.Addr]string
	// Pods maps addresses to their pods, in the slice's namespace, if the slice contains them; also addresses that are
	// not ready.
	Pods map[netip.Addr]string
	// Named are those of Ready that have a host name, sorted.
	Named []NamedEndpoint
}

// LabelProxyName is the label with the proxy that serves a Service instead of the cluster's own (KEP-2447).
const LabelProxyName = "service.kubernetes.io/service-proxy-name"

// labelHeadless makes proxies ignore a Service or an EndpointSlice, as kube-proxy does.
const labelHeadless = corev1.IsHeadlessService

// ServiceFrom projects a Service.
func ServiceFrom(o *corev1.Service) (Service, []Problem) {
	p := problems{reason: ReasonServiceInvalid}
	s := Service{Meta: metaOf(o), DNS: serviceName(o)}
	_, other := o.Labels[LabelProxyName]
	_, headless := o.Labels[labelHeadless]
	p.unsupported(KindService, o, nil)
	if other || headless || o.Spec.Type == corev1.ServiceTypeExternalName {
		return s, p.list
	}
	s.ClusterIPs = clusterIPs(&p, o)
	if s.ClusterIPs == (Addrs{}) {
		return s, p.list
	}
	s.Router, s.Switch, s.Vpc = o.Annotations[annotations.LogicalRouter], o.Annotations[annotations.LogicalSwitch], o.Annotations[annotations.Vpc]
	for _, port := range o.Spec.Ports {
		protocol, known := protocols[port.Protocol]
		if !known || port.Port < 1 || port.Port > 65535 {
			p.warn("spec.ports", "port %d/%s is ignored: it is not a TCP, UDP or SCTP port", port.Port, port.Protocol)
			continue
		}
		s.Ports = append(s.Ports, ServicePort{Name: port.Name, Protocol: protocol, Port: uint16(port.Port), NodePort: portNumber(port.NodePort)})
	}
	s.Affinity = o.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
	if s.Affinity {
		s.AffinityTimeout = affinityTimeout(o.Spec.SessionAffinityConfig)
	}
	s.External = externalOf(&p, o)
	s.InternalLocal = o.Spec.InternalTrafficPolicy != nil && *o.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
	return s, p.list
}

func clusterIPs(p *problems, o *corev1.Service) (out Addrs) {
	texts := o.Spec.ClusterIPs
	if len(texts) == 0 && o.Spec.ClusterIP != "" {
		texts = []string{o.Spec.ClusterIP}
	}
	for _, text := range texts {
		if text == corev1.ClusterIPNone || text == "" {
			continue
		}
		addr, err := parseAPIAddr(text)
		switch {
		case err != nil:
			p.warn("spec.clusterIPs", "it is ignored: %s", err)
		case addr.Is4():
			out.V4 = addr
		default:
			out.V6 = addr
		}
	}
	return out
}

// EndpointSliceFrom projects an EndpointSlice. As with kube-proxy, the first address of an endpoint counts, an unknown
// condition counts as true, and readiness is taken from the slice, which includes publishNotReadyAddresses.
func EndpointSliceFrom(o *discoveryv1.EndpointSlice) (EndpointSlice, []Problem) {
	p := problems{reason: ReasonEndpointSliceInvalid}
	s := EndpointSlice{Meta: metaOf(o), Service: o.Labels[discoveryv1.LabelServiceName]}
	if o.AddressType == discoveryv1.AddressTypeFQDN {
		s.Service = ""
		return s, nil
	}
	_, headless := o.Labels[labelHeadless]
	for _, port := range o.Ports {
		if headless {
			break // its addresses are DNS records, not backends
		}
		if port.Port == nil || *port.Port < 1 || *port.Port > 65535 {
			continue // all ports, which no Service can refer to
		}
		ep := ServicePort{Protocol: TCP, Port: uint16(*port.Port)}
		if port.Name != nil {
			ep.Name = *port.Name
		}
		if port.Protocol != nil {
			ep.Protocol = protocols[*port.Protocol]
		}
		if ep.Protocol != "" {
			s.Ports = append(s.Ports, ep)
		}
	}
	slices.SortFunc(s.Ports, compareServicePorts)
	for i := range o.Endpoints {
		s.endpoint(&p, &o.Endpoints[i])
	}
	s.Ready, s.Draining = sortedAddrs(s.Ready), sortedAddrs(s.Draining)
	s.Named = sortedNamed(s.Named)
	return s, p.list
}

func (s *EndpointSlice) endpoint(p *problems, e *discoveryv1.Endpoint) {
	if len(e.Addresses) == 0 {
		return
	}
	addr, err := parseAPIAddr(e.Addresses[0])
	if err != nil {
		p.warn("endpoints", "an endpoint is ignored: %s", err)
		return
	}
	if pod := e.TargetRef; pod != nil && pod.Kind == "Pod" && pod.Namespace == s.Namespace {
		put(&s.Pods, addr, pod.Name)
	}
	ready := e.Conditions.Ready == nil || *e.Conditions.Ready
	serving := e.Conditions.Serving == nil || *e.Conditions.Serving
	switch {
	case ready:
		s.Ready = append(s.Ready, addr)
		s.name(e, addr)
	case serving && e.Conditions.Terminating != nil && *e.Conditions.Terminating:
		s.Draining = append(s.Draining, addr)
	default:
		return
	}
	if e.NodeName != nil {
		put(&s.Nodes, addr, *e.NodeName)
	}
}

func put(in *map[netip.Addr]string, addr netip.Addr, name string) {
	if *in == nil {
		*in = map[netip.Addr]string{}
	}
	(*in)[addr] = name
}

func compareServicePorts(a, b ServicePort) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}

func sortedAddrs(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
