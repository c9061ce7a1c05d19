// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/podnet"
)

func testPod(uid string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: types.UID(uid), Annotations: map[string]string{
		annotations.Allocated: "true", annotations.Routed: "true", annotations.IPAddress: "10.16.0.5",
		annotations.MACAddress: "0a:00:00:00:00:05", annotations.CIDR: "10.16.0.0/16", annotations.Gateway: "10.16.0.1",
		annotations.LogicalSwitch: "ovn-default",
	}}}
}

// nics notes what it is asked for, and does it as far as ports remember.
type nics struct {
	h     *host
	asked []string
	err   error
}

func (n *nics) Reconfigure(ctx context.Context, nic plumb.NIC, want podnet.Network) error {
	n.asked = append(n.asked, fmt.Sprintf("%s %s %s: %v %d", nic.Port, nic.Ref, nic.Ref.Provider, want.Gateways, want.MTU))
	if n.err != nil {
		return n.err
	}
	return n.h.ovs.EnsurePort(ctx, ovs.Port{Bridge: hostplan.IntegrationBridge, Name: nic.Port, ExternalIDs: map[string]string{
		ovs.KeyIfaceID: want.Port, ovs.KeyIfaceIDVer: want.UID, "gateway": want.Gateways[0].String(), "cidr": want.Addresses[0].Masked().String(), "mtu": fmt.Sprint(want.MTU),
	}})
}

// expect makes a pass and compares what was asked for since the last one.
func (n *nics) expect(what string, want ...string) {
	n.h.t.Helper()
	n.asked = nil
	if _, err := n.h.pass(); err != nil {
		n.h.t.Errorf("%s: %v", what, err)
	}
	if d := cmp.Diff(want, n.asked); d != "" {
		n.h.t.Errorf("%s: -want +got\n%s", what, d)
	}
}

func (h *host) change(o client.Object, change func()) {
	h.t.Helper()
	if err := h.objects.Get(h.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		h.t.Fatal(err)
	}
	change()
	if err := h.objects.Update(h.t.Context(), o); err != nil {
		h.t.Fatal(err)
	}
}

// Running pods get the gateway that their annotation names, and the MTU of their subnet or node, and nothing else wakes
// anybody.
func TestRunningPods(t *testing.T) {
	pod, subnet := testPod("u1"), testSubnet("other", "10.30.0.0/16", true)
	const second = "net1.default.ovn"
	for suffix, value := range map[string]string{
		annotations.SuffixAllocated: "true", annotations.SuffixRouted: "true", annotations.SuffixIPAddress: "10.30.0.5",
		annotations.SuffixMACAddress: "0a:00:00:00:00:06", annotations.SuffixCIDR: "10.30.0.0/16", annotations.SuffixGateway: "10.30.0.1",
		annotations.SuffixLogicalSwitch: "other",
	} {
		pod.Annotations[annotations.Key(second, suffix)] = value
	}
	h := newHost(t, append(typical(), pod, subnet)...)
	n := &nics{h: h}
	h.state.e.NICs = n
	for name, ids := range map[string][4]string{
		"web_h": {"web.default", "u1", "eth0", ""}, "net1_h": {"web.default." + second, "u1", "net1", second}, "old_h": {"web.default", "u0", "eth0", ""},
	} {
		err := h.ovs.EnsurePort(t.Context(), ovs.Port{Bridge: hostplan.IntegrationBridge, Name: name, ExternalIDs: map[string]string{
			ovs.KeyIfaceID: ids[0], ovs.KeyIfaceIDVer: ids[1], "if_name": ids[2], "pod_provider": ids[3],
			"container_id": "c-" + name, "pod_name": "web", "pod_namespace": "default",
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	const first, other = "web_h pod default/web : ", "net1_h pod default/web " + second + ": "
	n.expect("ports that remember nothing", other+"[10.30.0.1] 1400", first+"[10.16.0.1] 1400")
	n.expect("nothing new")
	h.change(pod, func() { pod.Annotations[annotations.Gateway] = "10.16.0.9" })
	n.expect("another gateway", first+"[10.16.0.9] 1400")
	h.change(pod, func() { pod.Annotations[annotations.CIDR] = "10.16.0.0/20" })
	n.expect("another prefix length", first+"[10.16.0.9] 1400")
	h.change(pod, func() { pod.Annotations[annotations.CIDR] = "10.16.0.0/30" })
	n.expect("a CIDR without the address: the pod keeps what it has")
	h.change(pod, func() { pod.Annotations[annotations.CIDR] = "10.16.0.0/16" })
	n.expect("the old prefix length", first+"[10.16.0.9] 1400")
	h.change(subnet, func() { subnet.Spec.Mtu = 1300 })
	n.expect("another MTU", other+"[10.30.0.1] 1300")
	h.change(subnet, func() { subnet.Spec.Mtu = 0 })
	n.err = fmt.Errorf("reconfigure: %w", plumb.ErrBusy)
	n.expect("busy", other+"[10.30.0.1] 1400", other+"[10.30.0.1] 1400") // in each of two passes
	n.err = errors.New("no such device")
	_, err := h.pass()
	for _, part := range []string{"pod default/web", second + ".kubernetes.io/gateway", "subnet other", "no such device"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	n.err = nil
	h.change(pod, func() { pod.Annotations[annotations.Gateway] = "10.16.0.x" })
	if _, err = h.pass(); err == nil || !strings.Contains(err.Error(), `annotation ovn.kubernetes.io/gateway: "10.16.0.x"`) {
		t.Errorf("a gateway that is none: %v", err)
	}
	h.plug(ovs.Port{Bridge: hostplan.IntegrationBridge, Name: "web_h", ExternalIDs: map[string]string{ovs.KeyIP: "10.16.0.5", ovs.KeyLogicalSwitch: "ovn-default"}})
	h.change(pod, func() { pod.Annotations[annotations.Gateway] = "10.16.0.7" })
	n.expect("the port's own address", first+"[10.16.0.7] 1400")
	h.change(pod, func() {
		pod.Annotations[annotations.Gateway], pod.Annotations[annotations.IPAddress] = "10.16.0.8", "10.16.0.66"
	})
	n.expect("a forged address")
	h.change(pod, func() {
		pod.Annotations[annotations.IPAddress], pod.Annotations[annotations.LogicalSwitch] = "10.16.0.5", "other"
	})
	n.expect("a forged Subnet")
	if err := h.objects.Delete(t.Context(), &corev1.Pod{ObjectMeta: pod.ObjectMeta}); err != nil {
		t.Fatal(err)
	}
	n.expect("no pod")
}
