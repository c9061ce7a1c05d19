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

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
	"github.com/wovensdn/woven/pkg/podnet"
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

// The default route of the annotation replaces that of the subnet, and does not follow the subnet's gateway.
func TestReconfigureLeavesDefaultRouteOfAnnotation(t *testing.T) {
	pod := plumbtest.NewPod(t, "own-default")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	gateway := netip.MustParseAddr("10.16.0.254")
	req.Network.Routes = append(req.Network.Routes, podnet.Route{Dst: anyOf(gateway), Gateway: gateway})
	mustAdd(t, p, req)
	n := req.Network
	n.MTU, n.Gateways = 1400, []netip.Addr{netip.MustParseAddr("10.16.0.2"), netip.MustParseAddr("fd00::2")}
	if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
		t.Fatal(err)
	}
	if have := gatewaysIn(t, pod); have["0.0.0.0/0"] != gateway.String() || have["::/0"] != "fd00::2" {
		t.Errorf("gateways %v", have)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
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

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// localIn reports an error if packets to an address are not delivered inside the pod.
func localIn(pod *plumbtest.Pod, address string) error {
	var kind int
	for range 2 { // see TestReconfigureWithoutAGap
		routes, err := pod.Handle.RouteGet(netip.MustParseAddr(address).AsSlice())
		if err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL {
			return nil
		}
		if len(routes) == 1 {
			kind = routes[0].Type
		}
	}
	return fmt.Errorf("the route has type %d", kind)
}

// assertNetworks compares the addresses and the connected and local routes of a pod, in all tables.
func assertNetworks(t *testing.T, pod *plumbtest.Pod, want ...string) {
	t.Helper()
	lk := link(t, pod.Handle, "eth0")
	addrs, err := pod.Handle.AddrList(lk, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, a := range addrs {
		if !a.IP.IsLinkLocalUnicast() {
			have = append(have, a.IPNet.String())
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				t.Errorf("%s is being probed", a.IPNet)
			}
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("addresses: -want +got\n%s", d)
	}
	networks := map[string]int{}
	for _, text := range want {
		p := netip.MustParsePrefix(text)
		if !p.IsSingleIP() {
			networks[p.Masked().String()] = 1
		}
		if p.Addr() == netip.MustParseAddr("10.16.0.5") || p.Addr() == netip.MustParseAddr("fd00::5") {
			networks[netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String()] = 1
		}
	}
	got := map[string]int{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := pod.Handle.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC, LinkIndex: lk.Attrs().Index}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if r.Type == unix.RTN_LOCAL && (got[r.Dst.String()] > 0 || r.Dst.IP[len(r.Dst.IP)-1] != 5) {
				continue // the kernel's beside ours, or of another address
			}
			if len(r.Gw) == 0 && r.Dst != nil && !r.Dst.IP.IsLinkLocalUnicast() && (r.Type == unix.RTN_UNICAST || r.Type == unix.RTN_LOCAL) {
				got[r.Dst.String()]++
			}
		}
	}
	if d := cmp.Diff(networks, got); d != "" {
		t.Errorf("connected and local routes: -want +got\n%s", d)
	}
}

// The addresses of a running pod get the prefix lengths of its subnet; those that the pod gave itself stay.
func TestReconfigurePrefixLengths(t *testing.T) {
	pod, p, sw, req := running(t, "prefixes")
	for _, own := range prefixes("10.16.0.77/16", "192.0.2.7/32", "fd00::77/112") {
		if err := pod.Handle.AddrAdd(link(t, pod.Handle, "eth0"), &netlink.Addr{IPNet: toIPNet(own), Flags: unix.IFA_F_NODAD}); err != nil {
			t.Fatal(err)
		}
	}
	n := req.Network
	n.MTU = 1400
	const own1, own2, own3 = "10.16.0.77/16", "192.0.2.7/32", "fd00::77/112"
	for _, step := range []struct{ v4, v6, gateway4, gateway6 string }{
		{"10.16.0.5/29", "fd00::5/112", "10.16.0.1", "fd00::1"},
		{"10.16.0.5/28", "fd00::5/124", "10.16.0.1", "fd00::1"},
		{"10.16.0.5/28", "fd00::5/64", "10.16.0.1", "fd00::1"},
		{"10.16.0.5/8", "fd00::5/32", "10.17.0.1", "fd00:0:1::1"}, // a gateway that only the new networks contain
		{"10.16.0.5/30", "fd00::5/126", "10.16.0.6", "fd00::6"},   // and back, with one that the old ones contain
		{"10.16.0.5/16", "fd00::5/112", "10.16.0.1", "fd00::1"},
	} {
		n.Addresses = prefixes(step.v4, step.v6)
		n.Gateways = []netip.Addr{netip.MustParseAddr(step.gateway4), netip.MustParseAddr(step.gateway6)}
		if nicOf(t, sw).Fits(n) {
			t.Errorf("%+v fits before it is done", step)
		}
		if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
			t.Fatal(err)
		}
		if !nicOf(t, sw).Fits(n) {
			t.Errorf("%+v does not fit afterwards", step)
		}
		assertNetworks(t, pod, step.v4, step.v6, own1, own2, own3)
		assertGateways(t, pod, step.gateway4, step.gateway6)
		req.Network = n
		if err := p.Check(t.Context(), req); err != nil {
			t.Errorf("CHECK: %v", err)
		}
	}
}

// A pod of an earlier version, whose port does not remember prefix lengths, and one whose change was cut short after
// any step, get theirs.
func TestReconfigureUnknownPrefixLengths(t *testing.T) {
	for name, disturb := range map[string]func(h *netlink.Handle, lk netlink.Link) error{
		"earlier version": func(*netlink.Handle, netlink.Link) error { return nil },
		"both IPv4 addresses": func(h *netlink.Handle, lk netlink.Link) error {
			return h.AddrAdd(lk, &netlink.Addr{IPNet: toIPNet(prefixes("10.16.0.5/24")[0])})
		},
		"no IPv6 address": func(h *netlink.Handle, lk netlink.Link) error {
			return h.AddrDel(lk, &netlink.Addr{IPNet: toIPNet(prefixes("fd00::5/112")[0])})
		},
		"no addresses of the pod's": func(h *netlink.Handle, lk netlink.Link) error {
			return h.AddrDel(lk, &netlink.Addr{IPNet: toIPNet(prefixes("10.16.0.5/16")[0])})
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod, p, sw, req := running(t, "unknown-prefixes")
			if err := disturb(pod.Handle, link(t, pod.Handle, "eth0")); err != nil {
				t.Fatal(err)
			}
			n := req.Network
			n.MTU, n.Addresses = 1400, prefixes("10.16.0.5/24", "fd00::5/96")
			nic := nicOf(t, sw)
			if err := p.remember(t.Context(), nic, nic.gateways, "", nic.mtu); err != nil {
				t.Fatal(err)
			}
			if err := p.Reconfigure(t.Context(), nicOf(t, sw), n); err != nil {
				t.Fatal(err)
			}
			assertNetworks(t, pod, "10.16.0.5/24", "fd00::5/96")
			if !nicOf(t, sw).Fits(n) {
				t.Error("does not fit afterwards")
			}
		})
	}
}

// What a pod sends passes all the time while its gateway and its prefix lengths change to and fro.
func TestReconfigureWithoutAGap(t *testing.T) {
	pod, p, sw, req := running(t, "gap")
	a := req.Network
	b := req.Network
	b.Gateways = []netip.Addr{netip.MustParseAddr("10.16.0.2"), netip.MustParseAddr("fd00::2")}
	b.Addresses = prefixes("10.16.0.5/28", "fd00::5/64")
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			// Outside, in both networks, and the pod itself.
			for _, dst := range []string{"198.51.100.1", "2001:db8::1", "10.16.0.7", "fd00::7", "10.16.0.5", "fd00::5"} {
				_, err := pod.Handle.RouteGet(netip.MustParseAddr(dst).AsSlice())
				if err != nil {
					// A lookup that has found the old route in the very moment in which it is freed fails (fib_dead in
					// fib_table_lookup, net/ipv4/fib_trie.c; fib6_info_hold_safe in ip6_create_rt_rcu,
					// net/ipv6/route.c). The next one finds the new route.
					_, err = pod.Handle.RouteGet(netip.MustParseAddr(dst).AsSlice())
				}
				if err == nil && strings.HasSuffix(dst, ":5") {
					err = localIn(pod, dst)
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
