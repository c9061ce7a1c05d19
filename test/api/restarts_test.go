// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	ovsdbclient "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

var (
	restarts     = flag.Int("restarts", 10, "number of times that TestRestarts kills the controller")
	restartPods  = flag.Int("restart-pods", 500, "number of pods that TestRestarts creates and deletes")
	restartSeed  = flag.Uint64("restart-seed", 1, "random seed of TestRestarts")
	restartsRace = flag.Bool("restarts-race", false, "run the controller of TestRestarts with the race detector")
)

// TestRestarts kills the controller repeatedly while pods are created and deleted, with fewer addresses than pods. At
// no moment may two pods have the same address, and in the end nothing is left.
func TestRestarts(t *testing.T) {
	b := newHarness(t)
	if *restartsRace {
		b.program = Build(t, "cmd/controller", "-race")
	}
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	b.server.AddNode("n2", "172.18.0.2")
	h := watchAll(t, b.server)
	c := newChurn(t, b, *restartPods, *restartSeed)
	led := &leader{harness: b, identity: "first"}
	led.ControllerProcess = led.startAs(t, led.identity)
	db := b.nb.Client(t)
	empty := b.still(t, db)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.run(ctx, t) }()
	random := rand.New(rand.NewPCG(*restartSeed, 2)) //nolint:gosec // the order of a test
	for i := range *restarts {
		led.await(t, h, c, random.IntN(*restartPods))
		led.replace(t, i)
	}
	stop()
	<-ended
	Eventually(t, "every pod that can has an address", startTime, func(ctx context.Context) error { return c.consistent(ctx, db, empty) })
	until := revisionNow(t, b.client)
	c.clear(t)
	Eventually(t, "all is as it was before the first pod", startTime, func(ctx context.Context) error {
		now, err := observe(ctx, b.client, db)
		if err == nil && now != empty {
			err = errors.New(nbtest.Diff(empty, now))
		}
		return err
	})
	h.await(t, "the history is complete", func() bool { return h.pods() == 0 })
	h.judge(t, c.keeps, until)
	replayPorts(t, b.nb)
	led.check(t)
	t.Logf("%d changes, %d versions of pods and IPs, %d writes of addresses, %d restarts", c.ops.Load(), len(h.moments), h.written, *restarts)
}

// leader is the current controller.
type leader struct {
	*ControllerProcess
	harness  *harness
	identity string
	past     []*ControllerProcess
}

// startAs runs a controller. A successor with the same identity need not wait for the lease.
func (l *leader) startAs(t *testing.T, identity string) *ControllerProcess {
	t.Helper()
	return l.harness.start(t, "--leader-elect-identity="+identity,
		"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms")
}

// await waits for the given number of address writes, and for as many changes of pods as there are pods.
func (l *leader) await(t *testing.T, h *history, c *churn, writes int) {
	t.Helper()
	ops := c.ops.Load() + int64(*restartPods)
	h.mu.Lock()
	writes += h.written + 1
	h.mu.Unlock()
	h.await(t, fmt.Sprintf("there are %d writes", writes), func() bool { return h.written >= writes && c.ops.Load() >= ops })
}

// replace kills the leader and starts its successor. Every fourth successor is already a standby, and leads when the
// lease has expired.
func (l *leader) replace(t *testing.T, round int) {
	t.Helper()
	l.past = append(l.past, l.ControllerProcess)
	var standby *ControllerProcess
	if round%4 == 3 {
		l.identity = fmt.Sprint("standby", round)
		standby = l.startAs(t, l.identity)
		awaitPage(t, standby, "/readyz", "ok")
	}
	if l.Ended() {
		t.Fatalf("the controller has exited:\n%s", l.Tail())
	}
	l.Kill()
	if l.ControllerProcess = standby; standby == nil {
		l.ControllerProcess = l.startAs(t, l.identity)
	}
}

// check reads the output of all controllers.
func (l *leader) check(t *testing.T) {
	t.Helper()
	for _, p := range append(l.past, l.ControllerProcess) {
		if out := p.Output(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic") {
			t.Errorf("a controller says:\n%s", out)
		}
	}
}

// still waits until everything permanent exists, and returns its observation.
func (b *harness) still(t *testing.T, db *ovsdbclient.DB) (empty string) {
	t.Helper()
	Eventually(t, "nodes, subnets and pool are in place", startTime, func(ctx context.Context) (err error) {
		if empty, err = observe(ctx, b.client, db); err != nil {
			return err
		}
		for _, line := range []string{
			"IP node-n1", "IP node-n2", "Subnet join ready using 2 0 available 65531 0", "Subnet ovn-default ready using 0 0 available 65533 0",
			"Subnet small ready using 0 0 available 61 65533", "IPPool few ready using 0 0 available 20 0",
		} {
			if !strings.Contains(empty, line) {
				return fmt.Errorf("it says not %q but\n%s", line, empty)
			}
		}
		return nil
	})
	return empty
}

// observe returns as text what must be the same before the first pod and after the last.
func observe(ctx context.Context, c client.Client, db *ovsdbclient.DB) (string, error) {
	ips, subnets, pools := &v1.IPList{}, &v1.SubnetList{}, &v1.IPPoolList{}
	if err := errors.Join(c.List(ctx, ips), c.List(ctx, subnets), c.List(ctx, pools)); err != nil {
		return "", err
	}
	var out strings.Builder
	for i := range ips.Items {
		fmt.Fprintf(&out, "IP %s\n", ips.Items[i].Name)
	}
	state := func(kind, name string, conditions []v1.Condition, numbers ...v1.BigInt) {
		ready := "not ready"
		if r := v1.FindCondition(conditions, v1.ConditionReady); r != nil && r.Status == metav1.ConditionTrue {
			ready = "ready"
		}
		fmt.Fprintf(&out, "%s %s %s using %s %s available %s %s\n", kind, name, ready, numbers[0], numbers[1], numbers[2], numbers[3])
	}
	for i := range subnets.Items {
		s := &subnets.Items[i].Status
		state("Subnet", subnets.Items[i].Name, s.Conditions, s.V4UsingIPs, s.V6UsingIPs, s.V4AvailableIPs, s.V6AvailableIPs)
		fmt.Fprintf(&out, "%s | %s | %s | %s\n", s.V4UsingIPRange, s.V6UsingIPRange, s.V4AvailableIPRange, s.V6AvailableIPRange)
	}
	for i := range pools.Items {
		s := &pools.Items[i].Status
		state("IPPool", pools.Items[i].Name, s.Conditions, s.V4UsingIPs, s.V6UsingIPs, s.V4AvailableIPs, s.V6AvailableIPs)
	}
	out.WriteString(nbtest.Dump(db, nbtest.Without(nb.NBGlobalTable))) // which holds the leader's epoch
	return out.String(), nil
}

// consistent compares pods, IP objects and ports.
func (c *churn) consistent(ctx context.Context, db *ovsdbclient.DB, empty string) error {
	pods, ips := &corev1.PodList{}, &v1.IPList{}
	if err := errors.Join(c.client.List(ctx, pods), c.client.List(ctx, ips)); err != nil {
		return err
	}
	if err := c.expect(pods.Items); err != nil {
		return err
	}
	records, ports := map[string]*v1.IP{}, map[string]*nb.LogicalSwitchPort{}
	for i := range ips.Items {
		if name := ips.Items[i].Name; !strings.Contains(empty, "IP "+name+"\n") {
			records[name] = &ips.Items[i]
		}
	}
	for _, uuid := range db.UUIDs(nb.LogicalSwitchPortTable) {
		if p, ok := db.Row(nb.LogicalSwitchPortTable, uuid).(*nb.LogicalSwitchPort); ok && p.Options["iface-id-ver"] != "" {
			ports[p.Name] = p
		}
	}
	var all error
	for i := range pods.Items {
		pod := &pods.Items[i]
		name, address, mac := pod.Name+"."+pod.Namespace, pod.Annotations[annotations.IPAddress], pod.Annotations[annotations.MACAddress]
		ip, port := records[name], ports[name]
		delete(records, name)
		delete(ports, name)
		if pod.Annotations[annotations.Routed] != "true" {
			address = "" // the annotation is a request
		}
		switch {
		case address == "" && ip == nil && port == nil:
		case ip == nil || ip.Spec.IPAddress != address || ip.Spec.MacAddress != mac || ip.Spec.NodeName != pod.Spec.NodeName:
			all = errors.Join(all, fmt.Errorf("pod %s has %s %s, its record is %+v", name, address, mac, ip))
		case port == nil || port.Options["iface-id-ver"] != string(pod.UID) || !slices.Equal(port.Addresses, []string{mac + " " + strings.ReplaceAll(address, ",", " ")}):
			all = errors.Join(all, fmt.Errorf("pod %s has %s %s, its port is %+v", name, address, mac, port))
		}
	}
	maps.DeleteFunc(records, func(name string, _ *v1.IP) bool { return c.keeps(name) || c.scaledIn(ctx, name) })
	if len(records)+len(ports) > 0 {
		all = errors.Join(all, fmt.Errorf("of no pod: records %v, ports %v", slices.Collect(maps.Keys(records)), slices.Collect(maps.Keys(ports))))
	}
	return all
}

// scaledIn reports whether the StatefulSet "scaled" has the pod of a record.
func (c *churn) scaledIn(ctx context.Context, record string) bool {
	set := newSet("scaled", 0)
	name, ordinal, ok := model.OrdinalOf(strings.TrimSuffix(record, ".default"))
	return ok && name == set.Name && c.client.Get(ctx, client.ObjectKeyFromObject(set), set) == nil && ordinal < int(*set.Spec.Replicas)
}

// pods counts the existing pods, from the history.
func (h *history) pods() int {
	last := map[string]bool{}
	for _, m := range h.moments {
		if !m.record {
			last[m.name] = m.gone
		}
	}
	n := 0
	for _, gone := range last {
		if !gone {
			n++
		}
	}
	return n
}
