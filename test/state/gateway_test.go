// SPDX-License-Identifier: Apache-2.0

package state

import (
	"testing"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// nexthops are the join addresses to which what leaves the subnet blue is sent.
func nexthops(b *harness) []string {
	p, ok := b.db.Peek(nb.LogicalRouterPolicyTable, fact.UUIDOf(nb.LogicalRouterPolicyTable, "gateway/blue/ip4")).(*nb.LogicalRouterPolicy)
	if !ok {
		return nil
	}
	return p.Nexthops
}

func joinAddress(b *harness, node string) string {
	return recordOf(b, model.NodePortName(node)).String()
}

func (b *harness) ready(name, address string, ready bool) {
	b.put(ref(model.KindNode, "", name), changed(node(name, address), func(n *model.Node) { n.Ready = ready }))
	b.converge()
}

// The active gateway node is a recorded choice: it changes when that node is not
// ready any more, in one operation, and not when a better one comes back.
func TestGatewayFailsOver(t *testing.T) {
	b := harnessIn(t, "centralized")
	expect := func(when, node string) {
		t.Helper()
		if got := nexthops(b); len(got) != 1 || got[0] != joinAddress(b, node) {
			t.Errorf("%s: traffic leaves by %v, want %s (%s)", when, got, node, joinAddress(b, node))
		}
	}
	expect("at first", "n2")
	ops := b.ops
	b.ready("n2", "192.168.77.12", false)
	expect("n2 is not ready", "n1")
	if b.ops-ops != 1 {
		t.Errorf("the change took %d operations", b.ops-ops)
	}
	b.ready("n2", "192.168.77.12", true)
	expect("n2 is back", "n1")
	b.restart()
	b.converge()
	expect("after a restart", "n1")
	b.ready("n2", "192.168.77.12", false)
	b.ready("n1", "192.168.77.11", false)
	expect("nobody is ready", "n1")
	if !hasProblem(b, ref(model.KindSubnet, "", "blue"), "no gateway node of Subnet blue is ready") {
		t.Errorf("problems are %v", b.reports[ref(model.KindSubnet, "", "blue")].Problems)
	}
	b.ready("n2", "192.168.77.12", true)
	expect("n2 alone is ready", "n2")
}

// A lost heartbeat moves the gateway at once, and when all are lost nothing moves:
// that is a failure of the API server, not of the nodes.
func TestGatewayFollowsHeartbeats(t *testing.T) {
	b := harnessIn(t, "centralized")
	beat := func(node string, lost bool, want string) {
		t.Helper()
		b.put(ref(model.KindHeartbeat, "", node), heartbeat(node, lost))
		b.converge()
		if got := nexthops(b); len(got) != 1 || got[0] != joinAddress(b, want) {
			t.Errorf("heartbeat of %s, lost %v: traffic leaves by %v, want %s", node, lost, got, want)
		}
	}
	beat("n2", false, "n2")
	beat("n1", true, "n2")
	beat("n2", true, "n2")
	beat("n1", false, "n1")
	beat("n2", false, "n1")
	b.remove(ref(model.KindHeartbeat, "", "n1"))
	b.converge()
	beat("n2", true, "n1")
}
