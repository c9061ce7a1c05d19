// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
	"github.com/wovensdn/woven/pkg/node/step"
	"github.com/wovensdn/woven/pkg/podnet"
)

func TestMain(m *testing.M) { os.Exit(plumbtest.Main(m)) }

const containerID = "0123456789abcdef0123"

func request(pod *plumbtest.Pod) Request {
	return Request{
		Attachment: Attachment{ContainerID: containerID, IfName: "eth0"},
		NetNS:      pod.Path,
		Network: podnet.Network{
			Namespace: "shop", Name: "web-0", UID: "uid-1", Provider: "ovn", Port: "web-0.shop", LogicalSwitch: "ovn-default",
			Addresses:    []netip.Prefix{netip.MustParsePrefix("10.16.0.5/16"), netip.MustParsePrefix("fd00::5/112")},
			Gateways:     []netip.Addr{netip.MustParseAddr("10.16.0.1"), netip.MustParseAddr("fd00::1")},
			MAC:          net.HardwareAddr{0x0a, 0, 0, 0, 0, 5},
			Routes:       []podnet.Route{{Dst: netip.MustParsePrefix("192.168.0.0/16"), Gateway: netip.MustParseAddr("10.16.0.254")}},
			DefaultRoute: true,
		},
		Routes: []podnet.Route{{Dst: netip.MustParsePrefix("172.16.0.0/12"), Gateway: netip.MustParseAddr("10.99.0.1")}},
	}
}

// newPlumber returns a plumber over a fake switch on which every port is installed as soon as it is made.
func newPlumber(t *testing.T, datapath string) (*Plumber, *ovs.Fake) {
	t.Helper()
	sw := ovs.NewFake("br-int", datapath)
	p, err := New(Config{Switch: sw, Bridge: "br-int", MTU: 1400, InstalledTimeout: 30 * time.Second, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	return p, sw
}

// autoInstall does what ovn-controller does, for every port, until the test ends.
func autoInstall(t *testing.T, sw *ovs.Fake) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed := sw.Changed()
			ports, _ := sw.Ports()
			for _, port := range ports {
				if port.ExternalIDs[ovs.KeyOVNInstalled] != "true" {
					_ = sw.MarkInstalled(port.Name)
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func mustAdd(t *testing.T, p *Plumber, req Request) Result {
	t.Helper()
	res, err := p.Add(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func link(t *testing.T, h *netlink.Handle, name string) netlink.Link {
	t.Helper()
	l, err := h.LinkByName(name)
	if err != nil {
		t.Fatalf("link %s: %v", name, err)
	}
	return l
}

func hostHandle(t *testing.T) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// assertNothing fails unless node, pod and switch are as if nothing had happened.
func assertNothing(t *testing.T, pod *plumbtest.Pod, sw *ovs.Fake) {
	t.Helper()
	links, err := hostHandle(t).LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "veth" {
			t.Errorf("left on the node: %s %q", l.Attrs().Name, l.Attrs().Alias)
		}
	}
	if _, err := pod.Handle.LinkByName("eth0"); !isNotFound(err) {
		t.Errorf("left in the pod: eth0 (%v)", err)
	}
	if ports, _ := sw.Ports(); len(ports) != 0 {
		t.Errorf("left in OVS: %+v", ports)
	}
	devices, err := Userspace{}.Devices()
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) != 0 {
		t.Errorf("left in nftables: %v", devices)
	}
}

func TestAddPlumbs(t *testing.T) {
	pod := plumbtest.NewPod(t, "add")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	res := mustAdd(t, p, req)
	if res.HostIf != "6ee0b8e0319de_h" || res.MTU != 1400 || len(res.HostMAC) != 6 || len(res.Routes) != 4 {
		t.Fatalf("result %+v", res)
	}
	host := link(t, hostHandle(t), res.HostIf).Attrs()
	if host.MTU != 1400 || host.Flags&net.FlagUp == 0 || host.Alias != "woven "+containerID+" eth0 shop/web-0" {
		t.Fatalf("host end %+v", host)
	}
	hostAddrs, err := hostHandle(t).AddrList(link(t, hostHandle(t), res.HostIf), netlink.FAMILY_ALL)
	if err != nil || len(hostAddrs) != 0 {
		t.Fatalf("addresses on the host end: %v, %v", hostAddrs, err)
	}
	assertPodEnd(t, pod)
	ports, _ := sw.Ports()
	if len(ports) != 1 {
		t.Fatalf("ports %+v", ports)
	}
	for key, want := range map[string]string{
		"iface-id": "web-0.shop", "iface-id-ver": "uid-1", "vendor": "woven", "pod_name": "web-0", "pod_namespace": "shop",
		"pod_netns": pod.Path, "ip": "10.16.0.5,fd00::5", "logical_switch": "ovn-default", "container_id": containerID, "if_name": "eth0",
	} {
		if got := ports[0].ExternalIDs[key]; got != want {
			t.Errorf("external_ids:%s is %q, want %q", key, got, want)
		}
	}
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatalf("check: %v", err)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatalf("second delete: %v", err)
	}
}

func assertPodEnd(t *testing.T, pod *plumbtest.Pod) {
	t.Helper()
	eth0 := link(t, pod.Handle, "eth0")
	if a := eth0.Attrs(); a.MTU != 1400 || a.HardwareAddr.String() != "0a:00:00:00:00:05" || a.Flags&net.FlagUp == 0 {
		t.Fatalf("pod end %+v", a)
	}
	addrs, err := pod.Handle.AddrList(eth0, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10.16.0.5/16", "fd00::5/112"} {
		i := slices.IndexFunc(addrs, func(a netlink.Addr) bool { return a.IPNet.String() == want })
		if i < 0 {
			t.Fatalf("address %s is missing: %v", want, addrs)
		}
		if addrs[i].Flags&unix.IFA_F_TENTATIVE != 0 || (addrs[i].IP.To4() == nil && addrs[i].Flags&unix.IFA_F_NODAD == 0) {
			t.Errorf("address %s has flags %#x, want nodad and not tentative", want, addrs[i].Flags)
		}
	}
	have, err := pod.Handle.RouteList(eth0, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	for dst, gw := range map[string]string{
		"0.0.0.0/0": "10.16.0.1", "::/0": "fd00::1", "192.168.0.0/16": "10.16.0.254", "172.16.0.0/12": "10.99.0.1",
	} {
		want := podnet.Route{Dst: netip.MustParsePrefix(dst), Gateway: netip.MustParseAddr(gw)}
		if !slices.ContainsFunc(have, func(r netlink.Route) bool { return isRoute(r, want) }) {
			t.Errorf("route %s via %s is missing: %v", dst, gw, have)
		}
	}
}

// TestFailedStepUndoesTheEarlierOnes lets each step fail in turn, before and after it has done its work.
func TestFailedStepUndoesTheEarlierOnes(t *testing.T) {
	for _, datapath := range []string{"", ovs.UserspaceDatapath} {
		pod := plumbtest.NewPod(t, "undo"+datapath)
		p, sw := newPlumber(t, datapath)
		autoInstall(t, sw)
		boom := errors.New("boom")
		for i, after := 0, false; ; i, after = i+map[bool]int{true: 1}[after], !after {
			a, err := p.newAdd(request(pod))
			if err != nil {
				t.Fatal(err)
			}
			steps := a.steps()
			if i == len(steps) {
				a.close()
				break
			}
			do := steps[i].Do
			steps[i].Do = func(ctx context.Context) (step.Undo, error) {
				if !after {
					return nil, boom
				}
				back, err := do(ctx)
				return back, errors.Join(err, boom)
			}
			err = step.Run(t.Context(), steps)
			a.close()
			if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), steps[i].Name+": ") {
				t.Fatalf("step %q: got %v", steps[i].Name, err)
			}
			assertNothing(t, pod, sw)
		}
	}
}

func TestRepeatedAddConvergesAndKeepsThePair(t *testing.T) {
	pod := plumbtest.NewPod(t, "again")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	mustAdd(t, p, req)
	before := link(t, pod.Handle, "eth0").Attrs().Index
	mustAdd(t, p, req)
	req.Network.Addresses = []netip.Prefix{netip.MustParsePrefix("10.16.0.6/16")}
	req.Network.Gateways = req.Network.Gateways[:1]
	req.Network.MAC = net.HardwareAddr{0x0a, 0, 0, 0, 0, 6}
	req.Network.MTU, req.Routes = 1300, nil
	mustAdd(t, p, req)
	if err := p.Check(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	eth0 := link(t, pod.Handle, "eth0")
	if eth0.Attrs().Index != before {
		t.Fatal("the pair was created again")
	}
	addrs, err := pod.Handle.AddrList(eth0, netlink.FAMILY_V4)
	if err != nil || len(addrs) != 1 {
		t.Fatalf("addresses %v, %v", addrs, err)
	}
	have, err := pod.Handle.RouteList(eth0, netlink.FAMILY_V4)
	if err != nil || len(have) != 3 { // connected, default, annotation
		t.Fatalf("routes %v, %v", have, err)
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestCheckFindsEveryDifference(t *testing.T) {
	pod := plumbtest.NewPod(t, "check")
	p, sw := newPlumber(t, "")
	autoInstall(t, sw)
	req := request(pod)
	mustAdd(t, p, req)
	eth0 := link(t, pod.Handle, "eth0")
	addr := &netlink.Addr{IPNet: toIPNet(req.Network.Addresses[0])}
	if err := pod.Handle.AddrDel(eth0, addr); err != nil { // the kernel drops the IPv4 routes with it
		t.Fatal(err)
	}
	if err := hostHandle(t).LinkSetMTU(link(t, hostHandle(t), "6ee0b8e0319de_h"), 1280); err != nil {
		t.Fatal(err)
	}
	if err := sw.DeletePort(t.Context(), "br-int", "6ee0b8e0319de_h"); err != nil {
		t.Fatal(err)
	}
	err := p.Check(t.Context(), req)
	for _, want := range []string{
		"mtu is 1280, want 1400", "address 10.16.0.5/16 is missing", "route 0.0.0.0/0 via 10.16.0.1 is missing", `OVS port "6ee0b8e0319de_h": is missing`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := p.Del(t.Context(), req.Attachment); err != nil {
		t.Fatal(err)
	}
	assertNothing(t, pod, sw)
}

func TestAddWaitsForOVNControllerByEvent(t *testing.T) {
	pod := plumbtest.NewPod(t, "wait")
	p, sw := newPlumber(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	changed := sw.Changed()
	go func() { _, err := p.Add(ctx, request(pod)); errs <- err }()
	<-changed // the port is there
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	assertNothing(t, pod, sw)
}

func TestNetNSMustBeAnotherNetworkNamespace(t *testing.T) {
	p, _ := newPlumber(t, "")
	for path, want := range map[string]string{
		"/run/netns/nowhere":       "no such file",
		"/proc/self/ns/mnt":        "is not a network namespace",
		"/proc/self/ns/net":        "is the node's own network namespace",
		"/proc/self/status":        "is not a network namespace",
		"/run/netns":               "unknown FS magic",
		"/proc/thread-self/ns/net": "is the node's own network namespace",
	} {
		req := request(&plumbtest.Pod{Path: path})
		if _, err := p.Add(t.Context(), req); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestHostName(t *testing.T) {
	seen := map[string]string{}
	for _, a := range []Attachment{
		{containerID, "eth0"}, {containerID, "net1"}, {containerID, "abcdefghijklmno"}, {containerID + "0", "eth0"}, {"abc", "eth0"},
	} {
		name := HostName(a.ContainerID, a.IfName)
		if len(name) > 15 || seen[name] != "" {
			t.Errorf("%s: name %q, which is that of %q too", a, name, seen[name])
		}
		seen[name] = a.String()
	}
}

// TestPodsTakeNoRoutesFromNeighbours: router advertisements and redirects have no effect, unless the subnet sends
// advertisements.
func TestPodsTakeNoRoutesFromNeighbours(t *testing.T) {
	for want, router := range map[string]netip.Addr{"0": {}, "1": model.GatewayLinkLocal("ovn-cluster", "ovn-default")} {
		pod := plumbtest.NewPod(t, "guards"+want)
		p, sw := newPlumber(t, "")
		autoInstall(t, sw)
		req := request(pod)
		req.Network.Advertiser = router
		mustAdd(t, p, req)
		for path, want := range map[string]string{
			"ipv6/conf/eth0/accept_ra": want, "ipv6/conf/default/accept_ra": "0",
			"ipv6/conf/eth0/accept_redirects": "0", "ipv4/conf/eth0/accept_redirects": "0", "ipv4/conf/all/accept_redirects": "0",
			"ipv4/conf/eth0/send_redirects": "0", "ipv4/conf/all/send_redirects": "0",
		} {
			inside(t, pod, func() error {
				text, err := os.ReadFile("/proc/sys/net/" + path)
				if got := strings.TrimSpace(string(text)); got != want {
					t.Errorf("advertiser %v: %s is %s, want %s", router, path, got, want)
				}
				return err
			})
		}
		inside(t, pod, func() error {
			out, err := exec.CommandContext(t.Context(), "nft", "list", "ruleset").CombinedOutput()
			if has := strings.Contains(string(out), "nd-router-advert ip6 saddr != "+router.String()); has != router.IsValid() {
				t.Errorf("advertiser %v: the rules are:\n%s", router, out)
			}
			return err
		})
		if err := p.Del(t.Context(), req.Attachment); err != nil {
			t.Fatal(err)
		}
		assertNothing(t, pod, sw)
	}
}
