// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// Everything is within 32 addresses of each family, so that blocks, exceptions, nodes and pods overlap.
var (
	smallV4  = netip.MustParsePrefix("10.0.0.0/27")
	smallV6  = netip.MustParsePrefix("fd00::/123")
	smallCfg = Config{
		NodeSwitch: "join", LoadBalancers: true,
		ServiceSource: model.Prefixes{V4: netip.MustParsePrefix("10.0.0.24/29"), V6: netip.MustParsePrefix("fd00::18/125")},
	}
	smallJoin = model.Prefixes{V4: netip.MustParsePrefix("10.0.0.16/29"), V6: netip.MustParsePrefix("fd00::10/125")}
)

// smallNode is a node with one InternalIP of each family, and its source addresses towards pods.
type smallNode struct {
	internal, towards model.Addrs
	services          model.Addrs
}

func smallNodes() (out []smallNode) {
	at := func(text string, n int) netip.Addr {
		a := netip.MustParseAddr(text)
		for range n {
			a = a.Next()
		}
		return a
	}
	for i := range 2 {
		out = append(out, smallNode{
			internal: model.Addrs{V4: at("10.0.0.2", i), V6: at("fd00::2", i)},
			towards:  model.Addrs{V4: at("10.0.0.18", i), V6: at("fd00::12", i)},
			services: model.Addrs{V4: at("10.0.0.26", i), V6: at("fd00::1a", i)},
		})
	}
	return out
}

func smallWorld(policies []*model.Policy) *world.World {
	w := world.New()
	w.Subnets.Set(&model.Subnet{Meta: model.Meta{Name: "join"}, CIDR: smallJoin})
	for i, n := range smallNodes() {
		name := fmt.Sprint("n", i)
		w.Nodes.Set(&model.Node{Meta: model.Meta{Name: name}, InternalIPs: model.Families(n.internal)})
		w.IPs.Set(&model.IP{Meta: model.Meta{Name: model.NodePortName(name)}, Subnet: "join", Addrs: n.towards})
	}
	for _, p := range policies {
		w.Policies[p.Kind].Set(p)
	}
	return w
}

// smallACLs returns the ACLs of all policies, by direction.
func smallACLs(t *rapid.T, cfg Config, policies []*model.Policy) map[string][]parsedACL {
	w, out := smallWorld(policies), map[string][]parsedACL{}
	for _, p := range policies {
		w.Read(p.Ref(), func(v *world.View) {
			r := cfg.policy(p.Ref(), v)
			for _, row := range r.Rows {
				if acl, ok := row.Columns.(*nb.ACL); ok && acl.Tier == int(model.TierDefault) {
					out[acl.Direction] = append(out[acl.Direction], parsedACL{acl, parseMatch(t, acl)})
				}
			}
		})
	}
	return out
}

// smallPacket is the first packet of a connection between a subject and a remote end.
type smallPacket struct {
	direction string
	subject   string // label of the subject
	remote    netip.Addr
	group     string // label of the remote pod; empty for other ends
	protocol  string
	port      uint16
}

// smallGroup selects the pods of a label; all pods of the namespace have one.
func smallGroup(label string) model.Group { return model.Group{Namespace: "ns", Pods: label} }

func drawPolicies(t *rapid.T) []*model.Policy {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		in := rapid.SampledFrom([]netip.Prefix{smallV4, smallV6}).Draw(t, "family")
		bits := in.Addr().BitLen() - rapid.IntRange(0, 5).Draw(t, "host bits")
		return netip.PrefixFrom(drawAddr(t, in), bits).Masked()
	})
	block := rapid.Custom(func(t *rapid.T) model.IPBlock {
		b := model.IPBlock{CIDR: prefix.Draw(t, "cidr")}
		for range rapid.IntRange(0, 4).Draw(t, "exceptions") {
			except := netip.PrefixFrom(drawAddr(t, b.CIDR), rapid.IntRange(b.CIDR.Bits(), b.CIDR.Addr().BitLen()).Draw(t, "bits")).Masked()
			if except.Bits() > b.CIDR.Bits() { // as model accepts it
				b.Except = append(b.Except, except)
			}
		}
		return b
	})
	port := rapid.SampledFrom([]model.PolicyPort{
		{Protocol: model.TCP}, {Protocol: model.TCP, First: 80, Last: 80}, {Protocol: model.TCP, First: 81, Last: 83}, {Protocol: model.UDP, First: 80, Last: 80},
	})
	rule := rapid.Custom(func(t *rapid.T) model.PolicyRule {
		return model.PolicyRule{
			Action: model.PolicyAllow, Blocks: rapid.SliceOfN(block, 0, 3).Draw(t, "blocks"), Ports: rapid.SliceOfN(port, 0, 2).Draw(t, "ports"),
			Groups: rapid.SampledFrom([][]model.Group{nil, nil, {smallGroup("app=a")}}).Draw(t, "groups"), Everyone: rapid.IntRange(0, 20).Draw(t, "everyone") == 0,
		}
	})
	policy := rapid.Custom(func(t *rapid.T) *model.Policy {
		p := &model.Policy{Kind: model.KindNetworkPolicy, Tier: model.TierDefault, Lax: rapid.Bool().Draw(t, "lax")}
		p.Subject = smallGroup(rapid.SampledFrom([]string{"", "app=a", "app=b"}).Draw(t, "subject"))
		for _, side := range []*model.PolicySide{&p.Ingress, &p.Egress} {
			if side.Isolated = rapid.Bool().Draw(t, "isolated"); side.Isolated {
				side.Rules = rapid.SliceOfN(rule, 0, 3).Draw(t, "rules")
			}
		}
		return p
	})
	policies := rapid.SliceOfN(policy, 1, 4).Draw(t, "policies")
	for i, p := range policies {
		p.Namespace, p.Name = "ns", fmt.Sprint("p", i)
	}
	return policies
}

func drawAddr(t *rapid.T, in netip.Prefix) netip.Addr {
	a := in.Addr()
	for range rapid.IntRange(0, 1<<min(5, a.BitLen()-in.Bits())-1).Draw(t, "host") {
		a = a.Next()
	}
	return a
}

// TestPoliciesMeanWhatTheySay: the ACLs of policies, by their priorities, allow exactly what the policies allow.
func TestPoliciesMeanWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policies := drawPolicies(t)
		acls := smallACLs(t, smallCfg, policies)
		smallPackets(func(p smallPacket) {
			if got, want := allowedByACLs(t, acls[p.direction], p), allowedByPolicies(policies, p); got != want {
				t.Fatalf("%+v: allowed is %t, want %t\n%s", p, got, want, describeACLs(acls[p.direction]))
			}
		})
	})
}

// TestLimitOpensNothing: with a limit, policies allow nothing that they do not allow without it.
func TestLimitOpensNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policies := drawPolicies(t)
		limited := smallCfg
		limited.Limits.PolicyElements = rapid.IntRange(1, 200).Draw(t, "limit")
		acls := smallACLs(t, limited, policies)
		smallPackets(func(p smallPacket) {
			if allowedByACLs(t, acls[p.direction], p) && !allowedByPolicies(policies, p) {
				t.Fatalf("%+v is allowed\n%s", p, describeACLs(acls[p.direction]))
			}
		})
	})
}

// smallPackets calls fn with packets of all addresses in both directions.
func smallPackets(fn func(smallPacket)) {
	for _, in := range []netip.Prefix{smallV4, smallV6} {
		for a := in.Addr(); in.Contains(a); a = a.Next() {
			for _, p := range []smallPacket{{protocol: "tcp", port: 80}, {protocol: "tcp", port: 82}, {protocol: "udp", port: 80}, {protocol: "icmp"}} {
				for _, subject := range []string{"app=a", "app=b"} {
					p.remote, p.subject = a, subject
					for _, p.direction = range []string{nb.ACLDirectionToLport, nb.ACLDirectionFromLport} {
						fn(p)
					}
				}
			}
		}
	}
	group := smallPacket{direction: nb.ACLDirectionToLport, subject: "app=b", remote: netip.MustParseAddr("10.0.0.9"), group: "app=a", protocol: "tcp", port: 80}
	fn(group)
}

// allowedByPolicies is the semantics of NetworkPolicies.
func allowedByPolicies(policies []*model.Policy, p smallPacket) bool {
	isolated, allowed := false, false
	for _, policy := range policies {
		side := &policy.Ingress
		if p.direction == nb.ACLDirectionFromLport {
			side = &policy.Egress
		}
		if !side.Isolated || policy.Subject.Pods != "" && policy.Subject.Pods != p.subject {
			continue
		}
		isolated = isolated || !policy.Lax || p.protocol != "icmp"
		allowed = allowed || slices.ContainsFunc(side.Rules, func(r model.PolicyRule) bool { return ruleAllows(&r, p) })
	}
	return allowed || !isolated
}

func ruleAllows(r *model.PolicyRule, p smallPacket) bool {
	portMatches := func(port model.PolicyPort) bool {
		return string(port.Protocol) == p.protocol && (port.First == 0 || port.First <= p.port && p.port <= port.Last)
	}
	if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, portMatches) {
		return false
	}
	return r.Everyone || p.group != "" && slices.Contains(r.Groups, smallGroup(p.group)) || blocksAllow(r.Blocks, p)
}

// blocksAllow: a block includes the nodes whose InternalIP is in it (ingress), and an exception excludes their other
// addresses.
func blocksAllow(blocks []model.IPBlock, p smallPacket) bool {
	contain := func(a netip.Addr, withExceptions bool) bool {
		return slices.ContainsFunc(blocks, func(b model.IPBlock) bool {
			return (withExceptions || len(b.Except) == 0) && b.CIDR.Contains(a) && !slices.ContainsFunc(b.Except, func(e netip.Prefix) bool { return e.Contains(a) })
		})
	}
	for _, n := range smallNodes() {
		internal, towards, services := n.internal.V4, n.towards.V4, n.services.V4
		if p.remote.Is6() {
			internal, towards, services = n.internal.V6, n.towards.V6, n.services.V6
		}
		if p.remote != towards && p.remote != services {
			continue
		}
		switch inside := slices.ContainsFunc(blocks, func(b model.IPBlock) bool { return b.CIDR.Contains(internal) }); {
		case !inside:
		case !contain(internal, true):
			return contain(p.remote, false)
		case p.direction == nb.ACLDirectionToLport:
			return true
		}
	}
	return contain(p.remote, true)
}

// parsedACL is an ACL whose match has been parsed.
type parsedACL struct {
	*nb.ACL
	matches predicate
}

type predicate func(smallPacket) bool

// allowedByACLs decides as OVN does: by the ACL with the highest priority of those that match.
func allowedByACLs(t *rapid.T, acls []parsedACL, p smallPacket) bool {
	best := &nb.ACL{Priority: -1, Action: nb.ACLActionAllowRelated}
	for _, acl := range acls {
		if acl.Priority < best.Priority || !acl.matches(p) {
			continue
		}
		if acl.Priority == best.Priority && acl.Action != best.Action {
			t.Fatalf("%+v: two rules of priority %d disagree", p, acl.Priority)
		}
		best = acl.ACL
	}
	return best.Action == nb.ACLActionAllowRelated
}

func parseMatch(t *rapid.T, acl *nb.ACL) predicate {
	var parts []predicate
	for part := range strings.SplitSeq(acl.Match, " && ") {
		var terms []predicate
		for term := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(part, "("), ")"), " || ") {
			terms = append(terms, parseTerm(t, acl.Direction, term))
		}
		parts = append(parts, func(p smallPacket) bool {
			return slices.ContainsFunc(terms, func(term predicate) bool { return term(p) })
		})
	}
	return func(p smallPacket) bool {
		return !slices.ContainsFunc(parts, func(part predicate) bool { return !part(p) })
	}
}

func parseTerm(t *rapid.T, direction, term string) predicate {
	fields := strings.SplitN(term, " ", 3)
	switch {
	case term == "ip":
		return func(smallPacket) bool { return true }
	case len(fields) == 1:
		return func(p smallPacket) bool { return p.protocol == term }
	case fields[1] == "<=":
		protocol, last, _ := strings.Cut(fields[2], ".dst <= ")
		from, to := parsePort(t, fields[0]), parsePort(t, last)
		return func(p smallPacket) bool { return p.protocol == protocol && from <= p.port && p.port <= to }
	case fields[0] == "outport" || fields[0] == "inport":
		group := strings.TrimPrefix(fields[2], "@")
		return func(p smallPacket) bool { return slices.Contains(portGroupsOf(p.subject), group) }
	}
	field, end, _ := strings.Cut(fields[0], ".")
	values := strings.Split(strings.Trim(fields[2], "{}"), ", ")
	if field == "ip4" || field == "ip6" {
		if end != map[string]string{nb.ACLDirectionToLport: "src", nb.ACLDirectionFromLport: "dst"}[direction] {
			t.Fatalf("%s matches the wrong end", term)
		}
		return parseAddresses(t, field, values)
	}
	var ports []uint16
	for _, v := range values {
		ports = append(ports, parsePort(t, v))
	}
	return func(p smallPacket) bool { return p.protocol == field && slices.Contains(ports, p.port) }
}

func portGroupsOf(label string) []string {
	return []string{portGroup(model.Selection{Group: smallGroup("")}, 0), portGroup(model.Selection{Group: smallGroup(label)}, 0)}
}

func parseAddresses(t *rapid.T, field string, values []string) predicate {
	var sets []string
	var prefixes []netip.Prefix
	for _, v := range values {
		if set, ok := strings.CutPrefix(v, "$"); ok {
			sets = append(sets, set)
			continue
		}
		p, err := netip.ParsePrefix(v)
		if err != nil {
			a, err := netip.ParseAddr(v)
			if err != nil {
				t.Fatalf("%s is no address", v)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		prefixes = append(prefixes, p)
	}
	return func(p smallPacket) bool {
		inSet := func(set string) bool {
			return p.group != "" && (field == "ip4") == p.remote.Is4() && set == portGroup(model.Selection{Group: smallGroup(p.group)}, 0)+"_"+field
		}
		return slices.ContainsFunc(sets, inSet) || slices.ContainsFunc(prefixes, func(in netip.Prefix) bool { return in.Contains(p.remote) })
	}
}

func parsePort(t *rapid.T, text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatalf("%s is no port", text)
	}
	return uint16(n)
}

func describeACLs(acls []parsedACL) string {
	lines := make([]string, 0, len(acls))
	for _, acl := range acls {
		lines = append(lines, fmt.Sprint(acl.Tier, " ", acl.Priority, " ", acl.Action, " ", acl.Match))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
