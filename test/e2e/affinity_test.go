// SPDX-License-Identifier: Apache-2.0

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

// affinityRounds bounds how often a client without affinity may reach the same one of four backends again: probability
// 4^-20.
const affinityRounds = 20

// servedWithAffinityTimeout tests a Service with a timeout of session affinity. OVN drops the first packet of each
// unknown client, so the first reply needs a retransmission; the connection is established all the same. When OVN has
// forgotten a client, it may get another backend.
func (t *test) servedWithAffinityTimeout(pods []corev1.Pod) {
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
	if first*2 < connections { // an attempt times out after two seconds, which a busy machine may exceed
		t.Errorf("%d of %d first connections were established", first, connections)
	}
	for _, address := range addresses {
		t.changesWhenForgotten(&pods[0], address, time.Duration(seconds)*time.Second)
	}
}

// changesWhenForgotten lets a client connect several times, each time after its affinity flows have expired, until it
// reaches another backend.
func (t *test) changesWhenForgotten(client *corev1.Pod, address string, timeout time.Duration) {
	t.Helper()
	start, seen := time.Now(), map[string]int{}
	for round := 1; round <= affinityRounds && len(seen) < 2; round++ {
		t.forgotten(client, address)
		asked := time.Now()
		by := t.answeredBy(client, address, 1)
		again := t.answeredBy(client, address, 4)
		if time.Since(asked) < timeout && (len(again) > 1 || again[0] != by[0]) {
			t.Fatalf("reply from %s, and right after that from %s", by, again)
		}
		seen[by[0]]++
	}
	if len(seen) < 2 {
		t.Errorf("after expiry of its affinity the client reaches only %v", seen)
		return
	}
	t.say("after expiry of its affinity a client of %s reaches another backend (%.1f s)", address, time.Since(start).Seconds())
}

// answeredBy returns the backends of the given number of concurrent connections of a client.
func (t *test) answeredBy(client *corev1.Pod, address string, times int) (by []string) {
	t.Helper()
	answers, err := t.ask(t.Context(), client, slices.Repeat(toServices([]string{address}, wire.Hello), times))
	t.must(err, "connect to the Service")
	for _, a := range answers {
		if a.Error != "" {
			t.Fatalf("the Service with affinity: %s", a.Error)
		}
		by = append(by, a.By)
	}
	slices.Sort(by)
	return slices.Compact(by)
}

// forgotten waits until the client's node has no affinity flow of the client for an address.
func (t *test) forgotten(client *corev1.Pod, address string) {
	t.Helper()
	node := nodeNumber(client.Spec.NodeName)
	t.wait(20*time.Second, "affinity of the client expires on "+sandbox.NodeName(node), func(ctx context.Context) string {
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
