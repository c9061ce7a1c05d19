// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// inPod runs a program of the pod's image.
func (t *test) inPod(ctx context.Context, pod *corev1.Pod, argv ...string) (string, error) {
	return t.cluster.Kubectl(ctx, append([]string{"exec", "-n", pod.Namespace, pod.Name, "--"}, argv...)...)
}

// shows waits until the output of a program in each pod contains text and not no.
func (e *egress) shows(what string, argv []string, text, no string) {
	e.Helper()
	start := time.Now()
	e.wait(20*time.Second, what, func(ctx context.Context) string {
		for i := range e.pods {
			out, err := e.inPod(ctx, &e.pods[i], argv...)
			if err != nil || !strings.Contains(out, text) || no != "" && strings.Contains(out, no) {
				return fmt.Sprintf("pod %s: %q, %v; want %q and not %q", e.pods[i].Name, out, err, text, no)
			}
		}
		return ""
	})
	e.say("%s, in both running pods (seen after %.1f s)", what, time.Since(start).Seconds())
}

// works checks that the pods reach each other, the nodes and the outside host, and are unchanged and not restarted.
func (e *egress) works() {
	e.Helper()
	e.pairs(e.pods)
	e.nodesAndPods(e.pods)
	for _, v6 := range e.families() {
		e.egressWorks(e.pods, v6)
	}
	for i, now := range e.ready(e.name, len(e.pods), 10*time.Second) {
		if old := e.pods[i]; now.UID != old.UID || now.Status.PodIP != old.Status.PodIP || now.Status.ContainerStatuses[0].RestartCount > 0 {
			e.Errorf("pod %s was %s %s and is %s %s, restarted %d times", old.Name, old.UID, old.Status.PodIP, now.UID, now.Status.PodIP, now.Status.ContainerStatuses[0].RestartCount)
		}
	}
}

// pinging pings the outside host from the first pod for ten seconds. The returned function checks and logs the lost
// replies.
func (e *egress) pinging() func() {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := e.inPod(e.Context(), &e.pods[0], "/e2e/peer", "steady", sandbox.OutsideAddr(false).String())
		done <- result{text, err}
	}()
	return func() {
		e.Helper()
		r := <-done
		e.must(r.err, "ping the host outside meanwhile: %s", r.text)
		e.say("pings to the host outside meanwhile: %s", r.text)
	}
}

// defaultRoute is the command that lists the default routes of an IP family.
func defaultRoute(v6 bool) []string {
	if v6 {
		return []string{"ip", "-6", "route", "show", "default"}
	}
	return []string{"ip", "route", "show", "default"}
}

// Running pods follow a change of their subnet's gateway, even one while the cniserver was down.
func TestLiveGateway(t *testing.T) { begin(t, shared).liveGateway("10.73.0.0/24") }

func (t *test) liveGateway(cidr string) {
	e := t.leaving("live", cidr, func(*v1.SubnetSpec) {})
	e.works()
	pinged := e.pinging()
	for _, round := range []struct {
		last   uint
		killed bool
	}{{254, false}, {253, true}} {
		var gateways []string
		for _, text := range strings.Split(cidr, ",") {
			p := netip.MustParsePrefix(text)
			raw := p.Addr().AsSlice()
			raw[len(raw)-1] = byte(round.last)
			a, _ := netip.AddrFromSlice(raw)
			gateways = append(gateways, a.String())
		}
		if round.killed {
			t.must(t.cluster.Kill("cniserver", 2, syscall.SIGKILL), "kill cniserver")
		}
		t.patch(e.name, `{"gateway":"`+strings.Join(gateways, ",")+`"}`)
		for _, v6 := range e.families() {
			gateway := gateways[0]
			if v6 {
				gateway = gateways[1]
			}
			e.shows("the default route goes through "+gateway, defaultRoute(v6), "default via "+gateway+" ", "")
			for i := range e.pods {
				if out, err := t.inPod(t.Context(), &e.pods[i], defaultRoute(v6)...); err != nil || strings.Count(out, "default") != 1 {
					t.Errorf("default routes of pod %s: %s, %v", e.pods[i].Name, out, err)
				}
			}
		}
		e.works()
	}
	pinged()
	t.consistent(10 * time.Second)
}

// Running pods follow a change of their subnet's MTU, on both ends of the veth pair.
func TestLiveMTU(t *testing.T) {
	te := begin(t, shared)
	e := te.leaving("sized", "10.74.0.0/24", func(*v1.SubnetSpec) {})
	for _, mtu := range []string{"1300", "1350", "1400"} {
		spec := mtu
		if mtu == "1400" {
			spec = "0" // that of the node
		}
		te.patch(e.name, `{"mtu":`+spec+`}`)
		e.shows("MTU "+mtu, []string{"cat", "/sys/class/net/eth0/mtu"}, mtu, "")
		for i := range e.pods {
			te.wait(10*time.Second, "MTU of the node's end", func(ctx context.Context) string {
				out, err := te.cluster.NodeExec(ctx, nodeNumber(e.pods[i].Spec.NodeName), "ip", "link")
				if line := lineWith(out, "alias woven", e.name+"/"+e.pods[i].Name, "mtu "+mtu+" "); err != nil || line == "" {
					return fmt.Sprint(out, err)
				}
				return ""
			})
		}
		e.works()
	}
}

// lineWith returns the entry of "ip link" that contains all of these texts; "" if none does.
func lineWith(text string, parts ...string) string {
	entries := strings.Split(text, "\n")
	for i, line := range entries {
		// Three lines each: the link, its address, its alias.
		if i+2 < len(entries) {
			if entry := strings.Join(entries[i:i+3], " "); strings.Contains(line, ": ") && containsAll(entry, parts) {
				return entry
			}
		}
	}
	return ""
}

// Pods keep addresses that are excluded later, and no other pod gets them.
func TestLiveExclusion(t *testing.T) {
	te := begin(t, shared)
	e := te.leaving("excluded", "10.75.0.0/24", func(*v1.SubnetSpec) {})
	te.patch(e.name, `{"excludeIps":["10.75.0.1..10.75.0.200"]}`)
	te.wait(10*time.Second, "the exclusion holds", func(ctx context.Context) string {
		var s v1.Subnet
		if err := te.api.Get(ctx, client.ObjectKey{Name: e.name}, &s); err != nil || !strings.HasPrefix(s.Status.V4AvailableIPRange, "10.75.0.201-") {
			return fmt.Sprint(s.Status.V4AvailableIPRange, err)
		}
		return ""
	})
	te.create(te.newPod(e.name, "p3", "n1", nil))
	third := te.becomes(e.name, "p3", 40*time.Second)
	if a := netip.MustParseAddr(third.Status.PodIP); a.Compare(netip.MustParseAddr("10.75.0.200")) <= 0 {
		t.Errorf("the new pod has %s, which is excluded", a)
	}
	te.say("excludeIps now includes the running pods' %s and %s; a new pod has %s", e.pods[0].Status.PodIP, e.pods[1].Status.PodIP, third.Status.PodIP)
	te.remove(third)
	e.works()
	te.consistent(10 * time.Second)
}

// The routes of the annotation are in the pod from its start; an invalid annotation is reported by an event of the pod.
func TestRoutesOfPods(t *testing.T) {
	te := begin(t, shared)
	ns := te.namespace("routes", nil)
	key := annotations.Key(annotations.DefaultProvider, annotations.SuffixRoutes)
	routes, err := json.Marshal([]map[string]string{
		{"dst": "203.0.113.0/24", "gw": "10.16.0.250"}, {"dst": sandbox.OutsideAddr(false).String() + "/32", "gw": "10.16.0.1"}, {"dst": "198.51.100.0/24"},
	})
	te.must(err, "write routes")
	te.create(te.newPod(ns, "good", "n1", map[string]string{key: string(routes)}))
	te.create(te.newPod(ns, "garbled", "n1", map[string]string{key: `[{"dst":"203.0.113.0/24"`}))
	te.create(te.newPod(ns, "elsewhere", "n1", map[string]string{key: `[{"dst":"203.0.113.0/24","gw":"fd00::1"}]`}))
	good := te.becomes(ns, "good", 40*time.Second)
	out, err := te.inPod(t.Context(), good, "ip", "route")
	te.must(err, "list routes")
	for _, want := range []string{
		"203.0.113.0/24 via 10.16.0.250", sandbox.OutsideAddr(false).String() + " via 10.16.0.1", "198.51.100.0/24 via 10.16.0.1", "default via 10.16.0.1",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the pod has no route %q:\n%s", want, out)
		}
	}
	te.say("routes of a pod: %s", strings.ReplaceAll(strings.TrimSpace(out), "\n", "; "))
	te.egressWorks([]corev1.Pod{*good}, false)
	te.warning(40*time.Second, ns, "garbled", key, "JSON")
	te.warning(40*time.Second, ns, "elsewhere", key, "fd00::1", "203.0.113.0/24")
	te.remove(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "garbled"}}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "elsewhere"}})
	te.consistent(10 * time.Second)
}
