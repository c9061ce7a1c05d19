// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// matches returns the matches (ovn-sb(5), Logical_Flow:match) of one rule; none if no packet can match it.
func (b *policyBuilder) matches(rule *model.PolicyRule, direction string) (out []string) {
	far := b.far(rule, direction)
	if !far.possible() {
		return nil
	}
	subject := portMatch(direction, b.group)
	if ports, ok := portsMatch(rule.Ports); ok {
		out = append(out, conjunction(subject, far.match(direction), ports))
	}
	for _, port := range rule.NamedPorts() {
		if direction == nb.ACLDirectionToLport {
			for _, s := range b.p.Named(port) {
				for _, number := range meanings(b.v, s) {
					out = append(out, conjunction(portMatch(direction, portGroup(s, number)), far.match(direction), numberMatch(port, number)))
				}
			}
			continue
		}
		out = append(out, b.namedEgress(rule, port, far)...)
	}
	return out
}

// namedEgress: the number of a named port depends on the destination pod.
func (b *policyBuilder) namedEgress(rule *model.PolicyRule, port model.NamedPort, far peers) (out []string) {
	direction := nb.ACLDirectionFromLport
	for _, s := range rule.Named(port) {
		allowed := peers{everyone: true}
		if s.Group == (model.Group{}) && !slices.Contains(rule.Groups, s.Group) { // of any pod, restricted to the peers of the rule
			allowed = peers{everyone: far.everyone, ranges: far.ranges}
		}
		if !allowed.possible() {
			continue
		}
		for _, number := range meanings(b.v, s) {
			named := peers{groups: []string{portGroup(s, number)}}
			out = append(out, conjunction(portMatch(direction, b.group), named.match(direction), allowed.match(direction), numberMatch(port, number)))
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

func (b *policyBuilder) far(rule *model.PolicyRule, direction string) peers {
	p := peers{everyone: rule.Everyone}
	for _, g := range rule.Groups {
		p.groups = append(p.groups, portGroup(model.Selection{Group: g}, 0))
	}
	p.ranges = b.ranges(rule, direction)
	return p
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

// ranges returns the addresses that a rule contains itself: blocks without their exceptions, nodes, and the source
// addresses towards pods of nodes inside a block.
func (b *policyBuilder) ranges(rule *model.PolicyRule, direction string) []netip.Prefix {
	var all netipx.IPSetBuilder
	for _, block := range rule.Blocks {
		set := blockSet(block)
		all.AddSet(set)
		if direction == nb.ACLDirectionToLport {
			b.addHosts(&all, set, block.CIDR)
		}
	}
	if len(rule.Nodes) > 0 {
		for _, node := range b.v.Nodes() {
			if selects(rule.Nodes, node) {
				b.addNode(&all, node)
			}
		}
	}
	set, err := all.IPSet()
	if err != nil {
		return nil // only invalid prefixes are errors, and these are valid
	}
	return set.Prefixes()
}

func blockSet(block model.IPBlock) *netipx.IPSet {
	var of netipx.IPSetBuilder
	of.AddPrefix(block.CIDR)
	for _, except := range block.Except {
		of.RemovePrefix(except)
	}
	set, err := of.IPSet()
	if err != nil {
		return &netipx.IPSet{} // as above
	}
	return set
}

// addHosts adds the source addresses of the nodes in a block: the block includes connections from these nodes, which
// pods see with other addresses. A node that claims the address of another one is not in it.
func (b *policyBuilder) addHosts(all *netipx.IPSetBuilder, block *netipx.IPSet, cidr netip.Prefix) {
	within := model.Prefixes{V4: cidr}
	if cidr.Addr().Is6() {
		within = model.Prefixes{V6: cidr}
	}
	nodes := b.v.NodesWithin(within)
	if len(nodes) == 0 {
		return
	}
	holders := model.InternalIPHolders(nodes, b.apiServers(b.v))
	for _, node := range nodes {
		if slices.ContainsFunc(node.InternalIPs, func(a netip.Addr) bool { return holders[a] == node && block.Contains(a) }) {
			for _, a := range b.towardsPods(node) {
				all.Add(a)
			}
		}
	}
}

func (b *policyBuilder) addNode(all *netipx.IPSetBuilder, node *model.Node) {
	for _, a := range slices.Concat(node.Addresses, b.towardsPods(node)) {
		all.Add(a)
	}
}

// towardsPods returns the source addresses of a node's connections to pods: the address of its port, and its source
// address for Services.
func (b *policyBuilder) towardsPods(node *model.Node) []netip.Addr {
	ip, ok := b.v.IP(model.NodePortName(node.Name))
	join, there := b.v.SubnetNetwork(b.NodeSwitch)
	if !ok || !there {
		return nil
	}
	source := b.serviceSource(&Result{}, join, ip) // compiling the node reports the problems
	return append(model.Families(ip.Addrs), model.Families(source)...)
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
