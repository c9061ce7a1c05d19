// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// mostLost is the maximum number of lost datagrams, one every 50 ms, when a gateway node fails. The target is 5 s; the
// test prints the actual time.
const mostLost = 200

var failovers = flag.Int("failovers", 1, "number of failovers in TestGatewayFailover; more for statistics")

// pausedPrograms are all programs of a node that have an effect outside of it.
var pausedPrograms = []string{"ovs-vswitchd", "ovs-db", "ovn-controller", "cniserver", "kubelet", "containerd"}

// When the gateway node of a centralized subnet hangs, its traffic moves to the next one within seconds, and stays
// there when the first one recovers. Restarts and a hanging API server move nothing.
func TestGatewayFailover(t *testing.T) {
	te := begin(t, shared)
	pod := te.centralizedPod("failover", "10.64.0.0/24", "n1,n2")
	te.gatewayIs("failover", 1)
	te.beating("n1", "n2")
	s := te.stream(pod)
	s.comesAs(1, 20*time.Second)

	te.must(te.cluster.Restart(t.Context(), "cniserver", 1), "restart the cniserver of n1")
	te.beating("n1", "n2")
	te.gatewayIs("failover", 1)
	te.say("cniserver of n1 restarted: the gateway stays on n1")
	te.pauseAPIServer(6 * time.Second)
	te.beating("n1", "n2")
	te.gatewayIs("failover", 1)
	te.say("API server paused for 6 s: the gateway stays on n1")
	s.comesAs(1, 10*time.Second)

	var took []time.Duration
	for round := range *failovers {
		if round > 0 { // back to n1 by the spec: it would stay on n2 otherwise
			te.patch("failover", `{"gatewayNode":"n1"}`)
			te.gatewayIs("failover", 1)
			te.patch("failover", `{"gatewayNode":"n1,n2"}`)
			s.comesAs(1, 20*time.Second)
		}
		took = append(took, te.failOver(s))
	}
	slices.Sort(took)
	te.say("%d failovers: min %.2f s, median %.2f s, max %.2f s", len(took), took[0].Seconds(), took[len(took)/2].Seconds(), took[len(took)-1].Seconds())

	te.patch("failover", `{"gatewayType":"distributed"}`)
	te.wait(20*time.Second, "nodes that are no gateway have no heartbeat", func(ctx context.Context) string {
		var leases coordinationv1.LeaseList
		if err := te.api.List(ctx, &leases, client.InNamespace(model.HeartbeatNamespace), client.MatchingLabels{"woven/gateway": "true"}); err != nil {
			return err.Error()
		}
		if len(leases.Items) > 0 {
			return fmt.Sprintf("%d Leases, of them %s", len(leases.Items), leases.Items[0].Name)
		}
		return ""
	})
}

// failOver pauses n1, checks that traffic soon leaves through n2, resumes n1 and checks that everything converges. It
// returns the time from the pause to the first packet through n2.
func (t *test) failOver(s *stream) time.Duration {
	t.Helper()
	t.beating("n1", "n2")
	t.pass(time.Duration(rand.Int64N(int64(time.Second)))) // at any moment between two renewals
	before := s.lost()
	began := time.Now()
	t.signal(syscall.SIGSTOP, 1)
	resume := sync.OnceFunc(func() { t.signal(syscall.SIGCONT, 1) })
	t.after(resume)
	first := s.comesAs(2, 60*time.Second)
	took, lost := first.Sent.Sub(began), s.lost()-before
	t.say("n1 paused: the first packet through n2 was sent %.2f s later; %d datagrams were lost", took.Seconds(), lost)
	if lost > mostLost {
		t.Errorf("%d datagrams were lost, more than %d", lost, mostLost)
	}
	t.gatewayIs("failover", 2)
	t.gatewayMoved("failover", "instead of n1", "heartbeat of n1 is lost")

	resume()
	t.beating("n1", "n2")
	t.consistent(convergeTimeout)
	t.gatewayIs("failover", 2)
	s.comesAs(2, 10*time.Second)
	t.say("n1 works again: the gateway stays on n2")
	return took
}

// pass waits for d, during which something must not happen.
func (t *test) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// centralizedPod creates a centralized subnet with these gateway nodes, and a pod in it on n2.
func (t *test) centralizedPod(name, cidr, gateways string) *corev1.Pod {
	t.Helper()
	s := subnet(name, cidr, name)
	s.Spec.GatewayType, s.Spec.GatewayNode = v1.GatewayCentralized, gateways
	t.create(s)
	t.namespace(name, nil)
	t.create(t.newPod(name, "a", "n2", nil))
	return t.becomes(name, "a", 40*time.Second)
}

// gatewayIs waits until a node is a subnet's active gateway.
func (t *test) gatewayIs(name string, node int) {
	t.Helper()
	t.wait(10*time.Second, "gateway of "+name, func(ctx context.Context) string {
		s := &v1.Subnet{}
		if err := t.api.Get(ctx, client.ObjectKey{Name: name}, s); err != nil {
			return err.Error()
		}
		if s.Status.ActivateGateway != sandbox.NodeName(node) {
			return fmt.Sprintf("it is %q, want n%d", s.Status.ActivateGateway, node)
		}
		return ""
	})
}

// gatewayMoved waits for a GatewayMoved event with these texts.
func (t *test) gatewayMoved(name string, parts ...string) {
	t.Helper()
	t.wait(10*time.Second, "event GatewayMoved", func(ctx context.Context) string {
		var events corev1.EventList
		if err := t.api.List(ctx, &events, client.InNamespace(metav1.NamespaceDefault)); err != nil {
			return err.Error()
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Name == name && e.Reason == "GatewayMoved" && containsAll(e.Message, parts) {
				t.say("%s on Subnet %s: %s: %s", e.Type, name, e.Reason, e.Message)
				return ""
			}
		}
		return fmt.Sprintf("%d events, none of them", len(events.Items))
	})
}

// beating waits until the nodes have renewed their Leases four more times.
func (t *test) beating(nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		var last time.Time
		renewals := -1
		t.wait(40*time.Second, "heartbeat of "+node, func(ctx context.Context) string {
			lease := &coordinationv1.Lease{}
			if err := t.api.Get(ctx, client.ObjectKey{Namespace: model.HeartbeatNamespace, Name: model.HeartbeatLease(node)}, lease); err != nil {
				return err.Error()
			}
			if lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(last) {
				last = lease.Spec.RenewTime.Time
				renewals++
			}
			if renewals < 4 || *lease.Spec.LeaseDurationSeconds != model.HeartbeatSeconds {
				return fmt.Sprintf("%d renewals, duration %d s", renewals, *lease.Spec.LeaseDurationSeconds)
			}
			return ""
		})
	}
}

// signal sends a signal to all pausedPrograms of a node.
func (t *test) signal(signal syscall.Signal, node int) {
	for _, service := range pausedPrograms {
		if err := t.cluster.Kill(service, node, signal); err != nil {
			t.Errorf("%s: %v", service, err)
		}
	}
}

// pauseAPIServer pauses the API server for d. Requests hang meanwhile.
func (t *test) pauseAPIServer(d time.Duration) {
	t.Helper()
	t.must(t.cluster.Kill("kube-apiserver", 0, syscall.SIGSTOP), "pause the API server")
	t.pass(d)
	t.must(t.cluster.Kill("kube-apiserver", 0, syscall.SIGCONT), "resume the API server")
}

// stream is a continuous stream of datagrams from a pod out of the cluster.
type stream struct {
	*test
	mu      sync.Mutex
	answers []wire.Echoed
}

// stream sends a datagram from a pod to the outside host every 50 ms until the test ends.
func (t *test) stream(pod *corev1.Pod) *stream {
	t.Helper()
	return t.streamTo(pod, hostPort(sandbox.OutsideAddr(false).String(), sandbox.OutsideEchoPort))
}

// streamTo sends a datagram from a pod every 50 ms to a server that replies with the source address.
func (t *test) streamTo(pod *corev1.Pod, to string) *stream {
	t.Helper()
	s := &stream{test: t}
	argv, err := t.cluster.KubectlCommand("-n", pod.Namespace, "exec", pod.Name, "--", "/e2e/peer", "stream", to)
	t.must(err, "kubectl")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := cmd.StdoutPipe()
	t.must(err, "kubectl exec")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	t.must(cmd.Start(), "kubectl exec")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a wire.Echoed
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				continue
			}
			s.mu.Lock()
			s.answers = append(s.answers, a)
			s.mu.Unlock()
		}
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			t.Errorf("the stream ended: %v: %s", err, complaint.String())
		}
	}()
	t.after(func() { cancel(); <-done })
	return s
}

// comesAs waits until datagrams sent from now on have the source address of a node, and returns the first of these.
func (s *stream) comesAs(node int, limit time.Duration) (first wire.Echoed) {
	s.Helper()
	began, want := time.Now(), sandbox.NodeAddr(node, false).String()
	s.wait(limit, "packets come through "+sandbox.NodeName(node), func(context.Context) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, a := range s.answers {
			if a.Sent.After(began) && a.SeenAs == want {
				first = a
				return ""
			}
		}
		if len(s.answers) == 0 {
			return "no reply at all"
		}
		last := s.answers[len(s.answers)-1]
		return fmt.Sprintf("the last one that was answered was sent %.1f s ago, and seen as %s", time.Since(last.Sent).Seconds(), last.SeenAs)
	})
	return first
}

// answered counts the datagrams with a reply.
func (s *stream) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}

// lost counts the datagrams without a reply before the last one with a reply.
func (s *stream) lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := 0
	for _, a := range s.answers {
		last = max(last, a.Number)
	}
	return last + 1 - len(s.answers)
}
