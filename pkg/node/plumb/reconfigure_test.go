// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

// running is a pod that was connected, and has a route of its own through the gateway.
func running(t *testing.T, name string) (*plumbtest.Pod, *Plumber, *ovs.Fake, Request) {
	t.Helper()
	pod := plumbtest.NewPod(t, name)
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	mustAdd(t, p, req)
	t.Cleanup(func() {
		if err := p.Del(context.Background(), req.Attachment); err != nil {
			t.Error(err)
		}
	})
	own := &netlink.Route{
		LinkIndex: link(t, pod.Handle, "eth0").Attrs().Index, Gw: req.Network.Gateways[0].AsSlice(),
		Dst: toIPNet(netip.MustParsePrefix("203.0.113.0/24")), Protocol: unix.RTPROT_STATIC,
	}
	if err := pod.Handle.RouteAdd(own); err != nil {
		t.Fatal(err)
	}
	return pod, p, sw, req
}

// nicOf is the one NIC that the switch knows.
func nicOf(t *testing.T, sw *ovs.Fake) NIC {
	t.Helper()
	ports, err := sw.Ports()
	if err != nil || len(ports) != 1 {
		t.Fatalf("ports %+v, %v", ports, err)
	}
	nic, ok := NICOf(ports[0])
	if !ok {
		t.Fatalf("port %+v is no pod's", ports[0])
	}
	return nic
}

// gatewaysIn are the gateways of all routes in a pod, by destination.
func gatewaysIn(t *testing.T, pod *plumbtest.Pod) map[string]string {
	t.Helper()
	have, err := pod.Handle.RouteList(link(t, pod.Handle, "eth0"), netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range have {
		gw, ok := netip.AddrFromSlice(r.Gw)
		if !ok {
			continue
		}
		dst := anyOf(gw.Unmap()).String()
		if r.Dst != nil {
			dst = r.Dst.String()
		}
		if out[dst] != "" {
			t.Errorf("two routes to %s: %v", dst, have)
		}
		out[dst] = gw.Unmap().String()
	}
	return out
}

func assertGateways(t *testing.T, pod *plumbtest.Pod, v4, v6 string) {
	t.Helper()
	have := gatewaysIn(t, pod)
	for dst, want := range map[string]string{
		"0.0.0.0/0": v4, "::/0": v6,
		"192.168.0.0/16": "10.16.0.254", "172.16.0.0/12": "10.99.0.1", // of annotation and network configuration
		"203.0.113.0/24": "10.16.0.1", // the pod's own
	} {
		if have[dst] != want {
			t.Errorf("route %s goes through %q, want %q", dst, have[dst], want)
		}
	}
}

func assertMTU(t *testing.T, pod *plumbtest.Pod, want int) {
	t.Helper()
	inPod, onNode := link(t, pod.Handle, "eth0").Attrs().MTU, link(t, hostHandle(t), "6ee0b8e0319de_h").Attrs().MTU
	if inPod != want || onNode != want {
		t.Errorf("mtu is %d in the pod and %d on the node, want %d", inPod, onNode, want)
	}
}

func TestReconfigure(t *testing.T) {
	pod, p, sw, req := running(t, "reconfigure")
	n := req.Network
	n.MTU = 1400
	if nic := nicOf(t, sw); !nic.Fits(n) || nic.Ref.Provider != "" || nic.Ref.String() != "pod shop/web-0" {
		t.Fatalf("after ADD: %+v does not fit", nic)
	}
	for _, step := range []struct {
		v4, v6 string
		mtu    int
	}{{"10.16.0.2", "fd00::2", 1400}, {"10.16.0.2", "fd00::2", 1300}, {"10.16.0.3", "fd00::2", 1450}, {"10.99.0.9", "fd00::1", 1400}} {
		n.Gateways, n.MTU = []netip.Addr{netip.MustParseAddr(step.v4), netip.MustParseAddr(step.v6)}, step.mtu
		if nicOf(t, sw).Fits(n) {
			t.Errorf("%+v fits before it is done", step)
		}
		if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
			t.Fatal(err)
		}
		assertGateways(t, pod, step.v4, step.v6)
		assertMTU(t, pod, step.mtu)
		if !nicOf(t, sw).Fits(n) {
			t.Errorf("%+v does not fit afterwards", step)
		}
	}
	n.Gateways = n.Gateways[:1]
	if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
		t.Fatal(err)
	}
	assertGateways(t, pod, "10.99.0.9", "fd00::1") // a gateway that is gone leaves the route
}

// A change that was cut short after any write is brought to its end by the next one, also to yet another gateway.
func TestReconfigureGoesOn(t *testing.T) {
	boom := errors.New("boom")
	for after := range 2 {
		pod, p, sw, req := running(t, fmt.Sprint("half", after))
		n := req.Network
		n.MTU, n.Gateways = 1300, []netip.Addr{netip.MustParseAddr("10.16.0.2"), netip.MustParseAddr("fd00::2")}
		writes := 0
		sw.Fail = func(op, _ string) error {
			if writes++; op == "EnsurePort" && writes > after {
				return boom
			}
			return nil
		}
		if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); !errors.Is(err, boom) || !strings.Contains(err.Error(), "interface eth0") {
			t.Errorf("got %v", err)
		}
		sw.Fail = nil
		n.Gateways = []netip.Addr{netip.MustParseAddr("10.16.0.3"), netip.MustParseAddr("fd00::3")}
		if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
			t.Fatal(err)
		}
		assertGateways(t, pod, "10.16.0.3", "fd00::3")
		assertMTU(t, pod, 1300)
		if got := nicOf(t, sw).gateways; !slices.Equal(got, n.Gateways) {
			t.Errorf("the port remembers %v", got)
		}
		if err := p.Del(t.Context(), req.Attachment); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReconfigureLeavesOthersAlone(t *testing.T) {
	pod, p, sw, req := running(t, "others")
	n := req.Network
	n.Gateways = []netip.Addr{netip.MustParseAddr("10.16.0.2"), netip.MustParseAddr("fd00::2")}
	unlock, err := p.locks.lock(t.Context(), req.key())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); !errors.Is(err, ErrBusy) {
		t.Errorf("while another operation is under way: %v", err)
	}
	unlock()
	older := nicOf(t, sw)
	older.Ref.UID = "uid-0"
	if err := p.Reconfigure(t.Context(), older, n); err != nil {
		t.Errorf("a NIC of a pod that is gone: %v", err)
	}
	assertGateways(t, pod, "10.16.0.1", "fd00::1")
	pod.Delete(t)
	if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
		t.Errorf("a sandbox that is gone: %v", err)
	}
}

// What a pod sends passes all the time while its gateway changes to and fro.
func TestReconfigureWithoutAGap(t *testing.T) {
	pod, p, sw, req := running(t, "gap")
	a := req.Network
	b := req.Network
	b.Gateways = []netip.Addr{netip.MustParseAddr("10.16.0.2"), netip.MustParseAddr("fd00::2")}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			for _, dst := range []string{"198.51.100.1", "2001:db8::1"} {
				_, err := pod.Handle.RouteGet(netip.MustParseAddr(dst).AsSlice())
				if err != nil {
					// A lookup that has found the old route in the very moment in which it is freed fails (fib_dead in
					// fib_table_lookup, net/ipv4/fib_trie.c; fib6_info_hold_safe in ip6_create_rt_rcu,
					// net/ipv6/route.c). The next one finds the new route.
					_, err = pod.Handle.RouteGet(netip.MustParseAddr(dst).AsSlice())
				}
				if err != nil {
					ended <- fmt.Errorf("%s: %w", dst, err)
					return
				}
			}
		}
	}()
	for range 200 {
		for _, n := range []*Request{{Network: b}, {Network: a}} {
			if err := p.Reconfigure(t.Context(), nicOf(t, sw), n.Network); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("no route: %v", err)
	}
}
