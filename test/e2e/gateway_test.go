// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// patch applies a merge patch to a Subnet's spec.
func (t *test) patch(name, spec string) {
	t.Helper()
	s := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	t.must(t.api.Patch(t.Context(), s, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`))), "patch subnet %s", name)
}

// one creates a pod in a namespace and a subnet of its own.
func (t *test) one(name, cidr, node string) *corev1.Pod {
	t.Helper()
	t.create(subnet(name, cidr, name))
	t.namespace(name, nil)
	t.create(t.newPod(name, "a", node, nil))
	return t.becomes(name, "a", 40*time.Second)
}

// asks connects from one pod to another and compares the result with reaches.
func (t *test) asks(from, to *corev1.Pod, reaches bool) {
	t.Helper()
	answers, err := t.ask(t.Context(), from, reach([]corev1.Pod{*to}))
	t.must(err, "ask pod %s/%s", from.Namespace, from.Name)
	for _, a := range answers {
		if (a.Error == "") != reaches {
			t.Errorf("%s → %s %s: reaches %v (%s), want %v", from.Namespace, to.Namespace, a.How, a.Error == "", a.Error, reaches)
		}
	}
	t.say("%s → %s: reaches %v", from.Namespace, to.Namespace, reaches)
}

// A private subnet blocks exactly what it must, and no longer once it is not private.
func TestPrivateSubnet(t *testing.T) {
	te := begin(t, shared)
	vault, office, lab := te.one("vault", "10.60.0.0/24", "n1"), te.one("office", "10.61.0.0/24", "n2"), te.one("lab", "10.62.0.0/24", "n2")
	te.create(te.newPod("vault", "b", "n2", nil))
	neighbour := te.becomes("vault", "b", 40*time.Second)
	te.asks(lab, vault, true)
	te.patch("vault", `{"private":true,"allowSubnets":["10.61.0.0/24"]}`)
	te.wait(10*time.Second, "the rules are in the northbound database", func(ctx context.Context) string {
		out, err := te.cluster.NBCtl(ctx, "acl-list", "vault")
		if err != nil || !containsAll(out, []string{"10.61.0.0/24", "drop"}) {
			return fmt.Sprint(out, err)
		}
		return ""
	})
	te.must(te.flowsInstalled(), "wait for the flows")
	te.asks(lab, vault, false)
	te.asks(office, vault, true)
	te.asks(neighbour, vault, true)
	te.asks(vault, lab, true)
	te.nodesAndPods([]corev1.Pod{*vault, *neighbour})
	te.egressWorks([]corev1.Pod{*vault, *neighbour}, false)
	var changes []func()
	for _, spec := range []string{
		`{"allowSubnets":["10.61.0.0/24","192.0.2.0/24"]}`,
		`{"allowSubnets":["192.0.2.0/24","10.61.0.0/24"],"acls":[{"direction":"to-lport","action":"drop","match":"ip4.src == 192.0.2.0/25","priority":1100}]}`,
		`{"allowSubnets":["10.61.0.0/24"],"allowEWTraffic":true}`,
		`{"acls":null,"allowEWTraffic":false}`,
		`{"allowSubnets":["10.61.0.0/25","10.61.0.0/24","10.61.0.128/25"]}`,
		`{"allowSubnets":["10.61.0.0/24"]}`,
	} {
		changes = append(changes, func() { te.patch("vault", spec) })
	}
	te.whileRulesChange(office, lab, vault, changes...)
	te.patch("vault", `{"private":false}`)
	te.asks(lab, vault, true)
	te.consistent(10 * time.Second)
}

// whileRulesChange checks that a pod is at no moment open to mayNot or closed to may, while rules change every 700 ms.
func (t *test) whileRulesChange(may, mayNot, to *corev1.Pod, changes ...func()) {
	t.Helper()
	type result struct {
		sent, lost int
		err        error
	}
	ping := func(from *corev1.Pod) <-chan result {
		done := make(chan result, 1)
		go func() {
			var r result
			text, err := t.inPod(t.Context(), from, "/e2e/peer", "steady", to.Status.PodIP) // fails when many are lost
			if _, r.err = fmt.Sscanf(text, "%d of %d lost", &r.lost, &r.sent); r.err != nil {
				r.err = fmt.Errorf("%q: %w", text, err)
			}
			done <- r
		}()
		return done
	}
	allowed, refused := ping(may), ping(mayNot)
	ticker := time.NewTicker(700 * time.Millisecond)
	defer ticker.Stop()
	for _, change := range changes {
		<-ticker.C
		change()
	}
	a, r := <-allowed, <-refused
	t.must(errors.Join(a.err, r.err), "ping while rules change")
	if a.lost > 0 || r.lost < r.sent {
		t.Errorf("while rules changed, %d of %d allowed pings were lost, and %d of %d others got through", a.lost, a.sent, r.sent-r.lost, r.sent)
	}
	t.say("%d changes of the rules: %d of %d allowed pings lost, %d of %d others got through", len(changes), a.lost, a.sent, r.sent-r.lost, r.sent)
}

// Egress traffic of a centralized subnet has the source address of its gateway node, wherever the pod runs, and follows
// a change of the gateway node.
func TestCentralizedGateway(t *testing.T) {
	te := begin(t, shared)
	central := subnet("central", "10.63.0.0/24", "central")
	central.Spec.GatewayType, central.Spec.GatewayNode = v1.GatewayType("centralized"), "n2,n1"
	te.create(central)
	te.namespace("central", nil)
	te.create(te.newPod("central", "a", "n1", nil))
	te.create(te.newPod("central", "b", "n2", nil))
	pods := te.ready("central", 2, 40*time.Second)
	te.leavesAs(pods, 2)
	te.nodesAndPods(pods)
	te.patch("central", `{"gatewayNode":"n1"}`)
	te.leavesAs(pods, 1)
	te.patch("central", `{"gatewayType":"distributed"}`)
	te.wait(20*time.Second, "each pod leaves through its own node", func(ctx context.Context) string {
		return te.seenAs(ctx, pods, func(pod *corev1.Pod) string { return sandbox.NodeAddr(nodeNumber(pod.Spec.NodeName), false).String() })
	})
	te.say("distributed again: each pod leaves through its own node")
}

// leavesAs waits until all pods are seen outside with the address of one node.
func (t *test) leavesAs(pods []corev1.Pod, node int) {
	t.Helper()
	want := sandbox.NodeAddr(node, false).String()
	t.wait(20*time.Second, "pods leave by node "+sandbox.NodeName(node), func(ctx context.Context) string {
		return t.seenAs(ctx, pods, func(*corev1.Pod) string { return want })
	})
	t.say("%d pods on both nodes leave as %s", len(pods), want)
}

func (t *test) seenAs(ctx context.Context, pods []corev1.Pod, want func(*corev1.Pod) string) string {
	target := []wire.Target{{How: wire.Hello, Address: hostPort(sandbox.OutsideAddr(false).String(), sandbox.OutsideEchoPort)}}
	for i := range pods {
		answers, err := t.ask(ctx, &pods[i], target)
		if err != nil {
			return err.Error()
		}
		if answers[0].Error != "" || answers[0].SeenAs != want(&pods[i]) {
			return fmt.Sprintf("pod %s on %s is seen as %q %s", pods[i].Name, pods[i].Spec.NodeName, answers[0].SeenAs, answers[0].Error)
		}
	}
	return ""
}

// A pod of a StatefulSet keeps its address when it moves to another node, and is reached there at once.
func TestStatefulSetKeepsItsAddress(t *testing.T) {
	te := begin(t, shared)
	ns := te.namespace("sticky", nil)
	te.create(te.newPod(ns, "watcher", "n1", nil))
	watcher := te.becomes(ns, "watcher", 40*time.Second)
	labels := map[string]string{"app": "db"}
	one := int32(1)
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			Template:       corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: te.peerSpec("n1")},
		},
	}
	te.create(set)
	before := te.becomes(ns, "db-0", 40*time.Second)
	te.asks(watcher, before, true)
	set.Spec.Template.Spec = te.peerSpec("n2")
	t2 := set.DeepCopy()
	te.must(te.api.Get(t.Context(), client.ObjectKeyFromObject(set), t2), "get StatefulSet")
	t2.Spec.Template.Spec = set.Spec.Template.Spec
	te.must(te.api.Update(t.Context(), t2), "move the StatefulSet to n2")
	te.must(te.api.Delete(t.Context(), before), "delete pod db-0")
	var after *corev1.Pod
	te.wait(40*time.Second, "db-0 is ready on n2", func(ctx context.Context) string {
		after = &corev1.Pod{}
		if err := te.api.Get(ctx, client.ObjectKeyFromObject(before), after); err != nil {
			return err.Error()
		}
		if after.UID == before.UID || !isReady(after) {
			return "phase " + string(after.Status.Phase) + " on " + after.Spec.NodeName
		}
		return ""
	})
	if after.Spec.NodeName != "n2" || after.Status.PodIP != before.Status.PodIP {
		t.Errorf("db-0 was %s on %s and is %s on %s", before.Status.PodIP, before.Spec.NodeName, after.Status.PodIP, after.Spec.NodeName)
	}
	te.asks(watcher, after, true)
	te.consistent(10 * time.Second)
}
