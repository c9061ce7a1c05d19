// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// repairLimit is generous, because the machine may be busy. The test prints the actual time.
const repairLimit = 5 * time.Second

// Our rows are restored after other clients delete or change them; rows of others stay.
func TestDrift(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	namespace := te.namespace("drift", nil)
	te.create(te.newPod(namespace, "a", "n1", nil))
	te.create(te.newPod(namespace, "b", "n2", nil))
	pods := te.ready(namespace, 2, 30*time.Second)

	te.nbctl("ls-add", "by-hand")
	te.after(func() { te.nbctl("--if-exists", "ls-del", "by-hand") })
	te.nbctl("lsp-add", "ovn-default", "by-hand-port", "--", "lsp-set-addresses", "by-hand-port", "00:00:00:11:22:33 10.16.200.200")
	te.after(func() { te.nbctl("--if-exists", "lsp-del", "by-hand-port") })
	te.nbctl("lr-policy-add", "ovn-cluster", "12345", "ip4.src == 10.16.200.200", "drop")
	te.after(func() { te.nbctl("lr-policy-del", "ovn-cluster", "12345") })

	te.comesBack("the port of a pod", nb.LogicalSwitchPortTable, "a.drift", "lsp-del", "a.drift")
	te.comesBack("the port of a node", nb.LogicalSwitchPortTable, "node-n1", "lsp-del", "node-n1")
	te.comesBack("a router port", nb.LogicalRouterPortTable, "ovn-cluster-ovn-default", "lrp-del", "ovn-cluster-ovn-default")
	te.comesBack("a switch port", nb.LogicalSwitchPortTable, "ovn-default-ovn-cluster", "lsp-del", "ovn-default-ovn-cluster")
	egress := te.policy(29000, "node-n2")
	te.comesBack("a router policy", nb.LogicalRouterPolicyTable, egress, "lr-policy-del", "ovn-cluster", egress)
	te.comesBack("the default route", nb.LogicalRouterStaticRouteTable, "0.0.0.0/0", "lr-route-del", "ovn-cluster", "0.0.0.0/0")
	te.comesBack("a whole switch", nb.LogicalSwitchTable, "join", "ls-del", "join")
	te.changesBack(pods)
	te.aclComesBack()

	te.consistent(convergeTimeout)
	for table, names := range map[string][]string{
		nb.LogicalSwitchTable: {"by-hand"}, nb.LogicalSwitchPortTable: {"by-hand-port"},
	} {
		for _, name := range names {
			if te.rowUUID(table, name) == "" {
				t.Errorf("%s %s, created by another client, is gone", table, name)
			}
		}
	}
	policies, err := te.cluster.NBCtl(t.Context(), "lr-policy-list", "ovn-cluster")
	te.must(err, "list policies")
	if !strings.Contains(policies, "12345") {
		t.Errorf("the policy of another client is gone:\n%s", policies)
	}
	te.say("rows of other clients are unchanged: a switch, a port in our switch, a policy in our router")
	te.pairs(pods)
	te.egressWorks(pods, false)
}

func (t *test) nbctl(args ...string) {
	t.Helper()
	// The context of the test has ended when it cleans up.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := t.cluster.NBCtl(ctx, args...)
	t.must(err, "ovn-nbctl %s", strings.Join(args, " "))
}

// comesBack deletes a row with ovn-nbctl and measures the time until ovn-nbctl finds it again.
func (t *test) comesBack(what, table, name string, deletion ...string) {
	t.Helper()
	before := t.rowUUID(table, name)
	if before == "" {
		t.Fatalf("%s: there is no %s %s", what, table, name)
	}
	t.nbctl(deletion...)
	start := time.Now()
	// Poll: a monitor may not report a row that is deleted and inserted again at once.
	t.wait(repairLimit, what+" is back", func(ctx context.Context) string {
		if _, err := t.cluster.NBCtl(ctx, "--columns=_uuid", "list", table, before); err != nil {
			return err.Error()
		}
		return ""
	})
	took := time.Since(start)
	t.say("drift: %s (%s), deleted with ovn-nbctl, was restored within %s", what, name, took.Round(time.Millisecond))
}

// rowUUID finds a row by name, or a policy by its UUID, or a route by its prefix; empty if there is none.
func (t *test) rowUUID(table, name string) string {
	found := ""
	description := fact.TableOf(table)
	eachRow(t.sources.NB, table, func(uuid string, row any) bool {
		route, isRoute := row.(*nb.LogicalRouterStaticRoute)
		if uuid == name || description.RowName(row) == name && name != "" || isRoute && route.IPPrefix == name {
			found = uuid
		}
		return found == ""
	})
	return found
}

// policy is the UUID of a router policy with this priority and this text in its match.
func (t *test) policy(priority int, text string) string {
	t.Helper()
	found := ""
	eachRow(t.sources.NB, nb.LogicalRouterPolicyTable, func(uuid string, row any) bool {
		if p, ok := row.(*nb.LogicalRouterPolicy); ok && p.Priority == priority && strings.Contains(p.Match, text) {
			found = uuid
		}
		return found == ""
	})
	if found == "" {
		t.Fatalf("there is no router policy of priority %d about %s", priority, text)
	}
	return found
}

// changesBack checks that a changed column of ours is restored, and that keys and elements of others stay.
func (t *test) changesBack(pods []corev1.Pod) {
	t.Helper()
	name := pods[0].Name + ".drift"
	address := pods[0].Annotations["ovn.kubernetes.io/mac_address"] + " " + pods[0].Status.PodIP
	start := time.Now()
	t.nbctl("lsp-set-addresses", name, "00:00:00:99:99:99 10.16.99.99", "--", "set", "Logical_Switch_Port", name, "external_ids:someone=else")
	t.wait(repairLimit, "addresses of port "+name+" are restored", func(context.Context) string {
		problem := "there is no port " + name
		eachRow(t.sources.NB, nb.LogicalSwitchPortTable, func(_ string, row any) bool {
			p, ok := row.(*nb.LogicalSwitchPort)
			switch {
			case !ok || p.Name != name:
			case strings.Join(p.Addresses, ",") != address:
				problem = "addresses are " + strings.Join(p.Addresses, ",")
			case p.ExternalIDs["someone"] != "else":
				problem = "external_ids:someone, which is not ours, is gone"
			default:
				problem = ""
			}
			return true
		})
		return problem
	})
	t.say("drift: addresses of %s, changed with ovn-nbctl, were restored within %s, and the external_id of another client stays", name, time.Since(start).Round(time.Millisecond))
	if answers, err := t.ask(t.Context(), &pods[0], []wire.Target{{How: wire.Hello, Address: hostPort(pods[1].Status.PodIP, wire.HelloPort)}}); err != nil || answers[0].Error != "" {
		t.Errorf("traffic after repair: %v, %v", answers, err)
	}
}

// aclComesBack deletes the ACL that makes a subnet private. The ACL is restored, the counter grows, and an event of the
// Subnet reports it.
func (t *test) aclComesBack() {
	t.Helper()
	subnet := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "private"}, Spec: v1.SubnetSpec{CIDRBlock: "10.18.0.0/24", Private: true}}
	t.create(subnet)
	rule := ""
	t.wait(20*time.Second, "the subnet is private", func(context.Context) string {
		eachRow(t.sources.NB, nb.ACLTable, func(uuid string, row any) bool {
			if acl, ok := row.(*nb.ACL); ok && acl.ExternalIDs["subnet"] == subnet.Name && acl.Action == nb.ACLActionDrop {
				rule = uuid
			}
			return rule == ""
		})
		return map[bool]string{true: "no rule drops anything"}[rule == ""]
	})
	repairs := t.repairs(nb.ACLTable)
	t.comesBack("a rule of a private subnet", nb.ACLTable, rule, "remove", "Logical_Switch", subnet.Name, "acls", rule)
	t.wait(repairLimit, "the counter of repairs grows", func(context.Context) string {
		if now := t.repairs(nb.ACLTable); now <= repairs {
			return fmt.Sprintf("%d repairs before, %d now", repairs, now)
		}
		return ""
	})
	t.wait(20*time.Second, "an event reports it", func(ctx context.Context) string {
		out, err := t.cluster.Kubectl(ctx, "get", "events", "-A", "--field-selector=reason=DriftRepaired,involvedObject.kind=Subnet,involvedObject.name="+subnet.Name,
			"-o", "jsonpath={range .items[*]}{.type} {.message}{end}")
		if err != nil || !strings.HasPrefix(out, "Warning ") || !strings.Contains(out, "ACL "+subnet.Name+"/") || !strings.Contains(out, "was deleted: it is created again") {
			return fmt.Sprintf("%q, %v", out, err)
		}
		return ""
	})
	t.say("drift: reported by a counter (%d → %d) and an event", repairs, t.repairs(nb.ACLTable))
}

// repairs reads the controller's counter of repaired rows in a table.
func (t *test) repairs(table string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: t.cluster.DialControl}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:10660/metrics", nil)
	t.must(err, "read the controller's metrics")
	response, err := client.Do(request)
	t.must(err, "read the controller's metrics")
	defer func() { _ = response.Body.Close() }()
	out, err := io.ReadAll(response.Body)
	t.must(err, "read the controller's metrics")
	for line := range strings.Lines(string(out)) {
		if value, ok := strings.CutPrefix(line, `woven_drift_repairs_total{table="`+table+`"} `); ok {
			count, err := strconv.Atoi(strings.TrimSpace(value))
			t.must(err, "read the counter of repairs")
			return count
		}
	}
	return 0
}

func eachRow(db check.Database, table string, fn func(uuid string, row any) bool) {
	db.Each(table, func(uuid string, row model.Model) bool { return fn(uuid, row) })
}
