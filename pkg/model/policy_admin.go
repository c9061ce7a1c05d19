// SPDX-License-Identifier: Apache-2.0

package model

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

const (
	lastAdminPriority = 1000      // of ANPs and CNPs
	baselineName      = "default" // of the only BaselineAdminNetworkPolicy
)

// adminPolicy is the common part of the three kinds of administrators' policies.
type adminPolicy struct {
	subject         adminPeer
	ingress, egress []adminRule
}

// adminRule is one rule; field is its path in the object.
type adminRule struct {
	field, name, action string
	peers               []adminPeer
	ports               []policyPort
	noPorts             bool // a list of ports without any
}

// adminPeer has exactly one of its fields set, besides the path.
type adminPeer struct {
	field      string
	namespaces *metav1.LabelSelector
	pods       *namespacedPods
	nodes      *metav1.LabelSelector
	networks   []string
	domains    []string
}

type namespacedPods struct{ namespaces, pods *metav1.LabelSelector }

// AdminNetworkPolicyFrom projects an AdminNetworkPolicy (network-policy-api, v1alpha1).
func AdminNetworkPolicyFrom(o *v1alpha1.AdminNetworkPolicy) (Policy, []Problem) {
	r := policyReader{problems: problems{reason: ReasonPolicyInvalid}, whole: true}
	p := Policy{Meta: metaOf(o), Kind: KindAdminNetworkPolicy, Tier: TierAdmin, Priority: r.priority(o.Spec.Priority)}
	r.admin(&p, adminPolicyOf(&o.Spec), o.Annotations)
	return p, r.list
}

// BaselineAdminNetworkPolicyFrom projects a BaselineAdminNetworkPolicy (network-policy-api, v1alpha1).
func BaselineAdminNetworkPolicyFrom(o *v1alpha1.BaselineAdminNetworkPolicy) (Policy, []Problem) {
	r := policyReader{problems: problems{reason: ReasonPolicyInvalid}, whole: true}
	p := Policy{Meta: metaOf(o), Kind: KindBaselineAdminNetworkPolicy, Tier: TierBaseline, Priority: LowestPolicyPriority}
	if o.Name != baselineName {
		r.fatal("metadata.name", "the only BaselineAdminNetworkPolicy of a cluster is called %s", baselineName)
	}
	in := baselinePolicyOf(&o.Spec)
	for _, rule := range append(in.ingress, in.egress...) {
		if rule.action == string(v1alpha1.AdminNetworkPolicyRuleActionPass) {
			r.fatal(rule.field+".action", "there is no later tier to pass to")
		}
	}
	r.admin(&p, in, o.Annotations)
	return p, r.list
}

// ClusterNetworkPolicyFrom projects a ClusterNetworkPolicy (network-policy-api, v1alpha2).
func ClusterNetworkPolicyFrom(o *v1alpha2.ClusterNetworkPolicy) (Policy, []Problem) {
	r := policyReader{problems: problems{reason: ReasonPolicyInvalid}, whole: true}
	p := Policy{Meta: metaOf(o), Kind: KindClusterNetworkPolicy, Priority: r.priority(o.Spec.Priority)}
	switch o.Spec.Tier {
	case v1alpha2.AdminTier:
		p.Tier = TierAdmin
	case v1alpha2.BaselineTier:
		p.Tier = TierBaseline
	default:
		r.fatal("spec.tier", "%s is neither Admin nor Baseline", quote(string(o.Spec.Tier)))
	}
	r.admin(&p, clusterPolicyOf(&o.Spec), o.Annotations)
	return p, r.list
}

func (r *policyReader) priority(n int32) int {
	if n < 0 || n > lastAdminPriority {
		r.fatal("spec.priority", "%d is not between 0 and %d", n, lastAdminPriority)
	}
	return int(n)
}

func (r *policyReader) admin(p *Policy, in adminPolicy, all map[string]string) {
	subject, known := r.adminPeer(in.subject)
	if !known {
		r.fatal(in.subject.field, "it has no known subject")
	}
	if len(subject.Groups) == 1 {
		p.Subject = subject.Groups[0]
	}
	for _, rule := range in.ingress {
		p.Ingress.Rules = append(p.Ingress.Rules, r.adminRule(rule))
	}
	for _, rule := range in.egress {
		p.Egress.Rules = append(p.Egress.Rules, r.adminRule(rule))
	}
	r.levels("spec.ingress", &p.Ingress)
	r.levels("spec.egress", &p.Egress)
	p.Log = r.policyLog(all)
}

func (r *policyReader) levels(field string, side *PolicySide) {
	levels := side.Levels()
	if len(levels) > 0 && levels[len(levels)-1] >= PolicyLevels {
		r.fatal(field, "the actions of its rules alternate %d times, at most %d times are supported: group rules of the same action", levels[len(levels)-1], PolicyLevels-1)
	}
}

// adminActions contains both spellings of the action that allows.
var adminActions = map[string]PolicyAction{
	string(v1alpha1.AdminNetworkPolicyRuleActionAllow):    PolicyAllow,
	string(v1alpha2.ClusterNetworkPolicyRuleActionAccept): PolicyAllow,
	string(v1alpha1.AdminNetworkPolicyRuleActionDeny):     PolicyDeny,
	string(v1alpha1.AdminNetworkPolicyRuleActionPass):     PolicyPass,
}

func (r *policyReader) adminRule(in adminRule) PolicyRule {
	action, known := adminActions[in.action]
	if !known {
		r.fatal(in.field+".action", "%s is not known", quote(in.action))
	}
	out, closed := PolicyRule{Name: in.name, Action: action}, false
	if len(in.peers) == 0 {
		r.fatal(in.field, "it has no peers")
	}
	if in.noPorts {
		r.fatal(in.field+".ports", "the list is empty")
	}
	for _, peer := range in.peers {
		matched, known := r.adminPeer(peer)
		switch {
		case !known:
			closed = true
			r.warn(peer.field, "it has no known peer; the rule %s", closing(action))
		case len(peer.domains) > 0 && action != PolicyAllow:
			r.fatal(peer.field+".domainNames", "only rules with the action Allow may have domain names")
		case len(peer.domains) > 0:
			r.warn(peer.field+".domainNames", "domain names are not supported; this peer matches nothing")
		}
		out.Groups = append(out.Groups, matched.Groups...)
		out.Blocks = append(out.Blocks, matched.Blocks...)
		out.Nodes = append(out.Nodes, matched.Nodes...)
	}
	for _, port := range in.ports {
		if port, ok := r.port(port); ok {
			out.Ports = append(out.Ports, named(port)...)
		}
	}
	if closed {
		out.close()
	}
	out.normal()
	return out
}

// close turns a rule with a peer of an unknown kind into what the API demands ("fail closed"): an Allow matches
// nothing, any other action denies everything.
func (r *PolicyRule) close() {
	allows := r.Action == PolicyAllow
	r.nothing()
	if !allows {
		r.Action, r.Everyone = PolicyDeny, true
	}
}

func closing(action PolicyAction) string {
	if action == PolicyAllow {
		return "matches nothing"
	}
	return "denies everything"
}

// adminPeer adds the matches of one peer. A peer without a known field is unknown.
func (r *policyReader) adminPeer(in adminPeer) (out PolicyRule, known bool) {
	set := 0
	for _, is := range []bool{in.namespaces != nil, in.pods != nil, in.nodes != nil, len(in.networks) > 0, len(in.domains) > 0} {
		if is {
			set++
		}
	}
	if set > 1 {
		r.fatal(in.field, "it has %d kinds of peers, at most one is allowed", set)
	}
	if in.namespaces != nil {
		if text, ok := r.selector(in.field+".namespaces", in.namespaces); ok {
			out.Groups = append(out.Groups, Group{Namespaces: text})
		}
	}
	if in.pods != nil {
		if group, ok := r.pods(in.field+".pods", in.pods.namespaces, in.pods.pods); ok {
			out.Groups = append(out.Groups, group)
		}
	}
	if in.nodes != nil {
		if text, ok := r.selector(in.field+".nodes", in.nodes); ok {
			out.Nodes = append(out.Nodes, text)
		}
	}
	for i, cidr := range in.networks {
		if block, ok := r.block(element(in.field+".networks", i), cidr, nil); ok {
			out.Blocks = append(out.Blocks, block)
		}
	}
	return out, set > 0
}

// named expands a name without a protocol to a port of any protocol.
func named(port PolicyPort) []PolicyPort {
	if port.Name == "" {
		return []PolicyPort{port}
	}
	return []PolicyPort{{Protocol: TCP, Name: port.Name}, {Protocol: UDP, Name: port.Name}, {Protocol: SCTP, Name: port.Name}}
}
