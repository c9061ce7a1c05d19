// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// An SCTP packet from a pod to a Service arrives at its backend, at the backend's port and with the pod's address. The
// test builds the packets itself, because kernels without CONFIG_IP_SCTP have no SCTP sockets; tcpdump shows what
// arrives.
func TestSCTP(t *testing.T) {
	te := begin(t, shared)
	namespace := te.namespace("sctp", nil)
	client, server := te.newPod(namespace, "client", "n1", nil), te.newPod(namespace, "server", "n2", nil)
	server.Labels = map[string]string{"app": "sctp"}
	te.create(client)
	te.create(server)
	te.ready(namespace, 2, 30*time.Second)
	client, server = te.becomes(namespace, "client", 10*time.Second), te.becomes(namespace, "server", 10*time.Second)
	const port, target = 99, 9
	addresses := te.service(namespace, "sctp", server.Labels, func(s *corev1.ServiceSpec) {
		s.Ports = []corev1.ServicePort{{Port: port, Protocol: corev1.ProtocolSCTP, TargetPort: intstr.FromInt32(target)}}
	})
	te.wait(20*time.Second, "the Service has its backend", func(ctx context.Context) string {
		out, err := te.cluster.NBCtl(ctx, "--bare", "--columns=vips", "find", "Load_Balancer", "name=service/"+namespace+"/sctp/sctp")
		if err != nil || !strings.Contains(out, hostPort(server.Status.PodIP, target)) {
			return fmt.Sprintf("%q, %v", out, err)
		}
		return ""
	})
	te.must(te.flowsInstalled(), "wait for the flows")
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	sent := make(chan error, 1)
	go func() {
		_, err := te.inPod(ctx, client, "timeout", "20", "/e2e/peer", "associate", hostPort(addresses[0], port))
		sent <- err
	}()
	// tcpdump ends by itself, even if this test hangs.
	text, err := te.cluster.NodeExec(ctx, nodeNumber("n2"), "timeout", "20", "tcpdump", "-lnni", "mirror0", "-c", "1",
		fmt.Sprintf("sctp and src host %s and dst host %s and dst port %d", client.Status.PodIP, server.Status.PodIP, target))
	cancel()
	<-sent // however it ended: it was interrupted
	want := fmt.Sprintf("IP %s.%d > %s.%d: sctp (1) [INIT]", client.Status.PodIP, wire.SCTPSource, server.Status.PodIP, target)
	if err != nil || !strings.Contains(text, want) {
		t.Fatalf("the backend gets %q, %v; want %q", text, err, want)
	}
	te.say("sent to %s: %s", hostPort(addresses[0], port), strings.TrimSpace(text))
}
