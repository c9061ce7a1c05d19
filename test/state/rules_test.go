// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// The tests of this file hold the rules of the core that the walks of TestStates do not show by themselves; the numbers
// are those of docs/design/architecture.md.

func named(t *testing.T, name string) state {
	t.Helper()
	for _, s := range states() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no state %q", name)
	return state{}
}

func harnessIn(t *testing.T, name string) *harness {
	t.Helper()
	b := newModelHarness(t)
	b.become(named(t, name))
	b.converge()
	return b
}

func port(b *harness, name string) *nb.LogicalSwitchPort {
	p, _ := b.db.Peek(nb.LogicalSwitchPortTable, fact.UUIDOf(nb.LogicalSwitchPortTable, name)).(*nb.LogicalSwitchPort)
	return p
}

func hasProblem(b *harness, r model.Ref, text string) bool {
	return slices.ContainsFunc(b.reports[r].Problems, func(p model.Problem) bool { return strings.Contains(p.Error(), text) })
}

// Rule 2: a pod that joins a large switch is one row and one element, whatever the size of the switch.
func TestMembershipIsDeclaredByTheMember(t *testing.T) {
	b := harnessIn(t, "pods")
	ops := b.ops
	b.set(ref(model.KindPod, "default", "new"), pod("default", "new", "n1"))
	b.converge()
	if got := b.ops - ops; got != 2 { // the insert and the mutation of Logical_Switch.ports
		t.Errorf("a new pod costs %d operations", got)
	}
}

// Rule 3: the identity of a row is pure and contains its owner.
func TestIdentityIsDeclared(t *testing.T) {
	b := harnessIn(t, "pods")
	p := port(b, "a.default")
	if p == nil {
		t.Fatal("the port is not where its name says")
	}
	if p.ExternalIDs[fact.OwnerKey] != "Pod/default/a" || p.ExternalIDs[fact.VendorKey] != fact.Vendor {
		t.Errorf("markers are %v", p.ExternalIDs)
	}
}

// Rule 4: a name that another client uses is a problem of our object, which waits for it; the other row is left alone.
func TestTakenNameIsLeftAlone(t *testing.T) {
	b := newModelHarness(t)
	foreign := fact.UUIDOf("test", "foreign switch")
	b.transact(ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, UUID: foreign, Row: ovsdb.Row{"name": "ovn-default"}})
	b.converge()
	b.become(named(t, "pods"))
	b.converge()
	subnet := ref(model.KindSubnet, "", "ovn-default")
	if !hasProblem(b, subnet, "exists in the northbound database and is not Woven's") {
		t.Errorf("the subnet's problems are %v", b.reports[subnet].Problems)
	}
	if port(b, "a.default") != nil {
		t.Error("a port was added to the switch of another client")
	}
	if b.db.Peek(nb.LogicalSwitchTable, foreign) == nil {
		t.Fatal("the other switch is gone")
	}
	if port(b, "node-n1") == nil {
		t.Error("other objects have stopped, too")
	}
	b.transact(ovsdb.Operation{Op: "delete", Table: nb.LogicalSwitchTable, Where: where(foreign)})
	b.converge()
	if port(b, "a.default") == nil || len(b.reports[subnet].Problems) > 0 {
		t.Errorf("once the name is free: port %v, problems %v", port(b, "a.default"), b.reports[subnet].Problems)
	}
}

// Rule 6: nothing is written before all that exists is known and compiled.
func TestStartBarrier(t *testing.T) {
	b := harnessIn(t, "pods")
	before := dump(b.db)
	b.start()
	b.lead()
	b.apply(ref(model.KindVpc, "", "ovn-cluster"), b.objects[ref(model.KindVpc, "", "ovn-cluster")])
	b.converge()
	if after := dump(b.db); after != before {
		t.Error("rows were changed although most objects are not known yet")
	}
}

// Rule 6: the rows of an object that exists and does not compile are unchanged, and so are those of its dependents:
// rows and elements are neither changed nor swept, even by a new process that has never seen it valid.
func TestInvalidObjectKeepsItsRows(t *testing.T) {
	b := harnessIn(t, "bound namespace")
	before := dump(b.db)
	invalid := engine.Change{
		Ref:      ref(model.KindSubnet, "", "blue"),
		Problems: []model.Problem{{Reason: "ValidateLogicalSwitchFailed", Field: "spec.cidrBlock", Message: "no CIDR", Fatal: true}},
	}
	if err := b.core.Apply(invalid); err != nil {
		t.Fatal(err)
	}
	b.converge()
	if after := dump(b.db); after != before {
		t.Error("a subnet that became invalid has changed the database")
	}
	if !hasProblem(b, invalid.Ref, "no CIDR") {
		t.Errorf("problems are %v", b.reports[invalid.Ref].Problems)
	}
	valid := b.objects[invalid.Ref]
	delete(b.objects, invalid.Ref)
	b.start()
	for _, r := range sortedRefs(b.objects) {
		b.apply(r, b.objects[r])
	}
	if err := b.core.Apply(invalid); err != nil {
		t.Fatal(err)
	}
	b.core.KubeSynced()
	b.lead()
	b.converge()
	if after := dump(b.db); after != before {
		t.Error("a fresh process has changed rows of a subnet that it cannot read")
	}
	b.set(invalid.Ref, valid)
	b.converge()
	b.compare("fixed")
}

// Rule 8: an operation of one owner that the database refuses does not stop other owners, and the owner has a problem.
func TestBadFactDoesNotStopTheRest(t *testing.T) {
	b := newModelHarness(t)
	bad := pod("default", "bad", "n1")
	b.become(named(t, "pods").with("bad", bad))
	b.refuse = func(ops []ovsdb.Operation) int {
		return slices.IndexFunc(ops, func(op ovsdb.Operation) bool { return op.Row["name"] == "bad.default" })
	}
	b.converge()
	if port(b, "a.default") == nil || port(b, "b.default") == nil {
		t.Error("the bad pod has stopped the others")
	}
	if r := ref(model.KindPod, "default", "bad"); !hasProblem(b, r, "refuses Logical_Switch_Port bad.default") {
		t.Errorf("problems are %v", b.reports[r].Problems)
	}
	b.refuse = nil
	b.now = b.now.Add(1 << 40)
	b.core.Retry()
	b.converge()
	if port(b, "bad.default") == nil {
		t.Error("the pod is not tried again")
	}
}

// Rule 9: a leader that was paused can do nothing after another has taken over.
func TestFence(t *testing.T) {
	b := newModelHarness(t)
	old := b.fence
	if _, err := commit.TakeOver(t.Context(), b.db, commit.Claim{}); err != nil {
		t.Fatal(err)
	}
	b.become(named(t, "base"))
	b.core.Step()
	b.fence = old
	units := b.core.Next()
	if len(units) == 0 {
		t.Fatal("there is nothing to write")
	}
	b.mustBeFenced(units)
}

// Rule 10: a released address goes to the end of the queue, and a full subnet serves waiting pods as soon as one is
// free, without polling.
func TestAddressesAreReusedLast(t *testing.T) {
	b := harnessIn(t, "full subnet")
	waiting := ref(model.KindPod, "tiny", "b")
	holder, other := ref(model.KindPod, "tiny", "a"), waiting
	if len(b.reports[waiting].Problems) == 0 {
		holder, other = waiting, holder
	}
	if !hasProblem(b, other, "tiny") {
		t.Fatalf("problems are %v", b.reports[other].Problems)
	}
	b.set(holder, nil)
	b.converge()
	if len(b.reports[other].Problems) > 0 {
		t.Errorf("problems are still %v", b.reports[other].Problems)
	}
	if port(b, other.Name+".tiny") == nil {
		t.Error("the waiting pod was not served")
	}
	b = harnessIn(t, "pods")
	first := recordOf(b, "a.default")
	b.set(ref(model.KindPod, "default", "a"), nil)
	b.converge()
	b.set(ref(model.KindPod, "default", "z"), pod("default", "z", "n1"))
	b.converge()
	if again := recordOf(b, "z.default"); again == first {
		t.Errorf("address %s is allocated again at once", first)
	}
}

func recordOf(b *harness, name string) netip.Addr {
	ip, _ := b.objects[ref(model.KindIP, "", name)].(*model.IP)
	return ip.Addrs.V4
}

// Rule 10: a running pod whose record is taken away keeps its address.
func TestLostRecordIsWrittenAgain(t *testing.T) {
	b := harnessIn(t, "pods")
	before, was := dump(b.db), recordOf(b, "a.default")
	b.set(ref(model.KindIP, "", "a.default"), nil)
	b.converge()
	if got := recordOf(b, "a.default"); got != was {
		t.Errorf("the pod has %s and its record says %s", was, got)
	}
	if after := dump(b.db); after != before {
		t.Error("the port has changed")
	}
}

// Rule 12: an address is announced only when its port is in the database, and freed only when the port is gone.
func TestWritesFollowCommits(t *testing.T) {
	b := harnessIn(t, "nodes")
	b.observe = func(what string) {
		there := port(b, "a.default") != nil
		if strings.HasPrefix(what, "compile.Annotate {Object:Pod/default/a") && !there {
			t.Error("the pod is annotated before it has a port")
		}
		if strings.HasPrefix(what, "compile.Release {IP:a.default") && there {
			t.Error("the address is freed while the port is there")
		}
	}
	b.set(ref(model.KindPod, "default", "a"), pod("default", "a", "n1"))
	b.converge()
	b.set(ref(model.KindPod, "default", "a"), nil)
	b.converge()
	if !slices.ContainsFunc(b.written, func(s string) bool { return strings.HasPrefix(s, "compile.Release {IP:a.default") }) {
		t.Error("the address is not freed")
	}
}

// Rule 13: without the database the controller keeps its state, and catches up.
func TestDatabaseAway(t *testing.T) {
	b := harnessIn(t, "nodes")
	b.core.NBLost()
	b.become(named(t, "pods"))
	b.converge()
	if port(b, "a.default") != nil {
		t.Fatal("something was written to a database that is not there")
	}
	b.view.Reset()
	b.core.NBSynced()
	b.converge()
	b.compare("database back")
}

// Rule 14: a change that leaves the projection equal compiles nothing.
func TestEqualProjectionCompilesNothing(t *testing.T) {
	b := harnessIn(t, "pods")
	b.resend()
	subnet := ref(model.KindSubnet, "", "ovn-default")
	o, _ := b.objects[subnet].(*model.Subnet)
	compiled := b.compiled
	b.set(subnet, changed(o, func(s *model.Subnet) { s.MTU = 1400 })) // no pod depends on it in OVN
	b.converge()
	if pods := b.compiled[model.KindPod] - compiled[model.KindPod]; pods > 0 {
		t.Errorf("the MTU of a subnet woke %d pods", pods)
	}
}

// A pod that requests a missing subnet waits for it with a problem, and is served when it is created.
func TestWaitingForASubnet(t *testing.T) {
	b := harnessIn(t, "waiting for a subnet")
	p := ref(model.KindPod, "blue", "a")
	if !hasProblem(b, p, "missing") {
		t.Fatalf("problems are %v", b.reports[p].Problems)
	}
	b.set(ref(model.KindSubnet, "", "missing"), subnet("missing", "10.20.0.0/24"))
	b.converge()
	if port(b, "a.blue") == nil || len(b.reports[p].Problems) > 0 {
		t.Errorf("port %v, problems %v", port(b, "a.blue"), b.reports[p].Problems)
	}
}

// The owners of rows that another client changed and we reverted are reported: once for all changes of an object.
func TestRepairsAreReported(t *testing.T) {
	b := harnessIn(t, "services")
	blue, _ := b.objects[ref(model.KindSubnet, "", "blue")].(*model.Subnet)
	b.set(ref(model.KindSubnet, "", "blue"), changed(blue, func(s *model.Subnet) { s.Private = true }))
	b.converge()
	b.repaired = nil
	acls := fact.TableOf(nb.ACLTable)
	var drop []ovsdb.Operation
	for _, uuid := range uuidsOf(b.db, nb.ACLTable) {
		row := b.db.Peek(nb.ACLTable, uuid)
		if acl, ok := row.(*nb.ACL); ok && acl.ExternalIDs["subnet"] == "blue" && acl.Action == nb.ACLActionAllowRelated {
			drop = append(drop, unlinking(nb.LogicalSwitchTable, acls.ParentColumn(nb.LogicalSwitchTable), uuid))
		}
	}
	web := fact.UUIDOf(nb.LoadBalancerTable, "service/default/web/tcp")
	b.transact(append(drop, ovsdb.Operation{Op: "update", Table: nb.LoadBalancerTable, Where: where(web), Row: ovsdb.Row{"vips": ovsdb.OvsMap{GoMap: map[any]any{}}}},
		unlinking(nb.LoadBalancerGroupTable, "load_balancer", web))...)
	b.converge()
	var got []string
	for _, r := range b.repaired {
		got = append(got, fmt.Sprintf("%s %d: %s", r.Ref, r.Changes, r.What))
	}
	slices.Sort(got)
	want := []string{
		"Service/default/web 2: Load_Balancer service/default/web/tcp, column vips changed: restored",
		fmt.Sprintf("Subnet//blue %d: ACL blue/", len(drop)),
	}
	if len(drop) == 0 || len(got) != len(want) || got[0] != want[0] || !strings.HasPrefix(got[1], want[1]) || !strings.HasSuffix(got[1], " was deleted: it is created again") {
		t.Errorf("reported:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
