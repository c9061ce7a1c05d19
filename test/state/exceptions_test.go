// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// excepting is a policy of both directions that allows a block with exceptions.
func excepting(name, cidr string, except ...string) *model.Policy {
	return networkPolicy(name, "app=web", func(p *model.Policy) {
		p.Ingress.Rules = []model.PolicyRule{allow(model.PolicyRule{Blocks: []model.IPBlock{block(cidr, except...)}})}
		p.Egress = model.PolicySide{Isolated: true, Rules: p.Ingress.Rules}
	})
}

// The exceptions of a policy may take what a block of another one allows: both change in one transaction.
func TestExceptionsOfPoliciesAreExchangedTogether(t *testing.T) {
	b := harnessIn(t, "labelled pods")
	one, two := excepting("one", "0.0.0.0/0", "10.1.0.0/16"), excepting("two", "0.0.0.0/0", "10.2.0.0/16")
	b.set(one.Ref(), one)
	b.converge()
	touched := map[string]int{}
	transactions := 0
	b.refuse = func(ops []ovsdb.Operation) int {
		transactions++
		for _, op := range ops {
			if op.Table == nb.ACLTable && op.Op == ovsdb.OperationInsert {
				touched[strings.Trim(fmt.Sprint(op.Row["name"]), "{[]}")]++
			}
		}
		return -1
	}
	b.set(two.Ref(), two)
	b.converge()
	if transactions != 1 || touched["NetworkPolicy/blue/one"] == 0 || touched["NetworkPolicy/blue/two"] == 0 {
		t.Errorf("%d transactions insert %v", transactions, touched)
	}
	if got := strings.Join(aclsOf(b, "NetworkPolicy/blue/one"), "\n"); !strings.Contains(got, "2003 allow-related outport == @"+groupNamed(t, one.Subject)+" && ip4.src == {10.2.0.0/16, ") {
		t.Errorf("the first policy no longer allows what the second one excepts:\n%s", got)
	}
	b.refuse = nil
	before := b.compiled[model.KindNetworkPolicy]
	b.set(two.Ref(), changed(two, func(p *model.Policy) { p.Log.Deny = true }))
	b.converge()
	if n := b.compiled[model.KindNetworkPolicy] - before; n != 1 {
		t.Errorf("a change without other exceptions compiles %d policies", n)
	}
}

// The cost of exceptions is linear: one match element for each, and one block.
func TestExceptionsAreLinear(t *testing.T) {
	b := harnessIn(t, "labelled pods")
	size := func(n int) (bytes int) {
		p := excepting("many", "0.0.0.0/0")
		rule := &p.Ingress.Rules[0]
		for i := range n {
			odd := uint32(i) * 2_654_435_761 // scattered
			rule.Blocks[0].Except = append(rule.Blocks[0].Except, netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(odd >> 24), byte(odd >> 16), byte(i)}), 32))
		}
		b.set(p.Ref(), p)
		b.converge()
		for _, acl := range aclsOf(b, p.Ref().String()) {
			bytes += len(acl)
		}
		return bytes
	}
	few, many := size(100), size(1000)
	if each := float64(many-few) / 900 / 2; each > 20 { // in two directions; an address and ", "
		t.Errorf("an exception costs %.0f bytes of match", each)
	}
}

// N6: an exception that contains a node's InternalIP also excludes the addresses by which pods see that node, in both
// directions; other nodes stay in the block.
func TestExceptionsExcludeNodes(t *testing.T) {
	for _, family := range []struct{ block, subnet, one, two, join string }{
		{"0.0.0.0/0", "100.64.0.0/16", "192.168.77.11", "192.168.77.12", "ip4"},
		{"::/0", "fd00:100:64::/112", "fd00:77::b", "fd00:77::c", "ip6"},
	} {
		b := newModelHarness(t)
		web := labelled(pod("blue", "a", "n2"), "web")
		b.become(state{}.with("", vpc("ovn-cluster"), subnet("ovn-default", "10.16.0.0/16"), subnet("join", family.subnet), namespace("blue"),
			node("n1", family.one), node("n2", family.two), web, excepting("p", family.block, family.one+"/"+fmt.Sprint(netip.MustParseAddr(family.one).BitLen()))))
		b.converge()
		addrs := func(node string) model.Addrs {
			return b.objects[ref(model.KindIP, "", model.NodePortName(node))].(*model.IP).Addrs
		}
		excepted, other := model.Families(addrs("n1"))[0].String(), model.Families(addrs("n2"))[0].String()
		dropped, kept := 0, 0
		for _, acl := range aclsOf(b, "NetworkPolicy/blue/p") {
			fields := strings.Fields(acl)
			values := strings.FieldsFunc(acl, func(r rune) bool { return strings.ContainsRune("{}, ", r) })
			has := func(addr string) bool {
				for _, v := range values {
					if v == addr {
						return true
					}
				}
				return false
			}
			switch {
			case fields[2] == "2002" && has(excepted):
				dropped++
			case fields[2] == "2003" && has(other):
				kept++
			}
			if has(excepted) && fields[3] != nb.ACLActionDrop || has(other) && fields[3] == nb.ACLActionDrop {
				t.Errorf("wrong rule: %s", acl)
			}
		}
		if dropped != 2 || kept != 1 {
			t.Errorf("%s: the excepted node is dropped in %d directions, the other one allowed in %d:\n%s", family.block, dropped, kept, strings.Join(aclsOf(b, "NetworkPolicy/blue/p"), "\n"))
		}
	}
}

// A policy with more elements than the limit allows nothing by the rules that exceed it, isolates, and has a problem.
func TestPolicyTooLarge(t *testing.T) {
	b := newModelHarness(t)
	b.config.Limits.PolicyElements = 50
	b.restart()
	b.become(named(t, "labelled pods"))
	large, other := excepting("large", "0.0.0.0/0", "10.0.0.0/8"), excepting("other", "10.0.0.0/8")
	for i := range 60 {
		other.Ingress.Rules[0].Blocks = append(other.Ingress.Rules[0].Blocks, block(fmt.Sprintf("10.%d.0.0/16", i), fmt.Sprintf("10.%d.0.1/32", i)))
	}
	b.set(large.Ref(), large)
	b.set(other.Ref(), changed(other, func(p *model.Policy) { p.Ingress.Rules[0].Blocks = p.Ingress.Rules[0].Blocks[1:] }))
	b.converge()
	if !hasProblem(b, other.Ref(), "elements") {
		t.Errorf("problems are %v", b.reports[other.Ref()].Problems)
	}
	for _, acl := range aclsOf(b, other.Ref().String()) {
		if strings.Contains(acl, "allow") {
			t.Errorf("it allows %s", acl)
		}
	}
	if got := aclsOf(b, other.Ref().String()); len(got) != 4 { // isolation, and the earlier tier, in two directions
		t.Errorf("rules are\n%s", strings.Join(got, "\n"))
	}
	if hasProblem(b, large.Ref(), "elements") {
		t.Error("the policy that is within the limit has a problem, too")
	}
}
