// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const rolloutPods = 100

// While 100 pods start, programs are killed: all pods start, no two get the same address, and nothing is left
// afterwards.
func TestKilledDuringRollout(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	before := te.inventory()
	namespace := te.namespace("rollout", nil)
	start := time.Now()
	te.must(te.api.Create(t.Context(), te.deployment(namespace, "web", rolloutPods)), "create deployment")

	te.addressed(namespace, 25)
	te.say("killing the controller and both cniservers while pods start")
	te.kill("controller", 0)
	te.kill("cniserver", 1)
	te.kill("cniserver", 2)
	pods := te.ready(namespace, rolloutPods, 3*time.Minute)
	te.say("%d pods are ready %.1f s after their Deployment was created", len(pods), time.Since(start).Seconds())
	te.consistent(convergeTimeout)

	start = time.Now()
	te.must(te.api.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(namespace), client.GracePeriodSeconds(1)), "delete all pods")
	te.replaced(namespace, pods, 20)
	te.say("killing the northbound database's server while pods are replaced")
	te.kill("ovn-nb", 0)
	pods = te.ready(namespace, rolloutPods, 3*time.Minute)
	te.say("%d new pods are ready %.1f s after the old ones were deleted", len(pods), time.Since(start).Seconds())
	te.consistent(convergeTimeout)
	te.ring(pods)
	te.nothingLeft(before, namespace)
}

// kill sends SIGKILL; the sandbox restarts the program.
func (t *test) kill(service string, node int) {
	t.Helper()
	before, err := t.cluster.Status(node)
	t.must(err, "status")
	t.must(t.cluster.Kill(service, node, syscall.SIGKILL), "kill -9 %s", service)
	t.wait(20*time.Second, service+" is restarted", func(context.Context) string {
		now, err := t.cluster.Status(node)
		if err != nil {
			return err.Error()
		}
		if now.Services[service].Starts > before.Services[service].Starts {
			return ""
		}
		return fmt.Sprintf("started %d times", now.Services[service].Starts)
	})
}

// addressed waits until the given number of pods of a namespace have an address.
func (t *test) addressed(namespace string, count int) {
	t.Helper()
	t.wait(time.Minute, fmt.Sprintf("%d pods with an address", count), func(ctx context.Context) string {
		pods, err := t.podsOf(ctx, namespace)
		if err != nil {
			return err.Error()
		}
		n := 0
		for i := range pods {
			if pods[i].Annotations[annotations.Allocated] == "true" {
				n++
			}
		}
		if n >= count {
			return ""
		}
		return fmt.Sprintf("%d of %d", n, len(pods))
	})
}

// replaced waits until the given number of new pods have an address.
func (t *test) replaced(namespace string, old []corev1.Pod, count int) {
	t.Helper()
	known := map[string]bool{}
	for i := range old {
		known[old[i].Name] = true
	}
	t.wait(time.Minute, fmt.Sprintf("%d new pods with an address", count), func(ctx context.Context) string {
		pods, err := t.podsOf(ctx, namespace)
		if err != nil {
			return err.Error()
		}
		n := 0
		for i := range pods {
			if !known[pods[i].Name] && pods[i].Annotations[annotations.Allocated] == "true" {
				n++
			}
		}
		if n >= count {
			return ""
		}
		return fmt.Sprintf("%d", n)
	})
}

// ring checks that each pod reaches the next three, which shows that each has a network and the right address.
func (t *test) ring(pods []corev1.Pod) {
	t.Helper()
	next := map[string][]corev1.Pod{}
	for i := range pods {
		for k := 1; k <= 3; k++ {
			next[pods[i].Name] = append(next[pods[i].Name], pods[(i+k)%len(pods)])
		}
	}
	asked, wrong := t.mesh(pods, func(from *corev1.Pod) []wire.Target { return reach(next[from.Name]) }, asItself)
	if len(wrong) > 0 {
		t.Errorf("%d of %d connections failed:\n%s", len(wrong), asked, lines(wrong, 20))
	}
	t.say("each of %d pods reaches three others (%d replies)", len(pods), asked)
}

// Pings and new TCP connections succeed while Woven's programs are killed.
func TestRestartsDoNotInterruptTraffic(t *testing.T) {
	te := begin(t, shared)
	namespace := te.namespace("steady", nil)
	te.create(te.newPod(namespace, "a", "n1", nil))
	te.create(te.newPod(namespace, "b", "n2", nil))
	pods := te.ready(namespace, 2, 30*time.Second)
	// ping prints one line per lost packet to the summary only: 100 requests in 10 s, from the first pod to the second.
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := te.cluster.Kubectl(t.Context(), "-n", namespace, "exec", pods[0].Name, "--", "/e2e/peer", "steady", pods[1].Status.PodIP)
		done <- result{text, err}
	}()
	te.kill("controller", 0)
	te.kill("cniserver", 1)
	te.kill("cniserver", 2)
	te.kill("ovn-controller", 1)
	r := <-done
	te.must(r.err, "ping while programs are killed: %s", r.text)
	te.say("controller, both cniservers and ovn-controller killed; pings between pods on two nodes meanwhile: %s", r.text)
	te.consistent(60 * time.Second)
}
