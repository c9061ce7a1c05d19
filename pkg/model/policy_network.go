// SPDX-License-Identifier: Apache-2.0

package model

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NetworkPolicy projects a NetworkPolicy with at most as many elements as the limit allows.
func (l Limits) NetworkPolicy(o *networkingv1.NetworkPolicy) (Policy, []Problem) {
	p, problems := NetworkPolicyFrom(o)
	return p, append(problems, p.limit(l.PolicyElements)...)
}

// NetworkPolicyFrom projects a NetworkPolicy. A peer or a port that cannot be read matches nothing: what the policy
// isolates stays isolated.
func NetworkPolicyFrom(o *networkingv1.NetworkPolicy) (Policy, []Problem) {
	r := policyReader{problems: problems{reason: ReasonPolicyInvalid}}
	p := Policy{Meta: metaOf(o), Kind: KindNetworkPolicy, Tier: TierDefault}
	pods, err := selectorText(&o.Spec.PodSelector)
	if err != nil {
		r.fatal("spec.podSelector", "it is not a label selector: %s", err)
	}
	p.Subject = Group{Namespace: o.Namespace, Pods: pods}
	p.Ingress.Isolated, p.Egress.Isolated = r.policyTypes(&o.Spec)
	if p.Ingress.Isolated {
		for i := range o.Spec.Ingress {
			rule, field := &o.Spec.Ingress[i], element("spec.ingress", i)
			p.Ingress.Rules = append(p.Ingress.Rules, r.allowed(o.Namespace, field, ".from", rule.From, rule.Ports))
		}
	}
	if p.Egress.Isolated {
		for i := range o.Spec.Egress {
			rule, field := &o.Spec.Egress[i], element("spec.egress", i)
			p.Egress.Rules = append(p.Egress.Rules, r.allowed(o.Namespace, field, ".to", rule.To, rule.Ports))
		}
	}
	r.networkPolicyAnnotations(&p, o.Annotations)
	return p, r.list
}

// policyTypes returns those of the spec. The default is ingress, and egress if there are rules for it.
func (r *policyReader) policyTypes(spec *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	for _, t := range spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			ingress = true
		case networkingv1.PolicyTypeEgress:
			egress = true
		default:
			r.warn("spec.policyTypes", "%s is neither Ingress nor Egress", quote(string(t)))
		}
	}
	return ingress, egress
}

// allowed reads one rule of a NetworkPolicy. No peers means all peers, no ports means all ports; but if there are some
// and all are invalid, the rule matches nothing.
func (r *policyReader) allowed(namespace, field, side string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) PolicyRule {
	out := PolicyRule{Action: PolicyAllow, Everyone: len(peers) == 0}
	for i := range peers {
		r.peer(&out, namespace, element(field+side, i), &peers[i])
	}
	for i := range ports {
		if port, ok := r.port(networkPort(element(field+".ports", i), &ports[i])); ok {
			out.Ports = append(out.Ports, port)
		}
	}
	if len(ports) > 0 && len(out.Ports) == 0 {
		out.nothing()
	}
	out.normal()
	return out
}

// peer adds a peer to a rule.
func (r *policyReader) peer(out *PolicyRule, namespace, field string, in *networkingv1.NetworkPolicyPeer) {
	var group Group
	var ok bool
	switch {
	case in.IPBlock != nil && (in.PodSelector != nil || in.NamespaceSelector != nil):
		r.refuse(field, "an ipBlock stands alone, without selectors")
	case in.IPBlock != nil:
		if block, ok := r.block(field+".ipBlock", in.IPBlock.CIDR, in.IPBlock.Except); ok {
			out.Blocks = append(out.Blocks, block)
		}
	case in.PodSelector != nil && in.NamespaceSelector != nil:
		group, ok = r.pods(field, in.NamespaceSelector, in.PodSelector)
	case in.PodSelector != nil:
		group.Namespace = namespace
		group.Pods, ok = r.selector(field+".podSelector", in.PodSelector)
	case in.NamespaceSelector != nil:
		group.Namespaces, ok = r.selector(field+".namespaceSelector", in.NamespaceSelector)
	default:
		r.refuse(field, "it says no peer that is known here")
	}
	if ok {
		out.Groups = append(out.Groups, group)
	}
}

func networkPort(field string, in *networkingv1.NetworkPolicyPort) policyPort {
	port := policyPort{field: field}
	if in.Protocol != nil {
		port.protocol = *in.Protocol
	}
	switch {
	case in.Port == nil:
	case in.Port.Type == intstr.String:
		if port.name = in.Port.StrVal; port.name == "" {
			port.cause = "the name of a port is empty"
		}
	default:
		if port.first, port.last = in.Port.IntVal, in.Port.IntVal; port.first == 0 {
			port.cause = "port 0 is not between 1 and 65535"
		}
	}
	if in.EndPort != nil {
		if port.last = *in.EndPort; port.first == 0 {
			port.cause = "endPort needs a port with a number, where the range begins"
		}
	}
	return port
}
