// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// hostPortNumber is the hostPort of a pod on node n1.
const hostPortNumber = 18070

// A hostPort is reached from its node, from other nodes, from pods on either and from outside, and is closed when the
// pod is gone.
func TestHostPort(t *testing.T) {
	te := begin(t, shared)
	namespace := te.namespace("hostport", nil)
	web := te.newPod(namespace, "web", "n1", nil)
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		web.Spec.Containers[0].Ports = append(web.Spec.Containers[0].Ports, corev1.ContainerPort{
			Name: "hello-" + map[corev1.Protocol]string{corev1.ProtocolTCP: "tcp", corev1.ProtocolUDP: "udp"}[protocol], Protocol: protocol,
			ContainerPort: wire.HelloPort, HostPort: hostPortNumber,
		})
	}
	near, far := te.newPod(namespace, "near", "n1", nil), te.newPod(namespace, "far", "n2", nil)
	for _, pod := range []*corev1.Pod{web, near, far} {
		te.create(pod)
	}
	for _, pod := range []**corev1.Pod{&web, &near, &far} {
		*pod = te.becomes(namespace, (*pod).Name, 60*time.Second)
	}
	at := hostPort(sandbox.NodeAddr(1, false).String(), hostPortNumber)
	targets := []wire.Target{{How: wire.Hello, Address: at}, {How: wire.Send, Address: at}}
	for _, pod := range []*corev1.Pod{web, near, far} {
		answers, err := te.ask(t.Context(), pod, targets)
		te.throughHostPort("pod "+pod.Name+" on "+pod.Spec.NodeName, answers, err)
	}
	for n := range te.cluster.Nodes() {
		answers, err := te.askNode(t.Context(), n+1, targets)
		te.throughHostPort("node "+sandbox.NodeName(n+1), answers, err)
	}
	loopback := []wire.Target{{How: wire.Hello, Address: hostPort("127.0.0.1", hostPortNumber)}}
	answers, err := te.askNode(t.Context(), 1, loopback)
	te.throughHostPort("the loopback address of node n1", answers, err)
	answers, err = te.askOutside(t.Context(), targets)
	te.throughHostPort("the host outside", answers, err)
	for _, a := range answers {
		if a.SeenAs != sandbox.OutsideAddr(false).String() {
			t.Errorf("the host outside is seen as %s", a.SeenAs)
		}
	}
	te.consistent(10 * time.Second)
	te.remove(web)
	te.wait(20*time.Second, "the port is closed", func(ctx context.Context) string {
		answers, err := te.askNode(ctx, 2, []wire.Target{{How: wire.Connect, Address: at, Refused: true}})
		if err != nil || answers[0].Error != "" {
			return fmt.Sprint(answers, err)
		}
		return ""
	})
	te.consistent(10 * time.Second)
}

func (t *test) throughHostPort(who string, answers []wire.Answer, err error) {
	t.Helper()
	t.must(err, "ask from %s", who)
	for _, a := range answers {
		if a.Error != "" {
			t.Errorf("%s → %s %s: %s", who, a.How, a.Address, a.Error)
		}
		t.say("%s → %s %s: the pod sees %s", who, a.How, a.Address, a.SeenAs)
	}
}
