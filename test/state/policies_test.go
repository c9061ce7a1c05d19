// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// labelled is a pod with a label that policies select.
func labelled(p *model.Pod, app string, ports ...model.PolicyPort) *model.Pod {
	return changed(p, func(p *model.Pod) { p.Labels, p.Ports = map[string]string{"app": app}, ports })
}

func containerPort(name string, number uint16) model.PolicyPort {
	return model.PolicyPort{Protocol: model.TCP, Name: name, First: number, Last: number}
}

func networkPolicy(name string, subject string, change func(*model.Policy)) *model.Policy {
	p := &model.Policy{
		Meta: model.Meta{Namespace: "blue", Name: name, UID: "policy-" + name, Created: 20}, Kind: model.KindNetworkPolicy,
		Tier: model.TierDefault, Subject: model.Group{Namespace: "blue", Pods: subject},
	}
	p.Ingress.Isolated = true
	change(p)
	return p
}

func adminPolicy(kind model.Kind, name string, tier model.PolicyTier, priority int, rules ...model.PolicyRule) *model.Policy {
	return &model.Policy{
		Meta: model.Meta{Name: name, UID: "policy-" + name, Created: 21}, Kind: kind, Tier: tier, Priority: priority,
		Subject: model.Group{Namespaces: "team=blue"}, Ingress: model.PolicySide{Rules: rules}, Egress: model.PolicySide{Rules: rules},
	}
}

func allow(rule model.PolicyRule) model.PolicyRule {
	rule.Action = model.PolicyAllow
	return rule
}

func block(cidr string, except ...string) model.IPBlock {
	b := model.IPBlock{CIDR: netip.MustParsePrefix(cidr)}
	for _, e := range except {
		b.Except = append(b.Except, netip.MustParsePrefix(e))
	}
	return b
}

// policed has two namespaces with labelled pods.
func policed(bound state) state {
	chassis := func(name, address string) *model.Node {
		return changed(node(name, address), func(n *model.Node) { n.Chassis = name })
	}
	return bound.with("labelled pods", chassis("n1", "192.168.77.11"), chassis("n2", "192.168.77.12"),
		changed(namespace("blue"), func(n *model.Namespace) { n.Labels = map[string]string{"team": "blue"} }),
		labelled(pod("blue", "a", "n1"), "web", containerPort("http", 8080)), labelled(pod("blue", "x", "n2"), "web", containerPort("http", 9090)),
		labelled(pod("default", "a", "n1"), "client", containerPort("http", 80)), labelled(pod("default", "b", "n2"), "client"))
}

func policyStates(bound state) []state {
	pods := policed(bound)
	deny := networkPolicy("deny", "", func(*model.Policy) {})
	peers := networkPolicy("peers", "app=web", func(p *model.Policy) {
		p.Ingress.Rules = []model.PolicyRule{
			allow(model.PolicyRule{Groups: []model.Group{{Namespaces: "team=blue"}, {Namespace: "default", Pods: "app=client"}}, Ports: []model.PolicyPort{
				{Protocol: model.TCP, First: 80, Last: 80}, {Protocol: model.TCP, First: 443, Last: 443}, {Protocol: model.TCP, First: 8000, Last: 9000}, {Protocol: model.UDP},
			}}),
			allow(model.PolicyRule{Everyone: true, Ports: []model.PolicyPort{{Protocol: model.TCP, Name: "http"}}}),
		}
	})
	blocks := networkPolicy("blocks", "app=web", func(p *model.Policy) {
		p.Egress.Isolated = true
		p.Egress.Rules = []model.PolicyRule{
			allow(model.PolicyRule{Blocks: []model.IPBlock{block("10.0.0.0/8", "10.16.0.0/16", "10.17.0.0/24"), block("10.17.0.7/32"), block("fd00::/64")}}),
			allow(model.PolicyRule{Groups: []model.Group{{}}, Ports: []model.PolicyPort{{Protocol: model.TCP, Name: "http"}}}),
			allow(model.PolicyRule{Blocks: []model.IPBlock{block("192.168.0.0/16")}, Ports: []model.PolicyPort{{Protocol: model.TCP, Name: "http"}}}),
			allow(model.PolicyRule{}), // none of its peers could be read
		}
		p.Ingress.Rules = []model.PolicyRule{allow(model.PolicyRule{Blocks: []model.IPBlock{block("192.168.77.0/24", "192.168.77.12/32")}})}
	})
	return []state{
		pods,
		bound.with("policies without labels", deny, peers, blocks),
		pods.with("default deny", deny),
		pods.with("peers", deny, peers),
		pods.with("peers, other labels", peers, labelled(pod("blue", "a", "n1"), "db"), labelled(pod("default", "a", "n1"), "other")),
		pods.with("peers, a port of another number", peers, labelled(pod("blue", "a", "n1"), "web", containerPort("http", 9090))),
		pods.with("peers, the namespace of no team", peers, namespace("blue")),
		pods.with("blocks", deny, blocks),
		pods.with("blocks with exceptions of two policies", blocks, excepting("other", "0.0.0.0/0", "10.0.0.0/8")),
		pods.with("lax and logged", changed(blocks, func(p *model.Policy) { p.Lax, p.Log = true, model.PolicyLog{Allow: true, Deny: true, Rate: 5} })),
		pods.with("of another NIC", changed(deny, func(p *model.Policy) { p.Providers = []model.Provider{"attach.default.ovn"} })),
		pods.with("administrators", deny,
			adminPolicy(model.KindAdminNetworkPolicy, "admin", model.TierAdmin, 5, model.PolicyRule{Action: model.PolicyPass, Groups: []model.Group{{Namespace: "default"}}},
				model.PolicyRule{Action: model.PolicyDeny, Groups: []model.Group{{}}, Name: "others"}),
			adminPolicy(model.KindBaselineAdminNetworkPolicy, "default", model.TierBaseline, model.LowestPolicyPriority, model.PolicyRule{Action: model.PolicyDeny, Groups: []model.Group{{}}})),
		pods.with("ClusterNetworkPolicies",
			adminPolicy(model.KindClusterNetworkPolicy, "admin", model.TierAdmin, 1000, model.PolicyRule{Action: model.PolicyPass, Everyone: true}),
			changed(adminPolicy(model.KindClusterNetworkPolicy, "nodes", model.TierBaseline, 0), func(p *model.Policy) {
				p.Egress.Rules = []model.PolicyRule{{Action: model.PolicyPass, Nodes: []string{"name=n2"}}, {Action: model.PolicyDeny, Everyone: true}}
			})),
	}
}

// aclsOf lists the ACLs of a policy as "direction tier priority action match".
func aclsOf(b *harness, policy string) (out []string) {
	for _, uuid := range uuidsOf(b.db, nb.ACLTable) {
		acl, _ := b.db.Peek(nb.ACLTable, uuid).(*nb.ACL)
		if acl != nil && acl.ExternalIDs["policy"] == policy {
			out = append(out, fmt.Sprintf("%s %d %d %s %s", acl.Direction, acl.Tier, acl.Priority, acl.Action, acl.Match))
		}
	}
	slices.Sort(out)
	return out
}

// An event of a pod costs what its own groups cost, however many policies there are, and wakes the pod alone.
func TestPolicyEventCost(t *testing.T) {
	b := harnessIn(t, "peers")
	for i := range 50 {
		b.set(ref(model.KindNetworkPolicy, "blue", fmt.Sprint("p", i)), networkPolicy(fmt.Sprint("p", i), fmt.Sprint("app=app", i), func(*model.Policy) {}))
	}
	b.converge()
	for _, event := range []struct {
		what           string
		object         any
		ops, pods, all int
	}{
		{"into another group", labelled(pod("blue", "a", "n1"), "app3", containerPort("http", 8080)), 5, 1, 2}, // no pod has 8080 as http any longer: one policy
		{"back", labelled(pod("blue", "a", "n1"), "web", containerPort("http", 8080)), 6, 1, 2},
		{"a label that no policy selects", changed(labelled(pod("blue", "a", "n1"), "web", containerPort("http", 8080)), func(p *model.Pod) { p.Labels["x"] = "y" }), 0, 1, 1},
	} {
		before, ops := b.compiled[model.KindPod], b.ops
		total := 0
		for _, n := range b.compiled {
			total -= n
		}
		b.put(refTo(event.object), event.object)
		b.converge()
		for _, n := range b.compiled {
			total += n
		}
		if got := b.ops - ops; got > event.ops {
			t.Errorf("%s: %d operations, want %d", event.what, got, event.ops)
		}
		if got := b.compiled[model.KindPod] - before; got != event.pods || total > event.all {
			t.Errorf("%s: %d pods and %d objects compiled", event.what, got, total)
		}
	}
}

// A policy changes in one transaction, and only the rows that differ are touched.
func TestPolicyIsExchangedAtOnce(t *testing.T) {
	b := harnessIn(t, "peers")
	r := ref(model.KindNetworkPolicy, "blue", "peers")
	before := aclsOf(b, r.String())
	var batches [][]ovsdb.Operation
	b.refuse = func(ops []ovsdb.Operation) int { batches = append(batches, ops); return -1 }
	b.set(r, changed(b.objects[r].(*model.Policy), func(p *model.Policy) {
		p.Ingress.Rules = []model.PolicyRule{p.Ingress.Rules[1], allow(model.PolicyRule{Groups: []model.Group{{Namespace: "default", Pods: "app!=client"}}})}
	}))
	b.converge()
	after := aclsOf(b, r.String())
	if len(batches) != 1 {
		t.Errorf("%d transactions", len(batches))
	}
	gone, came := 0, 0
	for _, a := range before {
		if !slices.Contains(after, a) {
			gone++
		}
	}
	for _, a := range after {
		if !slices.Contains(before, a) {
			came++
		}
	}
	inserted := 0
	for _, op := range batches[0] {
		if op.Table == nb.ACLTable && op.Op == ovsdb.OperationInsert {
			inserted++
		}
	}
	if gone != 1 || came != 1 || inserted != 1 {
		t.Errorf("%d rules are gone, %d new, %d inserted:\n%s", gone, came, inserted, strings.Join(after, "\n"))
	}
}

// Whatever a policy needs more than one transaction for: its groups are complete before its rules are there, and the
// rules come together.
func TestGroupsAreCompleteBeforeRules(t *testing.T) {
	b := harnessIn(t, "labelled pods")
	const pods = 2500
	for i := range pods {
		name := fmt.Sprint("p", i)
		b.set(ref(model.KindPod, "default", name), labelled(pod("default", name, "n1"), "many"))
	}
	b.converge()
	group := fact.UUIDOf(nb.PortGroupTable, groupNamed(t, model.Group{Namespace: "default", Pods: "app=many"}))
	rules, txns := 0, b.txns
	b.refuse = func(ops []ovsdb.Operation) int {
		here := 0
		for _, op := range ops {
			if op.Table == nb.ACLTable {
				here++
			}
		}
		if here > 0 {
			rules++
			pg, _ := b.db.Peek(nb.PortGroupTable, group).(*nb.PortGroup)
			added := 0
			for _, op := range ops {
				if op.Table == nb.PortGroupTable && op.Op == ovsdb.OperationMutate && op.Mutations[0].Column == "ports" {
					set, _ := op.Mutations[0].Value.(ovsdb.OvsSet)
					added += len(set.GoSet)
				}
			}
			if pg == nil || len(pg.Ports)+added < pods {
				t.Errorf("rules are written while their group has %d ports", len(pg.Ports)+added)
			}
		}
		return -1
	}
	b.set(ref(model.KindNetworkPolicy, "blue", "many"), networkPolicy("many", "app=web", func(p *model.Policy) {
		p.Ingress.Rules = []model.PolicyRule{allow(model.PolicyRule{Groups: []model.Group{{Namespace: "default", Pods: "app=many"}}})}
	}))
	b.converge()
	if rules != 1 || b.txns-txns > 10 {
		t.Errorf("rules were written in %d transactions of %d", rules, b.txns-txns)
	}
	b.refuse = nil
	b.compare("afterwards")
}

// groupNamed gives the name of a group that a policy speaks of.
func groupNamed(t *testing.T, g model.Group) string {
	t.Helper()
	other := newModelHarness(t)
	other.become(named(t, "base"))
	other.set(ref(model.KindNetworkPolicy, "x", "x"), &model.Policy{Meta: model.Meta{Namespace: "x", Name: "x"}, Kind: model.KindNetworkPolicy, Tier: model.TierDefault, Subject: g})
	other.converge()
	for _, uuid := range uuidsOf(other.db, nb.PortGroupTable) {
		if pg, ok := other.db.Peek(nb.PortGroupTable, uuid).(*nb.PortGroup); ok {
			return pg.Name
		}
	}
	t.Fatal("no group")
	return ""
}
