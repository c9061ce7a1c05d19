// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// Priorities of the ACLs of policies. What a NetworkPolicy denies has Kube-OVN's priority; see ADR 19 for the others.
const (
	priorityAlways   = 32767 // nodes reach their own pods, and pods themselves: before all tiers
	priorityFirst    = 32766 // the first rule of a policy of priority 0 that has a priority
	priorityAllowed  = 2003  // selectors, blocks without exceptions, everyone
	priorityExcepted = 2002  // the exceptions of blocks
	priorityBlocks   = 2001  // blocks with exceptions, including these
	priorityDenied   = 2000
)

// policy: a policy is a set of ACLs on the port group of its subject. It declares the port groups that it uses; the
// pods declare the members (ADR 11).
func (c Config) policy(ref model.Ref, v *world.View) (r Result) {
	p, ok := v.Policy(ref)
	if !ok {
		return r
	}
	for _, s := range p.Selections() {
		for _, number := range meanings(v, s) {
			r.Row(nb.PortGroupTable, portGroup(s, number), &nb.PortGroup{
				Name: portGroup(s, number), ExternalIDs: map[string]string{"group": describe(s, number)},
			})
		}
	}
	b := policyBuilder{Config: c, v: v, p: p, ruleBuilder: ruleBuilder{
		r: &r, owner: ref, ownerKey: "policy", group: portGroup(p.SubjectSelection(), 0), tier: p.Tier, log: p.Log,
	}}
	b.side(&p.Ingress, nb.ACLDirectionToLport)
	b.side(&p.Egress, nb.ACLDirectionFromLport)
	return r
}

// meanings lists the port numbers that a selection's named port resolves to; 0 for a selection without a named port.
func meanings(v *world.View, s model.Selection) []uint16 {
	if s.Port.Name == "" {
		return []uint16{0}
	}
	return v.Numbers(s)
}

// portGroup is the name of a selection's port group: a hash, which is valid in a match ([a-zA-Z_.][a-zA-Z_.0-9]*,
// ovn-nb(5), Port_Group:name). external_ids:group describes the selection.
func portGroup(s model.Selection, number uint16) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", s.Key(), number))
	return "woven." + hex.EncodeToString(sum[:16])
}

func describe(s model.Selection, number uint16) string {
	words := []string{}
	add := func(what, of string) {
		if of != "" {
			words = append(words, what+"="+of)
		}
	}
	add("namespace", s.Namespace)
	add("namespaces", s.Namespaces)
	add("pods", s.Pods)
	add("providers", s.Providers)
	if number != 0 {
		add("port", fmt.Sprintf("%s/%s/%d", s.Port.Name, s.Port.Protocol, number))
	}
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}

// joinGroups adds a port to the port groups of the policies that select its pod.
func joinGroups(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, port fact.Ref) {
	for _, s := range v.Selections(pod.Namespace, pod.Name) {
		number := pod.NumberOf(s.Port)
		if !s.HasProvider(nic.Provider) || s.Port.Name != "" && number == 0 {
			continue
		}
		r.Member(fact.RefTo(nb.PortGroupTable, portGroup(s, number)), "ports", port.UUID)
	}
}

// policyBuilder creates the ACLs of one policy.
type policyBuilder struct {
	Config
	ruleBuilder
	v        *world.View
	p        *model.Policy
	nodes    *nodeAddresses           // nil until it is read
	excepted map[string]*netipx.IPSet // by direction; those that are read
	elements int                      // of the rules so far, see model.Limits
}

// side creates the ACLs of one direction.
func (b *policyBuilder) side(side *model.PolicySide, direction string) {
	if !side.Isolated && len(side.Rules) == 0 {
		return
	}
	levels := side.Levels()
	for i := range side.Rules {
		rule, priority := &side.Rules[i], priorityAllowed
		if b.p.Tier != model.TierDefault {
			priority = priorityFirst - model.PolicyLevels*b.p.Priority - levels[i]
		}
		acls := b.aclsOf(rule, direction, priority)
		if !b.affordable(acls, direction, i) {
			break
		}
		for _, acl := range acls {
			acl.name = ruleName(rule, i)
			b.add(direction, acl.aclRule)
		}
	}
	if side.Isolated {
		match := "ip"
		if b.p.Lax {
			match = "(tcp || udp || sctp)"
		}
		match = portMatch(direction, b.group) + " && " + match
		b.add(direction, aclRule{name: "isolation", action: nb.ACLActionDrop, priority: priorityDenied, match: match})
	}
	b.passEarlierTiers(direction)
	if b.p.Tier == model.TierAdmin && slices.ContainsFunc(side.Rules, func(r model.PolicyRule) bool { return r.Action == model.PolicyPass }) {
		b.floor(direction)
	}
	if direction == nb.ACLDirectionToLport {
		b.always()
	}
}

// affordable adds the elements of a rule, and reports whether the policy is within the limit. Only policies of tenants
// have one: rules of administrators may deny, so that leaving one out would allow more.
func (b *policyBuilder) affordable(acls []sizedACL, direction string, i int) bool {
	limit := b.Limits.PolicyElements
	if b.p.Kind != model.KindNetworkPolicy || limit <= 0 {
		return true
	}
	reported := b.elements > limit
	for _, acl := range acls {
		b.elements += acl.elements
	}
	if b.elements > limit && !reported {
		b.r.Problems = append(b.r.Problems, model.TooLargePolicy(fmt.Sprintf("spec.%s[%d]", sideName(direction), i), b.elements, limit))
	}
	return b.elements <= limit
}

// always allows a pod's own node, because kubelet probes its pods whatever the policies are (NetworkPolicySpec:
// "traffic to or from the node where the pod is running is always allowed"), and the pod's connections to itself
// through a Service. Each chassis substitutes its own addresses for the variable.
func (b *policyBuilder) always() {
	join, ok := b.v.SubnetNetwork(b.NodeSwitch)
	if !ok {
		return
	}
	for _, cidr := range model.PrefixFamilies(join.CIDR) {
		ip := family(cidr.Addr())
		sources := "^" + hostVariable(ip)
		for _, prefix := range model.PrefixFamilies(b.ServiceSource) {
			if family(prefix.Addr()) == ip {
				sources += ", " + prefix.Addr().String() // a pod's connections to itself, see hairpin
			}
		}
		b.r.Child(fact.RefTo(nb.PortGroupTable, b.group), nb.ACLTable, b.group+"/always/"+ip, &nb.ACL{
			Direction: nb.ACLDirectionToLport, Priority: priorityAlways, Action: nb.ACLActionAllowRelated,
			Match: fmt.Sprintf("outport == @%s && %s.src == {%s}", b.group, ip, sources),
		})
	}
}

// aclOf translates an action. After the last tier everything is allowed.
func aclOf(tier model.PolicyTier, action model.PolicyAction) string {
	switch {
	case action == model.PolicyDeny:
		return nb.ACLActionDrop
	case action == model.PolicyPass && tier != model.TierBaseline:
		return nb.ACLActionPass
	default:
		return nb.ACLActionAllowRelated
	}
}

func ruleName(rule *model.PolicyRule, i int) string {
	if rule.Name != "" {
		return rule.Name
	}
	return strconv.Itoa(i)
}
