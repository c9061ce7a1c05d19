// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"strings"
)

// The kinds of policies.
const (
	KindNetworkPolicy              Kind = "NetworkPolicy"
	KindAdminNetworkPolicy         Kind = "AdminNetworkPolicy"
	KindBaselineAdminNetworkPolicy Kind = "BaselineAdminNetworkPolicy"
	KindClusterNetworkPolicy       Kind = "ClusterNetworkPolicy"
)

// PolicyKinds lists the kinds that are projected to a [Policy].
func PolicyKinds() []Kind {
	return []Kind{KindNetworkPolicy, KindAdminNetworkPolicy, KindBaselineAdminNetworkPolicy, KindClusterNetworkPolicy}
}

// PolicyTier orders policies: later tiers are not evaluated for what an earlier one decides.
type PolicyTier uint8

// The tiers, first to last.
const (
	TierAdmin    PolicyTier = iota // AdminNetworkPolicy, ClusterNetworkPolicy of tier Admin
	TierDefault                    // NetworkPolicy, and the rules of Subnets
	TierBaseline                   // BaselineAdminNetworkPolicy, ClusterNetworkPolicy of tier Baseline
)

// PolicyAction is the decision of a rule about the connections that it matches.
type PolicyAction string

// The actions. A Pass leaves the decision to the next tier.
const (
	PolicyAllow PolicyAction = "Allow"
	PolicyDeny  PolicyAction = "Deny"
	PolicyPass  PolicyAction = "Pass"
)

// LowestPolicyPriority is that of a BaselineAdminNetworkPolicy, which comes after all ClusterNetworkPolicies of its
// tier (these have 0, the first, to 1000).
const LowestPolicyPriority = 1001

// PolicyLevels limits how many runs of rules with one action a side of an administrator's policy may have: so many OVN
// priorities are between two policies.
const PolicyLevels = 32

// Levels returns for each rule the number of its run of rules with one action, from 0.
func (s *PolicySide) Levels() []int {
	levels := make([]int, len(s.Rules))
	for i := 1; i < len(s.Rules); i++ {
		levels[i] = levels[i-1]
		if s.Rules[i].Action != s.Rules[i-1].Action {
			levels[i]++
		}
	}
	return levels
}

// Policy is a policy of any of the four kinds: which connections of some pods are allowed.
type Policy struct {
	Meta
	Kind     Kind
	Tier     PolicyTier
	Priority int // within its tier, 0 first; unused in [TierDefault]
	// Subject selects the pods that the policy applies to.
	Subject Group
	// Providers limits a policy to the NICs of these providers; nil for all NICs of a pod (annotation
	// ovn.kubernetes.io/network_policy_for).
	Providers []Provider
	// Ingress and Egress are the rules for connections to and from the subject.
	Ingress, Egress PolicySide
	// Lax makes a default deny drop only TCP, UDP and SCTP (annotation ovn.kubernetes.io/network_policy_enforcement).
	Lax bool
	Log PolicyLog
}

// Ref names the object that a policy was projected from.
func (p *Policy) Ref() Ref { return Ref{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name} }

// PolicyLog selects the decisions that OVN logs.
type PolicyLog struct {
	Allow, Deny, Pass bool
	Rate              int // lines per second, 0 for the default
}

// PolicySide is one direction of a policy.
type PolicySide struct {
	// Isolated denies everything that no policy allows: a NetworkPolicy of this policyType.
	Isolated bool
	// Rules are evaluated in this order. Those of a NetworkPolicy all allow, and have no order.
	Rules []PolicyRule
}

// PolicyRule is one rule. It matches connections from (or to) one of the peers and to one of the ports.
type PolicyRule struct {
	Name   string // may be empty
	Action PolicyAction
	// Everyone means that peers do not matter. Without it, a rule without peers matches nothing.
	Everyone bool
	Groups   []Group
	Blocks   []IPBlock
	// Nodes are selectors of nodes, as labels.Selector writes them: egress to all addresses of these nodes.
	Nodes []string
	// Ports that match; nil for all, also of protocols without ports.
	Ports []PolicyPort
}

// IPBlock is a range of addresses without some others.
type IPBlock struct {
	CIDR   netip.Prefix   // masked
	Except []netip.Prefix // masked, inside of CIDR, sorted
}

// PolicyPort is a port, a range of ports, all ports of a protocol (First is 0) or a name.
type PolicyPort struct {
	Protocol    Protocol
	First, Last uint16 // both ends included
	// Name is the name of a container port of the destination pod. Different pods may use different numbers for it.
	Name string
}

// Group selects pods by their labels and by their namespaces'. Equal groups have equal texts.
type Group struct {
	// Namespace is the name of the pods' namespace; if it is empty, Namespaces selects them.
	Namespace string
	// Namespaces selects namespaces, Pods selects pods: normal forms, as labels.Selector writes them. Empty for all.
	Namespaces, Pods string
}

// Key identifies the group.
func (g Group) Key() string { return strings.Join([]string{g.Namespace, g.Namespaces, g.Pods}, "\x00") }
