// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// sizedACL is an ACL without a name, and its number of elements, see [model.MatchSize].
type sizedACL struct {
	aclRule
	elements int
}

// aclsOf returns the ACLs of one rule; none if no packet can match it. Blocks with exceptions, which only
// NetworkPolicies have, take three priorities, so that their cost is linear in the number of exceptions (ADR 19).
func (b *policyBuilder) aclsOf(rule *model.PolicyRule, direction string, priority int) (out []sizedACL) {
	far := peers{everyone: rule.Everyone}
	for _, g := range rule.Groups {
		far.groups = append(far.groups, portGroup(model.Selection{Group: g}, 0))
	}
	r := b.ranges(rule, direction)
	far.ranges = r.allowed.Prefixes()
	add := func(far peers, action string, priority int) {
		for _, match := range b.matches(rule, direction, far) {
			match.action, match.priority = action, priority
			out = append(out, match)
		}
	}
	add(far, aclOf(b.p.Tier, rule.Action), priority)
	if r.blocks != nil {
		add(peers{ranges: r.excepted.Prefixes()}, nb.ACLActionDrop, priorityExcepted)
		add(peers{ranges: r.blocks.Prefixes()}, aclOf(b.p.Tier, rule.Action), priorityBlocks)
	}
	return out
}

// matches returns ACLs with the matches (ovn-sb(5), Logical_Flow:match) of a rule and some peers.
func (b *policyBuilder) matches(rule *model.PolicyRule, direction string, far peers) (out []sizedACL) {
	if !far.possible() {
		return nil
	}
	size := far.size()
	if ports, ok := portsMatch(rule.Ports); ok {
		match := conjunction(portMatch(direction, b.group), far.match(direction), ports)
		out = append(out, sizedACL{aclRule{match: match}, size.Elements(rule.Ports)})
	}
	for _, port := range rule.NamedPorts() {
		if direction == nb.ACLDirectionFromLport {
			out = append(out, b.namedEgress(rule, port, far)...)
			continue
		}
		for _, s := range b.p.Named(port) {
			for _, number := range meanings(b.v, s) {
				match := conjunction(portMatch(direction, portGroup(s, number)), far.match(direction), numberMatch(port, number))
				out = append(out, sizedACL{aclRule{match: match}, size.Elements(onePort)})
			}
		}
	}
	return out
}

// onePort stands for any port, to count elements.
var onePort = []model.PolicyPort{{First: 1, Last: 1}}

// namedEgress: the number of a named port depends on the destination pod.
func (b *policyBuilder) namedEgress(rule *model.PolicyRule, port model.NamedPort, far peers) (out []sizedACL) {
	direction := nb.ACLDirectionFromLport
	for _, s := range rule.Named(port) {
		allowed := peers{everyone: true}
		switch group := portGroup(model.Selection{Group: s.Group}, 0); {
		case slices.Contains(far.groups, group): // any of its pods
		case s.Group == (model.Group{}): // of any pod, restricted to the ranges
			allowed = peers{everyone: far.everyone, ranges: far.ranges}
		default:
			continue
		}
		if !allowed.possible() {
			continue
		}
		for _, number := range meanings(b.v, s) {
			named := peers{groups: []string{portGroup(s, number)}}
			match := conjunction(portMatch(direction, b.group), named.match(direction), allowed.match(direction), numberMatch(port, number))
			out = append(out, sizedACL{aclRule{match: match}, named.size().Elements(onePort) + allowed.size().Elements(nil)})
		}
	}
	return out
}

// peers is the remote end of the connections that a rule matches.
type peers struct {
	everyone bool
	groups   []string // port groups
	ranges   []netip.Prefix
}

func (p peers) size() model.MatchSize {
	s := model.MatchSize{Everyone: p.everyone, V4: model.GroupElements * len(p.groups), V6: model.GroupElements * len(p.groups)}
	for _, r := range p.ranges {
		if r.Addr().Is4() {
			s.V4++
		} else {
			s.V6++
		}
	}
	return s
}

func (p peers) possible() bool { return p.everyone || len(p.groups)+len(p.ranges) > 0 }

// match returns the condition on the remote end; empty if every remote end matches.
func (p peers) match(direction string) string {
	if p.everyone {
		return ""
	}
	end := "dst"
	if direction == nb.ACLDirectionToLport {
		end = "src"
	}
	var parts []string
	for _, f := range model.IPFamilies() {
		ip := f.Match()
		var values []string
		for _, g := range p.groups {
			values = append(values, "$"+g+"_"+ip)
		}
		for _, r := range p.ranges {
			if model.FamilyOf(r.Addr()) == f {
				values = append(values, rangeText(r))
			}
		}
		if len(values) > 0 {
			parts = append(parts, ip+"."+end+" == "+braced(values))
		}
	}
	return alternatives(parts)
}

func rangeText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func braced(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "{" + strings.Join(values, ", ") + "}"
}

func alternatives(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

// conjunction joins the non-empty parts with "&&".
func conjunction(parts ...string) string {
	if slices.Equal(parts[1:], make([]string, len(parts)-1)) {
		parts = append(parts, "ip")
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " && ")
}

func selects(selectors []string, node *model.Node) bool {
	return slices.ContainsFunc(selectors, func(text string) bool {
		s, err := labels.Parse(text)
		return err == nil && s.Matches(labels.Set(node.Labels))
	})
}

// portsMatch matches ports that are numbers; ok is false if there are only names.
func portsMatch(ports []model.PolicyPort) (match string, ok bool) {
	if len(ports) == 0 {
		return "", true
	}
	var parts []string
	for _, protocol := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
		parts = append(parts, protocolPorts(protocol, ports)...)
	}
	return alternatives(parts), len(parts) > 0
}

func protocolPorts(protocol model.Protocol, ports []model.PolicyPort) (parts []string) {
	var single []string
	for _, p := range ports {
		switch {
		case p.Protocol != protocol || p.Name != "":
		case p.First == 0:
			return []string{string(protocol)}
		case p.First == p.Last:
			single = append(single, strconv.Itoa(int(p.First)))
		default:
			parts = append(parts, fmt.Sprintf("%d <= %s.dst <= %d", p.First, protocol, p.Last))
		}
	}
	if len(single) > 0 {
		parts = append(parts, string(protocol)+".dst == "+braced(single))
	}
	return parts
}

func numberMatch(port model.NamedPort, number uint16) string {
	return fmt.Sprintf("%s.dst == %d", port.Protocol, number)
}
