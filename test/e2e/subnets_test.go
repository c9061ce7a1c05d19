// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// subnet is a Subnet of the default Vpc.
func subnet(name, cidr string, namespaces ...string) *v1.Subnet {
	s := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s.Spec.CIDRBlock, s.Spec.Namespaces, s.Spec.NatOutgoing = cidr, namespaces, true
	return s
}

// Pods get addresses from the subnet of their namespace or of their annotations.
func TestSubnetOfNamespace(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	before := te.inventory()
	blue, green, ns := subnet("blue", "10.50.0.0/24", "by-spec"), subnet("green", "10.51.0.0/24"), "by-spec"
	te.create(blue)
	te.create(green)
	te.namespace(ns, nil)
	te.namespace("by-note", map[string]string{annotations.LogicalSwitch: "green"})
	te.namespace("plain", nil)

	te.create(te.newPod("by-spec", "a", "n1", nil))
	te.create(te.newPod("by-spec", "fixed", "n2", map[string]string{annotations.IPAddress: "10.50.0.77", annotations.MACAddress: "00:00:00:aa:bb:cc"}))
	te.create(te.newPod("by-note", "a", "n2", nil))
	te.create(te.newPod("plain", "a", "n1", nil))
	te.create(te.newPod("plain", "asks", "n2", map[string]string{annotations.LogicalSwitch: "green", annotations.IPAddress: "10.51.0.99"}))
	pods := append(te.ready("by-spec", 2, 40*time.Second), te.ready("by-note", 1, 40*time.Second)...)
	pods = append(pods, te.ready("plain", 2, 40*time.Second)...)
	for i := range pods {
		te.placed(&pods[i], map[string]string{
			"by-spec/a": "10.50.0.0/24", "by-spec/fixed": "10.50.0.77/32", "by-note/a": "10.51.0.0/24",
			"plain/a": "10.16.0.0/16", "plain/asks": "10.51.0.99/32",
		})
	}
	if mac := pods[1].Annotations[annotations.MACAddress]; pods[1].Name == "fixed" && mac != "00:00:00:aa:bb:cc" {
		t.Errorf("pod fixed asked for MAC 00:00:00:aa:bb:cc and has %s", mac)
	}
	te.say("namespace by spec.namespaces, by annotation, default; address and MAC by annotation: as asked")
	te.pairs(pods)
	te.egressWorks(pods, false)
	te.nodesAndPods(pods)
	te.consistent(10 * time.Second)

	te.subnetLeaves(blue, pods)
	te.remove(te.made...)
	te.asBefore(before)
	te.consistent(10 * time.Second)
	te.say("namespaces and subnets deleted: nothing is left")
}

// placed checks that a pod's address is in a network.
func (t *test) placed(pod *corev1.Pod, where map[string]string) {
	t.Helper()
	want := netip.MustParsePrefix(where[pod.Namespace+"/"+pod.Name])
	ip, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil || !want.Contains(ip) {
		t.Errorf("pod %s/%s has %s, want one of %s", pod.Namespace, pod.Name, pod.Status.PodIP, want)
	}
}

// subnetLeaves checks that a subnet that is deleted while in use waits for its pods, reports that, and they keep
// working.
func (t *test) subnetLeaves(s *v1.Subnet, pods []corev1.Pod) {
	t.Helper()
	t.must(t.api.Delete(t.Context(), s), "delete subnet %s", s.Name)
	t.condition(s.Name, 10*time.Second, "addresses in use")
	t.pairs(pods)
	t.say("subnet %s, deleted while pods use it, waits for them and they keep talking", s.Name)
}

// condition waits until a condition of a Subnet contains these texts.
func (t *test) condition(name string, limit time.Duration, parts ...string) {
	t.Helper()
	t.wait(limit, fmt.Sprintf("a condition of Subnet %s that says %q", name, parts), func(ctx context.Context) string {
		var s v1.Subnet
		if err := t.api.Get(ctx, client.ObjectKey{Name: name}, &s); err != nil {
			return err.Error()
		}
		var seen []string
		for _, c := range s.Status.Conditions {
			text := fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
			if containsAll(text, parts) {
				t.say("condition of Subnet %s: %s", name, text)
				return ""
			}
			seen = append(seen, text)
		}
		return fmt.Sprintf("conditions are %q", seen)
	})
}

// Invalid input is reported on the object, with field and cause, and affects nothing else.
func TestBadInput(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	te.namespace("bad", nil)
	te.namespace("tight", nil)
	tiny := subnet("tiny", "10.60.0.0/29", "tight")
	te.create(tiny)

	te.create(te.newPod("bad", "outside", "n1", map[string]string{annotations.IPAddress: "192.168.200.1"}))
	te.create(te.newPod("bad", "garbled", "n1", map[string]string{annotations.IPAddress: "10.16.0.300"}))
	te.create(te.newPod("bad", "nowhere", "n1", map[string]string{annotations.LogicalSwitch: "no-such-subnet"}))
	te.create(subnet("overlapping", "10.16.128.0/17"))
	askew := subnet("askew", "10.61.0.0/24")
	askew.Spec.ExcludeIPs = []string{"10.62.0.7"}
	te.create(askew)
	te.create(te.newPod("bad", "good", "n1", nil))

	good := te.becomes("bad", "good", 30*time.Second)
	te.say("a valid pod between them is ready")
	te.create(te.newPod("bad", "greedy", "n2", map[string]string{annotations.IPAddress: good.Status.PodIP}))
	te.warning(20*time.Second, "bad", "outside", "192.168.200.1", "10.16.0.0/16")
	te.warning(20*time.Second, "bad", "garbled", annotations.IPAddress, "10.16.0.300")
	te.warning(20*time.Second, "bad", "nowhere", "no-such-subnet")
	te.warning(20*time.Second, "bad", "greedy", good.Status.PodIP, "good.bad")
	te.condition("overlapping", 10*time.Second, "spec.cidrBlock", "10.16.128.0/17", "10.16.0.0/16", "ovn-default")
	te.condition("askew", 10*time.Second, "spec.excludeIps", "10.62.0.7", "10.61.0.0/24")
	te.full()
	te.remove(good)
	greedy := te.becomes("bad", "greedy", 60*time.Second)
	te.say("a pod that asked for an address in use got it, %s, when its holder was gone", greedy.Status.PodIP)
	for _, kind := range []string{"outside", "garbled", "nowhere"} {
		te.remove(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "bad", Name: kind}})
	}
	te.consistent(convergeTimeout)
}

// full checks that the sixth pod in a /29 waits, and gets the address of a deleted pod.
func (t *test) full() {
	t.Helper()
	for i := range 5 {
		t.create(t.newPod("tight", fmt.Sprint("p", i), "n1", nil))
	}
	t.ready("tight", 5, 40*time.Second)
	t.create(t.newPod("tight", "late", "n2", nil))
	t.warning(20*time.Second, "tight", "late", "tiny")
	var victim corev1.Pod
	t.must(t.api.Get(t.Context(), client.ObjectKey{Namespace: "tight", Name: "p3"}, &victim), "get pod")
	start := time.Now()
	t.remove(&victim)
	late := t.becomes("tight", "late", 60*time.Second)
	if late.Status.PodIP != victim.Status.PodIP {
		t.Errorf("pod late has %s, only %s was free", late.Status.PodIP, victim.Status.PodIP)
	}
	t.say("a full /29: the sixth pod waited, and was ready with %s %.1f s after the deletion of the pod that had it", late.Status.PodIP, time.Since(start).Seconds())
}

// The samples apply unchanged, invalid objects are refused with the reason, and kubectl explain describes all fields.
func TestSamplesAndHelp(t *testing.T) {
	te := begin(t, shared)
	samples := te.cluster.Plan().Source + "/config/samples"
	out, err := te.cluster.Kubectl(t.Context(), "apply", "--server-side", "--dry-run=server", "-f", samples)
	te.must(err, "apply the samples")
	if n := strings.Count(out, "serverside-applied"); n < 10 {
		t.Errorf("only %d samples applied:\n%s", n, out)
	}
	te.say("%d sample objects apply unchanged", strings.Count(out, "serverside-applied"))

	for _, c := range []struct{ field, want string }{{"subnet.spec", "cidrBlock"}, {"subnet.spec.gatewayType", "distributed"}, {"ip.spec", "macAddress"}, {"vpc.spec", "defaultSubnet"}} {
		text, err := te.cluster.Kubectl(t.Context(), "explain", c.field)
		te.must(err, "explain %s", c.field)
		if !strings.Contains(text, c.want) || strings.Contains(text, "<no description>") || !strings.Contains(text, "DESCRIPTION") {
			t.Errorf("kubectl explain %s lacks a description:\n%s", c.field, text)
		}
	}
	te.say("kubectl explain has a description for every field of subnet.spec, ip.spec and vpc.spec")

	for name, c := range map[string]struct {
		change func(*v1.Subnet)
		want   []string
	}{
		"a CIDR that is none":     {func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.70.0.0/33" }, []string{"spec.cidrBlock"}},
		"a gateway that is none":  {func(s *v1.Subnet) { s.Spec.Gateway = "10.70.0" }, []string{"spec.gateway"}},
		"a gateway elsewhere":     {func(s *v1.Subnet) { s.Spec.Gateway = "10.71.0.1" }, []string{"spec.gateway"}},
		"an unknown gateway type": {func(s *v1.Subnet) { s.Spec.GatewayType = "both" }, []string{"spec.gatewayType", "both"}},
		"an excluded nonsense":    {func(s *v1.Subnet) { s.Spec.ExcludeIPs = []string{"10.70.0.9..x"} }, []string{"spec.excludeIps"}},
	} {
		s := subnet("refused", "10.70.0.0/24")
		c.change(s)
		err := te.api.Create(t.Context(), s, client.DryRunAll)
		if err == nil || !containsAll(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
			continue
		}
		te.say("refused, %s: %v", name, err)
	}
}
