// SPDX-License-Identifier: Apache-2.0

package model

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// This file converts the types of the kinds, which differ although they mean the same, into one form.

func adminPolicyOf(spec *v1alpha1.AdminNetworkPolicySpec) adminPolicy {
	out := adminPolicy{subject: adminSubject(&spec.Subject)}
	for i := range spec.Ingress {
		in := &spec.Ingress[i]
		out.ingress = append(out.ingress, adminRuleOf(element("spec.ingress", i), in.Name, string(in.Action), in.Ports).from(in.From))
	}
	for i := range spec.Egress {
		in := &spec.Egress[i]
		rule := adminRuleOf(element("spec.egress", i), in.Name, string(in.Action), in.Ports)
		for j := range in.To {
			peer := &in.To[j]
			rule.peers = append(rule.peers, adminPeer{
				field: element(rule.field+".to", j), namespaces: peer.Namespaces, pods: adminPods(peer.Pods),
				nodes: peer.Nodes, networks: texts(peer.Networks), domains: texts(peer.DomainNames),
			})
		}
		out.egress = append(out.egress, rule)
	}
	return out
}

func baselinePolicyOf(spec *v1alpha1.BaselineAdminNetworkPolicySpec) adminPolicy {
	out := adminPolicy{subject: adminSubject(&spec.Subject)}
	for i := range spec.Ingress {
		in := &spec.Ingress[i]
		out.ingress = append(out.ingress, adminRuleOf(element("spec.ingress", i), in.Name, string(in.Action), in.Ports).from(in.From))
	}
	for i := range spec.Egress {
		in := &spec.Egress[i]
		rule := adminRuleOf(element("spec.egress", i), in.Name, string(in.Action), in.Ports)
		for j := range in.To {
			peer := &in.To[j]
			rule.peers = append(rule.peers, adminPeer{
				field: element(rule.field+".to", j), namespaces: peer.Namespaces, pods: adminPods(peer.Pods),
				nodes: peer.Nodes, networks: texts(peer.Networks),
			})
		}
		out.egress = append(out.egress, rule)
	}
	return out
}

func clusterPolicyOf(spec *v1alpha2.ClusterNetworkPolicySpec) adminPolicy {
	out := adminPolicy{subject: adminPeer{field: "spec.subject", namespaces: spec.Subject.Namespaces, pods: clusterPods(spec.Subject.Pods)}}
	for i := range spec.Ingress {
		in := &spec.Ingress[i]
		rule := clusterRuleOf(element("spec.ingress", i), in.Name, string(in.Action), in.Protocols)
		for j := range in.From {
			peer := &in.From[j]
			rule.peers = append(rule.peers, adminPeer{field: element(rule.field+".from", j), namespaces: peer.Namespaces, pods: clusterPods(peer.Pods)})
		}
		out.ingress = append(out.ingress, rule)
	}
	for i := range spec.Egress {
		in := &spec.Egress[i]
		rule := clusterRuleOf(element("spec.egress", i), in.Name, string(in.Action), in.Protocols)
		for j := range in.To {
			peer := &in.To[j]
			rule.peers = append(rule.peers, adminPeer{
				field: element(rule.field+".to", j), namespaces: peer.Namespaces, pods: clusterPods(peer.Pods),
				nodes: peer.Nodes, networks: texts(peer.Networks), domains: texts(peer.DomainNames),
			})
		}
		out.egress = append(out.egress, rule)
	}
	return out
}

func adminSubject(in *v1alpha1.AdminNetworkPolicySubject) adminPeer {
	return adminPeer{field: "spec.subject", namespaces: in.Namespaces, pods: adminPods(in.Pods)}
}

func adminPods(in *v1alpha1.NamespacedPod) *namespacedPods {
	if in == nil {
		return nil
	}
	return &namespacedPods{namespaces: &in.NamespaceSelector, pods: &in.PodSelector}
}

func clusterPods(in *v1alpha2.NamespacedPod) *namespacedPods {
	if in == nil {
		return nil
	}
	return &namespacedPods{namespaces: &in.NamespaceSelector, pods: &in.PodSelector}
}

// from sets the peers of an ingress rule.
func (r adminRule) from(peers []v1alpha1.AdminNetworkPolicyIngressPeer) adminRule {
	for i := range peers {
		r.peers = append(r.peers, adminPeer{field: element(r.field+".from", i), namespaces: peers[i].Namespaces, pods: adminPods(peers[i].Pods)})
	}
	return r
}

func adminRuleOf(field, name, action string, ports *[]v1alpha1.AdminNetworkPolicyPort) adminRule {
	rule := adminRule{field: field, name: name, action: action}
	if ports == nil {
		return rule
	}
	rule.noPorts = len(*ports) == 0
	for i := range *ports {
		rule.ports = append(rule.ports, adminPort(element(field+".ports", i), &(*ports)[i]))
	}
	return rule
}

func adminPort(field string, in *v1alpha1.AdminNetworkPolicyPort) policyPort {
	out, set := policyPort{field: field}, 0
	if in.PortNumber != nil {
		set++
		out.number(in.PortNumber.Protocol, in.PortNumber.Port, in.PortNumber.Port)
	}
	if in.PortRange != nil {
		set++
		out.number(in.PortRange.Protocol, in.PortRange.Start, in.PortRange.End)
	}
	if in.NamedPort != nil && *in.NamedPort != "" {
		set++
		out.name = *in.NamedPort
	}
	if set != 1 {
		out.cause = "exactly one of portNumber, portRange and namedPort must be set"
	}
	return out
}

func clusterRuleOf(field, name, action string, protocols []v1alpha2.ClusterNetworkPolicyProtocol) adminRule {
	rule := adminRule{field: field, name: name, action: action}
	for i := range protocols {
		rule.ports = append(rule.ports, clusterPort(element(field+".protocols", i), &protocols[i]))
	}
	return rule
}

func clusterPort(field string, in *v1alpha2.ClusterNetworkPolicyProtocol) policyPort {
	out, set := policyPort{field: field}, 0
	if in.TCP != nil {
		set++
		out.destination(corev1.ProtocolTCP, in.TCP.DestinationPort)
	}
	if in.UDP != nil {
		set++
		out.destination(corev1.ProtocolUDP, in.UDP.DestinationPort)
	}
	if in.SCTP != nil {
		set++
		out.destination(corev1.ProtocolSCTP, in.SCTP.DestinationPort)
	}
	if in.DestinationNamedPort != "" {
		set++
		out.name = in.DestinationNamedPort
	}
	if set != 1 {
		out.cause = "exactly one of tcp, udp, sctp and destinationNamedPort must be set"
	}
	return out
}

// destination reads the port of a protocol. A protocol without a known field is invalid: to match all ports would be
// more than what is written.
func (p *policyPort) destination(protocol corev1.Protocol, port *v1alpha2.Port) {
	switch {
	case port == nil:
		p.cause = "destinationPort is missing"
	case (port.Number != 0) == (port.Range != nil):
		p.cause = "exactly one of number and range must be set in destinationPort"
	case port.Range != nil:
		p.number(protocol, port.Range.Start, port.Range.End)
	default:
		p.number(protocol, port.Number, port.Number)
	}
}

// number sets a range of ports. Port 0 is invalid.
func (p *policyPort) number(protocol corev1.Protocol, first, last int32) {
	p.protocol, p.first, p.last = protocol, first, last
	if first == 0 && last == 0 {
		p.cause = "port 0 is not between 1 and 65535"
	}
}

// texts converts a list of a string type.
func texts[T ~string](list []T) []string {
	var out []string
	for _, text := range list {
		out = append(out, string(text))
	}
	return out
}
