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

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// A Service with pods in a Vpc that has the addresses of the default Vpc is reached only in that Vpc.
func TestServiceOfVpc(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout) // wait until the pods of the last test are gone
	before := te.inventory()
	const cidr, address = "10.16.0.0/16", "10.16.200.9" // those of the default subnet
	tenant := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}
	te.create(tenant)
	net := subnet("tenant-net", cidr, "tenant")
	net.Spec.Vpc, net.Spec.NatOutgoing = "tenant", false
	te.create(net)
	te.namespace("tenant", nil)
	te.namespace("twin", nil)
	te.create(te.unprobed("tenant", "backend", "n1", address))
	te.create(te.unprobed("tenant", "client", "n2", ""))
	pods := te.ready("tenant", 2, 40*time.Second)
	backend, asker := &pods[0], &pods[1]
	s := te.published("tenant", "web", map[string]string{"app": "peer"}, nodePort)
	te.balanced("tenant", "web", s.Spec.ClusterIPs[0], 2)
	te.inVpc(s, func(vpc string) bool { return vpc == tenant.Name })
	te.warning(10*time.Second, s.Namespace, s.Name, "NotReachedFromOutside", "the Service is in Vpc tenant")
	te.create(te.newPod("twin", "twin", "n1", map[string]string{annotations.IPAddress: address}))
	twin := te.becomes("twin", "twin", 40*time.Second)

	targets := slices.Repeat(toServices(s.Spec.ClusterIPs, wire.Hello, wire.Send), 8)
	for _, pod := range pods {
		te.insideVpc(&pod, targets, backend, asker)
	}
	te.silentTo("a pod of the default Vpc", func(ctx context.Context, targets []wire.Target) ([]wire.Answer, error) {
		return te.ask(ctx, twin, targets)
	}, s)
	te.silentTo("a node", func(ctx context.Context, targets []wire.Target) ([]wire.Answer, error) {
		return te.askNode(ctx, 1, targets)
	}, s)
	te.fromOutside("nodes refuse at the Service's ports, and ask no twin", te.atNodes(s, func(t *wire.Target) { t.Refused = true }, 1, 2), itsError)
	te.consistent(10 * time.Second)
	te.remove(te.made...)
	te.asBefore(before)
	te.say("Vpc, Subnet, namespaces deleted: nothing is left")
}

// unprobed is a pod without a readiness probe: nodes cannot reach pods of other Vpcs than the default one.
func (t *test) unprobed(namespace, name, node, address string) *corev1.Pod {
	var own map[string]string
	if address != "" {
		own = map[string]string{annotations.IPAddress: address}
	}
	pod := t.newPod(namespace, name, node, own)
	pod.Spec.Containers[0].ReadinessProbe = nil
	return pod
}

// inVpc waits until the Vpc annotation of a Service is right, and reads the Service.
func (t *test) inVpc(s *corev1.Service, right func(vpc string) bool) {
	t.Helper()
	t.wait(10*time.Second, "annotation of Service "+s.Name, func(ctx context.Context) string {
		if err := t.api.Get(ctx, client.ObjectKeyFromObject(s), s); err != nil {
			return err.Error()
		}
		if vpc := s.Annotations[annotations.Vpc]; !right(vpc) {
			return fmt.Sprintf("%s is %q", annotations.Vpc, vpc)
		}
		return ""
	})
}

// insideVpc connects from a pod that nodes cannot reach, and expects replies from all backends.
func (t *test) insideVpc(from *corev1.Pod, targets []wire.Target, backends ...*corev1.Pod) {
	t.Helper()
	answers, err := answersOf(targets, func(questions string) (string, error) {
		return t.inPod(t.Context(), from, "/e2e/peer", "check", questions)
	})
	t.must(err, "ask from pod %s", from.Name)
	var by []string
	for _, a := range answers {
		if a.Error != "" {
			t.Errorf("pod %s → %s %s: %s", from.Name, a.How, a.Address, a.Error)
		}
		by = append(by, a.By)
	}
	for _, b := range backends {
		if !slices.ContainsFunc(by, func(address string) bool { return hasIP(b, address) }) {
			t.Errorf("pod %s: backend %s never answered, but %s", from.Name, b.Name, strings.Join(by, " "))
		}
	}
	t.say("pod %s in its Vpc: %d answers of %d backends", from.Name, len(answers), len(backends))
}

// silentTo expects no reply from a Service's ClusterIPs.
func (t *test) silentTo(whom string, ask func(context.Context, []wire.Target) ([]wire.Answer, error), s *corev1.Service) {
	t.Helper()
	answers, err := ask(t.Context(), silently(toServices(s.Spec.ClusterIPs, wire.Hello, wire.Send)))
	t.must(err, "ask from %s", whom)
	for _, a := range answers {
		if a.Error != "" {
			t.Errorf("%s → %s %s: %s", whom, a.How, a.Address, a.Error)
		}
	}
	t.say("%s gets no reply from the Service", whom)
}
