package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// Priorities of the ACLs of policies; those of a NetworkPolicy are Kube-OVN's.
const (
	priorityAlways  = 32767 // nodes reach their own pods, pods themselves: before all tiers
	priorityFirst   = 32766 // the first rule of a policy of priority 0 that has a priority
	priorityAllowed = 2001
	priorityDenied  = 2000
)

// aclNameLength is what ovn-nb(5) allows for the name of an ACL.
const aclNameLength = 63

// policy: a policy is rules on the port group of its subject. It declares the
// port groups that it speaks of; what is in them, pods declare (ADR 11).
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
	b := ruleBuilder{Config: c, r: &r, v: v, p: p, subject: portGroup(p.SubjectSelection(), 0)}
	b.side(&p.Ingress, nb.ACLDirectionToLport)
	b.side(&p.Egress, nb.ACLDirectionFromLport)
	return r
}

// meanings lists the numbers that a selection's named port stands for; 0 for a
// selection without one.
func meanings(v *world.View, s model.Selection) []uint16 {
	if s.Port.Name == "" {
		return []uint16{0}
	}
	return v.Numbers(s)
}

// portGroup names what a selection selects: a hash, which fits into a match
// ([a-zA-Z_.][a-zA-Z_.0-9]*, ovn-nb(5), Port_Group:name). external_ids:group says it in words.
func portGroup(s model.Selection, number uint16) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", s.Key(), number))
	return "woven." + hex.EncodeToString(sum[:16])
}

func describe(s model.Selection, number uint16) string {
	words := []string{}
	say := func(what, of string) {
		if of != "" {
			words = append(words, what+"="+of)
		}
	}
	say("namespace", s.Namespace)
	say("namespaces", s.Namespaces)
	say("pods", s.Pods)
	say("providers", s.Providers)
	if number != 0 {
		say("port", fmt.Sprintf("%s/%s/%d", s.Port.Name, s.Port.Protocol, number))
	}
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}

// joinGroups puts a port into the groups of the policies that speak of its pod.
func joinGroups(r *Result, v *world.View, pod *model.Pod, nic *model.PodNIC, port fact.Ref) {
	for _, s := range v.Selections(pod.Namespace, pod.Name) {
		number := pod.NumberOf(s.Port)
		if !s.HasProvider(nic.Provider) || s.Port.Name != "" && number == 0 {
			continue
		}
		r.Member(fact.RefTo(nb.PortGroupTable, portGroup(s, number)), "ports", port.UUID)
	}
}

// ruleBuilder makes the ACLs of one policy.
type ruleBuilder struct {
	Config
	r       *Result
	v       *world.View
	p       *model.Policy
	subject string // the port group
}

// side makes the ACLs of one direction.
func (b *ruleBuilder) side(side *model.PolicySide, direction string) {
	if !side.Isolated && len(side.Rules) == 0 {
		return
	}
	levels := side.Levels()
	for i := range side.Rules {
		rule, priority := &side.Rules[i], priorityAllowed
		if b.p.Tier != model.TierDefault {
			priority = priorityFirst - model.PolicyLevels*b.p.Priority - levels[i]
		}
		for _, match := range b.matches(rule, direction) {
			b.acl(direction, aclOf(b.p.Tier, rule.Action), priority, match, ruleName(rule, i))
		}
	}
	if side.Isolated {
		match := "ip"
		if b.p.Lax {
			match = "(tcp || udp || sctp)"
		}
		b.acl(direction, nb.ACLActionDrop, priorityDenied, b.port(direction, b.subject)+" && "+match, "isolation")
	}
	b.frame(side, direction)
}

// frame adds what the rules need to be there, in tiers before and after theirs.
func (b *ruleBuilder) frame(side *model.PolicySide, direction string) {
	match := b.port(direction, b.subject) + " && ip"
	for tier := range int(b.p.Tier) { // see passTiers
		b.child(fmt.Sprintf("%s/pass/%s/%d", b.p.Ref(), direction, tier), direction, &nb.ACL{Action: nb.ACLActionPass, Tier: tier, Match: match})
	}
	if b.p.Tier == model.TierAdmin && slices.ContainsFunc(side.Rules, func(r model.PolicyRule) bool { return r.Action == model.PolicyPass }) {
		// Where no later tier says anything, what is passed on would not be committed to connection tracking.
		b.child(fmt.Sprintf("%s/floor/%s", b.p.Ref(), direction), direction, &nb.ACL{Action: nb.ACLActionAllowRelated, Tier: int(model.TierBaseline), Match: match})
	}
	if direction == nb.ACLDirectionToLport {
		b.always()
	}
}

// always: kubelet probes its pods, whatever policies say (NetworkPolicySpec: "traffic
// to or from the node where the pod is running is always allowed"), and a pod reaches itself through a
// Service. Each chassis puts its own addresses in the place of the variable.
func (b *ruleBuilder) always() {
	join, ok := b.v.SubnetNetwork(b.NodeSwitch)
	if !ok {
		return
	}
	for _, cidr := range model.PrefixFamilies(join.CIDR) {
		ip := family(cidr.Addr())
		sources := "^" + hostVariable(ip)
		for _, prefix := range model.PrefixFamilies(b.ServiceSource) {
			if family(prefix.Addr()) == ip {
				sources += ", " + prefix.Addr().String() // of what a pod sends to itself, see hairpin
			}
		}
		b.r.Child(fact.RefTo(nb.PortGroupTable, b.subject), nb.ACLTable, b.subject+"/always/"+ip, &nb.ACL{
			Direction: nb.ACLDirectionToLport, Priority: priorityAlways, Action: nb.ACLActionAllowRelated,
			Match: fmt.Sprintf("outport == @%s && %s.src == {%s}", b.subject, ip, sources),
		})
	}
}

// acl adds a rule of the policy. Its identity is what it says, so that a change of a
// policy touches the rows that differ.
func (b *ruleBuilder) acl(direction, action string, priority int, match, rule string) {
	row := &nb.ACL{Action: action, Priority: priority, Tier: int(b.p.Tier), Match: match}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", direction, priority, action, match))
	b.log(row)
	row.ExternalIDs = map[string]string{"rule": sideName(direction) + "/" + rule}
	b.child(b.p.Ref().String()+"/"+hex.EncodeToString(sum[:8]), direction, row)
}

func (b *ruleBuilder) child(id, direction string, row *nb.ACL) {
	ref := fact.RefTo(nb.ACLTable, id)
	for i := range b.r.Rows {
		if b.r.Rows[i].Ref == ref {
			return // two rules that say the same
		}
	}
	row.Direction = direction
	if direction == nb.ACLDirectionFromLport {
		row.Options = map[string]string{"apply-after-lb": "true"} // about the backend, not the address of the Service
	}
	name := b.p.Ref().String()
	if len(name) > aclNameLength {
		name = name[:aclNameLength]
	}
	row.Name = &name
	if row.ExternalIDs == nil {
		row.ExternalIDs = map[string]string{}
	}
	row.ExternalIDs["policy"] = b.p.Ref().String()
	b.r.Child(fact.RefTo(nb.PortGroupTable, b.subject), nb.ACLTable, id, row)
}

// port matches a port of a group: the one that the packet goes to or comes from.
func (b *ruleBuilder) port(direction, group string) string {
	if direction == nb.ACLDirectionToLport {
		return "outport == @" + group
	}
	return "inport == @" + group
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

func sideName(direction string) string {
	if direction == nb.ACLDirectionToLport {
		return "ingress"
	}
	return "egress"
}

func ruleName(rule *model.PolicyRule, i int) string {
	if rule.Name != "" {
		return rule.Name
	}
	return strconv.Itoa(i)
}
