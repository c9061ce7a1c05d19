// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/forge"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// What a tenant with pods, with rights in a namespace, and with the credentials of a node tries on a dual-stack
// cluster. Attacks that a documented option permits are also tried with that option, so that they are known to work.
func TestAttacks(t *testing.T) {
	e := alone(t, sandbox.Options{Name: sandboxName("e2ea")}).env
	for _, attack := range []struct {
		name string
		run  func(*test)
	}{
		{"ForgedSources", (*test).forgedSources},
		{"ForgedRecords", (*test).forgedRecords},
		{"SteeredEgress", (*test).steeredEgress},
		{"Quarantine", (*test).quarantine},
		{"DescribedSubnets", (*test).describedSubnets},
		{"Placements", (*test).placements},
		{"ReservedSubnets", (*test).reservedSubnets},
		{"TakenAddresses", (*test).takenAddresses},
		{"ManyExceptions", (*test).manyExceptions},
		{"NodeCredentials", (*test).nodeCredentials},
		{"Observed", (*test).observed},
	} {
		t.Run(attack.name, func(t *testing.T) {
			te := begin(t, e)
			te.consistent(convergeTimeout)
			attack.run(te)
		})
	}
}

// raw sends frames from a pod.
func (t *test) raw(pod *corev1.Pod, frames ...forge.Frame) {
	t.Helper()
	text, err := json.Marshal(frames)
	t.must(err, "encode frames")
	_, err = t.inPod(t.Context(), pod, "/e2e/peer", "forge", string(text))
	t.must(err, "send frames from pod %s/%s", pod.Namespace, pod.Name)
}

// listener is a program that prints the datagrams that arrive.
type listener struct {
	heard   chan wire.Heard // closed when the program has ended
	listens string
}

// listen starts a listener with the command that runs a program in its place, and waits until its ports are open.
func (t *test) listen(where string, argv []string, err error) *listener {
	t.Helper()
	t.must(err, "command of the listener %s", where)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out, err := cmd.StdoutPipe()
	t.must(err, "start the listener %s", where)
	t.must(cmd.Start(), "start the listener %s", where)
	l := &listener{heard: make(chan wire.Heard, 1000), listens: where}
	go func() {
		defer close(l.heard)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var h wire.Heard
			if json.Unmarshal(lines.Bytes(), &h) == nil {
				l.heard <- h
			}
		}
		_ = cmd.Wait()
	}()
	if _, ok := <-l.heard; !ok {
		t.Fatalf("the listener %s ended at once", where)
	}
	return l
}

// listenIn listens in a pod.
func (t *test) listenIn(pod *corev1.Pod, ports ...int) *listener {
	t.Helper()
	argv, err := t.cluster.KubectlCommand(append([]string{"exec", "-n", pod.Namespace, pod.Name, "--", "/e2e/peer", "listen"}, texts(ports)...)...)
	return t.listen("in pod "+pod.Namespace+"/"+pod.Name, argv, err)
}

// listenOn listens on a node.
func (t *test) listenOn(n int, ports ...int) *listener {
	t.Helper()
	argv, err := t.cluster.NodeCommand(n, append([]string{t.peerPath(), "listen"}, texts(ports)...)...)
	return t.listen("on "+sandbox.NodeName(n), argv, err)
}

func texts(numbers []int) (out []string) {
	for _, n := range numbers {
		out = append(out, fmt.Sprint(n))
	}
	return out
}

// rounds is how often frames are sent before the datagram that ends a listener: the first frames of a flow can be
// overtaken.
const rounds = 3

// arrived sends frames from a pod and returns the texts of those that arrive at a listener. The datagram that ends the
// listener is sent after them by a pod that may send it.
func (t *test) arrived(at *listener, from *corev1.Pod, frames []forge.Frame, ender *corev1.Pod, end forge.Frame) (got []string) {
	t.Helper()
	t.must(t.flowsInstalled(), "wait for the flows")
	for range rounds {
		t.raw(from, frames...)
	}
	seen := map[string]bool{}
	end.Text = wire.EndText
	t.wait(20*time.Second, "the listener "+at.listens+" ends", func(context.Context) string {
		t.raw(ender, end)
		for {
			select {
			case h, open := <-at.heard:
				if !open {
					return ""
				}
				if h.Text != wire.EndText {
					seen[h.Text] = true
				}
			case <-time.After(300 * time.Millisecond):
				return "no end"
			}
		}
	})
	return slices.Sorted(maps.Keys(seen))
}

// sameTexts compares what arrived with what should.
func (t *test) sameTexts(what string, got, want []string) {
	t.Helper()
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("%s: arrived %q, want %q", what, got, want)
		return
	}
	t.say("%s: arrived %q", what, got)
}

// address is the address of a pod in one IP family.
func address(pod *corev1.Pod, v6 bool) netip.Addr {
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Is6() == v6 {
			return a
		}
	}
	return netip.Addr{}
}

func mac(pod *corev1.Pod) string { return pod.Annotations[annotations.MACAddress] }

// routerMAC is the MAC address of a Subnet's router port.
func (t *test) routerMAC(subnet string) string {
	t.Helper()
	out, err := t.cluster.NBCtl(t.Context(), "--bare", "--columns=mac", "find", "Logical_Router_Port", "name=ovn-cluster-"+subnet)
	t.must(err, "read the router's port")
	return strings.TrimSpace(out)
}

// linkLocal is the link-local address that belongs to a MAC address.
func (t *test) linkLocal(mac string) netip.Addr {
	t.Helper()
	b, err := net.ParseMAC(mac)
	t.must(err, "parse MAC address %s", mac)
	return model.LinkLocal([6]byte(b))
}
