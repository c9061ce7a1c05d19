package e2e

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// affinityRounds bounds how often a client that is forgotten may be led to the
// same one of four backends again: 4^-20.
const affinityRounds = 20

// servedByTheSameForAWhile: a Service with a timeout of affinity. OVN loses the first
// packet of each client that it does not remember, so that a first answer takes a
// second; the connection comes about all the same. When OVN has forgotten a client, it may get another backend.
func (t *test) servedByTheSameForAWhile(pods []corev1.Pod) {
	t.Helper()
	seconds := int32(2)
	addresses := t.service(pods[0].Namespace, "while", map[string]string{"app": "peer"}, func(s *corev1.ServiceSpec) {
		s.SessionAffinity = corev1.ServiceAffinityClientIP
		s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
	})
	t.balanced(pods[0].Namespace, "while", addresses[0], len(pods))
	first, connections := 0, 0
	t.everybody("a Service with affinity for 2 s", pods, toServices(addresses, wire.Hello, wire.Send), func(_ *corev1.Pod, a wire.Answer) string {
		if a.How == wire.Hello {
			connections++
			if a.Tries == 1 {
				first++
			}
		}
		return a.Error
	})
	if first*2 < connections { // an attempt has two seconds, which a busy machine may exceed
		t.Errorf("%d of %d first connections came about", first, connections)
	}
	for _, address := range addresses {
		t.changesWhenForgotten(&pods[0], address, time.Duration(seconds)*time.Second)
	}
}

// changesWhenForgotten has a client ask several times, each time that the flows are
// gone which remember it, until it is led to another backend.
func (t *test) changesWhenForgotten(client *corev1.Pod, address string, timeout time.Duration) {
	t.Helper()
	start, seen := time.Now(), map[string]int{}
	for round := 1; round <= affinityRounds && len(seen) < 2; round++ {
		t.forgotten(client, address)
		asked := time.Now()
		by := t.answeredBy(client, address, 1)
		again := t.answeredBy(client, address, 4)
		if time.Since(asked) < timeout && (len(again) > 1 || again[0] != by[0]) {
			t.Fatalf("answered by %s and at once by %s", by, again)
		}
		seen[by[0]]++
	}
	if len(seen) < 2 {
		t.Errorf("a client that is forgotten gets %v each time", seen)
		return
	}
	t.say("a forgotten client of %s gets another backend (%.1f s)", address, time.Since(start).Seconds())
}

// answeredBy lists who answers when a client asks so many times at once.
func (t *test) answeredBy(client *corev1.Pod, address string, times int) (by []string) {
	t.Helper()
	answers, err := t.ask(t.Context(), client, slices.Repeat(toServices([]string{address}, wire.Hello), times))
	t.must(err, "ask the Service")
	for _, a := range answers {
		if a.Error != "" {
			t.Fatalf("the Service with affinity: %s", a.Error)
		}
		by = append(by, a.By)
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// forgotten waits until the client's node has no flow that remembers it as a client of an address.
func (t *test) forgotten(client *corev1.Pod, address string) {
	t.Helper()
	node := nodeNumber(client.Spec.NodeName)
	t.wait(20*time.Second, "client is forgotten on "+sandbox.NodeName(node), func(ctx context.Context) string {
		flows, err := t.cluster.NodeExec(ctx, node, "ovs-ofctl", "dump-flows", "br-int")
		if err != nil {
			return err.Error()
		}
		for flow := range strings.Lines(flows) {
			match, _, _ := strings.Cut(flow, "actions=")
			if strings.Contains(match, "idle_timeout=") && strings.Contains(match, "_dst="+address+",") {
				return match
			}
		}
		return ""
	})
}
