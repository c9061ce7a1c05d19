// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// caller continuously sends datagrams from one port to one address: one connection to conntrack.
type caller struct {
	*test
	name string
	mu   sync.Mutex
	last wire.Echoed
}

// caller starts a caller with the command that runs a program in its place.
func (t *test) caller(name, to string, at func(argv ...string) ([]string, error)) *caller {
	t.Helper()
	program := t.peerPath()
	if strings.HasPrefix(name, "pod") {
		program = "/e2e/peer"
	}
	argv, err := at(program, "one-stream", to)
	return t.keepsSending(name, argv, err)
}

// keepsSending starts a streaming command that runs until the test ends.
func (t *test) keepsSending(name string, argv []string, err error) *caller {
	t.Helper()
	t.must(err, "command of the client")
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// The program that sends is a child of the one that enters the node.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	t.must(err, "start the client")
	t.must(cmd.Start(), "start the client")
	c, done := &caller{test: t, name: name}, make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a wire.Echoed
			if json.Unmarshal(lines.Bytes(), &a) == nil {
				c.mu.Lock()
				c.last = a
				c.mu.Unlock()
			}
		}
		_ = cmd.Wait()
	}()
	t.after(func() { cancel(); <-done })
	return c
}

// isAnsweredBy waits until a pod replies to a datagram that is sent from now on.
func (c *caller) isAnsweredBy(pod *corev1.Pod) {
	c.Helper()
	began := time.Now()
	missing := c.waitFor(30*time.Second, func(context.Context) string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.last.Sent.After(began) && c.last.By == pod.Name {
			return ""
		}
		return "the last answer was of " + c.last.By + " at " + c.last.Sent.String()
	})
	if missing != "" {
		c.tracked()
		c.Fatalf("%s has no answer of pod %s, which has %v: %s", c.name, pod.Name, pod.Status.PodIPs, missing)
	}
	c.say("%s gets replies from %s, %.1f s later", c.name, pod.Name, time.Since(began).Seconds())
}

// tracked logs the conntrack entries of UDP at the Services' port.
func (t *test) tracked() {
	t.Helper()
	for n := 1; n <= t.cluster.Nodes(); n++ {
		datapath, err := t.cluster.NodeExec(t.Context(), n, "ovs-appctl", "dpctl/dump-conntrack")
		kernel, kernelErr := t.cluster.NodeExec(t.Context(), n, "cat", "/proc/net/nf_conntrack")
		t.say("connections of UDP on %s (errors %v, %v)", sandbox.NodeName(n), err, kernelErr)
		for line := range strings.Lines(datapath + kernel) {
			line = strings.TrimSpace(line)
			port := fmt.Sprintf("dport=%d", servicePort)
			if strings.Contains(line, "udp") && (strings.Contains(line, port+")") || strings.Contains(line, port+" ")) {
				t.Log(line)
			}
		}
	}
}

// backendGoes checks that clients that never stop sending reach the next backend when theirs is deleted, and the first
// backend although they started before it existed.
func (t *test) backendGoes(namespace string) {
	t.Helper()
	local := func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	sticky := func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	selector := map[string]string{"app": "flows"}
	first := t.becomesPod(namespace, "caller", nil)
	var clients []*caller
	for name, change := range map[string]func(*corev1.ServiceSpec){"flows": nodePort, "flows-local": local, "flows-sticky": sticky} {
		s := t.published(namespace, name, selector, change)
		for _, target := range t.atNodes(s, nil, 1) {
			if target.How == wire.Send {
				clients = append(clients, t.caller("outside → "+name+" "+target.Address, target.Address, t.cluster.OutsideCommand))
			}
		}
		if name != "flows" {
			continue
		}
		for _, address := range s.Spec.ClusterIPs {
			to := hostPort(address, servicePort)
			clients = append(clients,
				t.caller("pod → "+to, to, func(argv ...string) ([]string, error) {
					return t.cluster.KubectlCommand(append([]string{"-n", namespace, "exec", first.Name, "--"}, argv...)...)
				}),
				t.caller("host → "+to, to, func(argv ...string) ([]string, error) { return t.cluster.NodeCommand(2, argv...) }))
		}
	}
	var before *corev1.Pod
	for _, name := range []string{"flows-a", "flows-b", "flows-c"} {
		now := t.becomesPod(namespace, name, selector)
		if before != nil {
			t.must(t.api.Delete(t.Context(), before, client.GracePeriodSeconds(0)), "delete pod %s", before.Name)
		}
		for _, c := range clients {
			c.isAnsweredBy(now)
		}
		before = now
	}
}

// becomesPod creates a pod on the first node and waits until it is ready.
func (t *test) becomesPod(namespace, name string, labels map[string]string) *corev1.Pod {
	t.Helper()
	pod := t.newPod(namespace, name, sandbox.NodeName(1), nil)
	pod.Labels = labels
	t.create(pod)
	return t.becomes(namespace, name, 40*time.Second)
}

// See [test.backendGoes].
func TestFlowsOutliveBackends(t *testing.T) {
	te := begin(t, shared)
	te.consistent(convergeTimeout)
	te.backendGoes(te.namespace("flows", nil))
}
