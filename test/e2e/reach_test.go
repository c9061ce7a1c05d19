// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const (
	meshPods    = 40
	kubeletPort = 10250
)

// 40 pods on two nodes: every pair, every way in and out, and nothing left after they are deleted.
func TestPodsReachEachOther(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	before := te.inventory()
	namespace := te.namespace("mesh", nil)
	start := time.Now()
	te.spread(namespace, meshPods)
	pods := te.ready(namespace, meshPods, 90*time.Second)
	te.say("%d pods ready (kubelet's probes answered) %.1f s after the first was made", len(pods), time.Since(start).Seconds())

	te.pairs(pods)
	te.nodesAndPods(pods)
	te.egressWorks(pods, false)
	te.mirrored(pods)
	te.consistent(10 * time.Second)

	te.nothingLeft(before, namespace)
}

// pairs checks that each pod pings each, and opens a TCP connection with its own source address.
func (t *test) pairs(pods []corev1.Pod) {
	t.Helper()
	start := time.Now()
	asked, wrong := t.mesh(pods, func(*corev1.Pod) []wire.Target { return reach(pods) }, asItself)
	if len(wrong) > 0 {
		t.Fatalf("%d of %d connections between pods failed:\n%s", len(wrong), asked, lines(wrong, 20))
	}
	t.say("%d pairs of pods: ping and TCP, each seen under its own address (%d answers in %.1f s)", len(pods)*len(pods), asked, time.Since(start).Seconds())
}

// nodesAndPods checks that every node reaches every pod and every pod every node.
func (t *test) nodesAndPods(pods []corev1.Pod) {
	t.Helper()
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, reach(pods))
		t.must(err, "ask pods from node %d", n)
		for _, a := range answers {
			if a.Error != "" {
				t.Errorf("node %s → %s %s: %s", sandbox.NodeName(n), a.How, a.Address, a.Error)
			}
		}
		t.say("node %s reaches %d pods by ping and TCP", sandbox.NodeName(n), len(pods))
	}
	nodes := func(*corev1.Pod) (targets []wire.Target) {
		for n := 1; n <= t.cluster.Nodes(); n++ {
			for _, v6 := range []bool{false, true}[:len(pods[0].Status.PodIPs)] {
				address := sandbox.NodeAddr(n, v6).String()
				targets = append(targets, wire.Target{How: wire.Ping, Address: address}, wire.Target{How: wire.Connect, Address: hostPort(address, kubeletPort)})
			}
		}
		return targets
	}
	asked, wrong := t.mesh(pods, nodes, asItself)
	if len(wrong) > 0 {
		t.Errorf("pods → nodes, %d of %d failed:\n%s", len(wrong), asked, lines(wrong, 20))
	}
	t.say("every pod reaches every node: ping and kubelet's port (%d answers)", asked)
}

// egressWorks checks that pods leave the cluster with their node's address, and reach the API server directly and by
// its Service.
func (t *test) egressWorks(pods []corev1.Pod, v6 bool) {
	t.Helper()
	outside := sandbox.OutsideAddr(v6).String()
	targets := []wire.Target{{How: wire.Ping, Address: outside}, {How: wire.Hello, Address: hostPort(outside, sandbox.OutsideEchoPort)}}
	if !v6 {
		targets = append(targets,
			wire.Target{How: wire.Connect, Address: hostPort(sandbox.ControlAddr().String(), 6443)},
			wire.Target{How: wire.Connect, Address: t.apiService()})
	}
	nodeOf := map[string]string{}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		nodeOf[sandbox.NodeName(n)] = sandbox.NodeAddr(n, v6).String()
	}
	seen := map[string]bool{}
	asked, wrong := t.mesh(pods, func(*corev1.Pod) []wire.Target { return targets }, func(from *corev1.Pod, a wire.Answer) string {
		if a.Error != "" || a.How != wire.Hello {
			return a.Error
		}
		seen[a.SeenAs] = true
		if want := nodeOf[from.Spec.NodeName]; a.SeenAs != want {
			return "leaves as " + a.SeenAs + ", its node is " + want
		}
		return ""
	})
	if len(wrong) > 0 {
		t.Errorf("pods → outside, %d of %d failed:\n%s", len(wrong), asked, lines(wrong, 20))
	}
	t.say("pods leave with their node's address (%d addresses seen) and reach the API server and its Service (%d answers)", len(seen), asked)
}

// apiService is the ClusterIP of the Service "kubernetes".
func (t *test) apiService() string {
	t.Helper()
	var service corev1.Service
	t.must(t.api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &service), "get Service kubernetes")
	return hostPort(service.Spec.ClusterIP, int(service.Spec.Ports[0].Port))
}

// mirrored checks that tcpdump on mirror0 of both nodes shows a ping between their pods.
func (t *test) mirrored(pods []corev1.Pod) {
	t.Helper()
	from := &pods[0]
	to := &pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != from.Spec.NodeName })]
	want := fmt.Sprintf("IP %s > %s: ICMP echo request", from.Status.PodIP, to.Status.PodIP)
	type heard struct {
		node, text string
		err        error
	}
	results := make(chan heard, t.cluster.Nodes())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for n := 1; n <= t.cluster.Nodes(); n++ {
		go func() {
			// tcpdump ends by itself, even if this test hangs.
			text, err := t.cluster.NodeExec(ctx, n, "timeout", "20", "tcpdump", "-lni", "mirror0", "-c", "1",
				"icmp[icmptype] == icmp-echo and src host "+from.Status.PodIP+" and dst host "+to.Status.PodIP)
			results <- heard{sandbox.NodeName(n), text, err}
		}()
	}
	for got := 0; got < t.cluster.Nodes(); {
		if _, err := t.ask(ctx, from, []wire.Target{{How: wire.Ping, Address: to.Status.PodIP}}); err != nil {
			t.Fatalf("ping: %v", err)
		}
		select {
		case h := <-results:
			got++
			if h.err != nil || !strings.Contains(h.text, want) {
				t.Errorf("mirror0 on %s shows %q, error %v; want %q", h.node, h.text, h.err, want)
				continue
			}
			t.say("tcpdump -i mirror0 on %s: %s", h.node, strings.TrimSpace(h.text))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// inventory counts everything that Woven has created.
func (t *test) inventory() map[string]int {
	t.Helper()
	counts, err := t.count(t.Context())
	t.must(err, "count")
	return counts
}

// asBefore waits until all counts are as before.
func (t *test) asBefore(before map[string]int) {
	t.Helper()
	t.wait(20*time.Second, "everything is as before", func(ctx context.Context) string {
		now, err := t.count(ctx)
		if err != nil {
			return err.Error()
		}
		return compareCounts(before, now)
	})
}

// nothingLeft deletes a namespace and waits until all counts are as before.
func (t *test) nothingLeft(before map[string]int, namespace string) {
	t.Helper()
	start := time.Now()
	t.remove(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	t.say("namespace %s deleted; its pods are gone after %.1f s", namespace, time.Since(start).Seconds())
	t.asBefore(before)
	t.consistent(10 * time.Second)
	t.say("nothing is left: %v", before)
}
