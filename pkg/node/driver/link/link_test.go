// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

var (
	linkLocal = netip.MustParsePrefix("fe80::800:ff:fe00:2/64")
	forward   = []hostplan.Sysctl{
		{Path: "net/ipv4/ip_forward", Value: "1", AtLeast: true},
		{Path: "net/ipv6/conf/all/forwarding", Value: "1", AtLeast: true},
	}
	ovn0 = hostplan.Link{
		Name: "ovn0", MAC: "0a:00:00:00:00:02", MTU: 1400, SoftwareChecksum: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16"), netip.MustParsePrefix("fd00:100:64::2/112")},
		LinkLocal: linkLocal,
		Sysctls: []hostplan.Sysctl{
			{Path: "net/ipv4/conf/ovn0/rp_filter", Value: "2"},
			{Path: "net/ipv6/conf/ovn0/disable_ipv6", Value: "0"},
			{Path: "net/ipv6/conf/ovn0/accept_ra", Value: "0"},
		},
	}
)

// scenario runs the same steps on the fake and on Linux: what one refuses the other must refuse.
func scenario(t *testing.T, k link.Kernel, plug func(name string), disturb func()) {
	r, err := link.Apply(k, forward, []hostplan.Link{ovn0})
	if err != nil || !slices.Equal(r.Absent, []string{"ovn0"}) {
		t.Errorf("without the link: %+v, %v; want it absent and no error", r, err)
	}
	plug("ovn0")
	if r, err = link.Apply(k, forward, []hostplan.Link{ovn0}); err != nil || len(r.Absent) > 0 || len(r.Changes) == 0 {
		t.Errorf("first pass: %+v, %v", r, err)
	}
	want := link.State{MAC: ovn0.MAC, MTU: 1400, Up: true, Addresses: ovn0.Addresses, LinkLocal: []netip.Prefix{linkLocal}}
	check := func(when string) {
		t.Helper()
		have, err := k.Link("ovn0")
		sorted := cmpopts.SortSlices(func(a, b netip.Prefix) bool { return a.Compare(b) < 0 })
		if d := cmp.Diff(want, have, sorted, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", when, err, d)
		}
		if r, err := link.Apply(k, forward, []hostplan.Link{ovn0}); err != nil || len(r.Changes) > 0 {
			t.Errorf("%s: one more pass does %v, %v; want nothing", when, r.Changes, err)
		}
	}
	check("first pass")
	disturb()
	if _, err = link.Apply(k, forward, []hostplan.Link{ovn0}); err != nil {
		t.Errorf("after disturbance: %v", err)
	}
	check("after disturbance")

	for what, err := range map[string]error{
		"remove a missing address": k.DeleteAddress("ovn0", netip.MustParsePrefix("100.64.0.99/16")),
		"bad MAC":                  k.SetMAC("ovn0", "zz"),
		"MTU 1":                    k.SetMTU("ovn0", 1),
		"missing link":             k.SetUp("ovn9"),
		"missing setting":          k.SetSysctl("net/ipv4/conf/ovn9/rp_filter", "0"),
		"copy a missing address":   k.CopyAddress("ovn0", "ovn0", netip.MustParsePrefix("100.64.0.99/16")),
		"copy to the same link":    k.CopyAddress("ovn0", "ovn0", ovn0.Addresses[0]),
		"move a missing route":     k.MoveRoute(link.Route{Link: "ovn0", Table: 254, Dst: netip.MustParsePrefix("192.0.2.0/24")}, "ovn0"),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestFake(t *testing.T) {
	k := link.NewFake()
	scenario(t, k, func(n string) { k.Plug(n, "02:00:00:00:00:01") }, func() {
		_ = k.DeleteAddress("ovn0", ovn0.Addresses[0])
		// The first of its network: ours becomes a secondary one.
		_ = k.SetAddress("ovn0", netip.MustParsePrefix("100.64.0.99/16"))
		k.Links["ovn0"].LinkLocal = nil
		k.Links["ovn0"].Up, k.Links["ovn0"].NoARP = false, true
		k.Links["ovn0"].TxChecksum = true
		_ = k.SetSysctl("net/ipv4/conf/ovn0/rp_filter", "1")
	})
}

func TestLinux(t *testing.T) {
	nstest.New(t).Do(func() {
		k, err := link.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = k.Close() }()
		scenario(t, k, func(n string) { plugTap(t, n) }, func() {
			lk, err := netlink.LinkByName("ovn0")
			if err != nil {
				t.Error(err)
				return
			}
			for _, err := range []error{
				netlink.LinkSetARPOff(lk),
				netlink.LinkSetDown(lk), // IPv6 addresses go with it
				k.DeleteAddress("ovn0", ovn0.Addresses[0]),
				// The first of its network: ours becomes a secondary one.
				k.SetAddress("ovn0", netip.MustParsePrefix("100.64.0.99/16")),
				k.SetTxChecksum("ovn0", true),
				k.SetSysctl("net/ipv4/conf/ovn0/rp_filter", "1"),
			} {
				if err != nil {
					t.Error(err)
				}
			}
		})
		if mtu, err := k.UnderlayMTU(netip.MustParseAddr("100.64.0.2")); mtu != 1400 || err != nil {
			t.Errorf("UnderlayMTU = %d, %v", mtu, err)
		}
	})
}

// plugTap makes the kind of link that OVS with the userspace datapath makes.
func plugTap(t *testing.T, name string) {
	hw, _ := net.ParseMAC("02:00:00:00:00:01")
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: name},
		Mode:      netlink.TUNTAP_MODE_TAP,
		Flags:     netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR,
	}
	if err := netlink.LinkAdd(tap); err != nil {
		t.Errorf("add tap %s: %v", name, err)
		return
	}
	if err := netlink.LinkSetHardwareAddr(tap, hw); err != nil {
		t.Error(err)
	}
}

// Addresses of somebody else's making are made what ours are.
func TestUnusableAddresses(t *testing.T) {
	want := hostplan.Link{Name: "ovn0", Addresses: ovn0.Addresses, LinkLocal: linkLocal}
	for name, add := range map[string][]string{
		"being probed":    {"fd00:100:64::2/112"},
		"of limited life": {"100.64.0.2/16", "valid_lft", "1000", "preferred_lft", "1000"},
		"deprecated":      {"fd00:100:64::2/112", "nodad", "preferred_lft", "0", "valid_lft", "1000"},
		"another length":  {"fd00:100:64::2/64", "nodad"},
	} {
		t.Run(name, func(t *testing.T) {
			nstest.New(t).Do(func() {
				k, err := link.NewLinux()
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = k.Close() }()
				plugTap(t, "ovn0")
				if out, err := exec.CommandContext(t.Context(), "ip", append([]string{"address", "add", "dev", "ovn0"}, add...)...).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if _, err := link.Apply(k, nil, []hostplan.Link{want}); err != nil {
					t.Error(err)
				}
				have, err := k.Link("ovn0")
				if err != nil || len(have.Addresses) != 2 || len(have.Unusable) != 0 {
					t.Errorf("%+v, %v", have, err)
				}
				if r, err := link.Apply(k, nil, []hostplan.Link{want}); err != nil || len(r.Changes) > 0 {
					t.Errorf("one more pass does %v, %v; want nothing", r.Changes, err)
				}
			})
		})
	}
}

func TestRouterAdvertisementsAreKept(t *testing.T) {
	nstest.New(t).Do(func() {
		k, err := link.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = k.Close() }()
		plugTap(t, "up0")
		plugTap(t, "own0")
		for _, err := range []error{
			k.SetSysctl("net/ipv6/conf/up0/accept_ra", "1"),
			k.SetSysctl("net/ipv6/conf/own0/accept_ra", "0"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := link.Apply(k, forward, nil); err != nil {
			t.Error(err)
		}
		for p, want := range map[string]string{"up0/accept_ra": "2", "own0/accept_ra": "0", "all/forwarding": "1"} {
			if v, err := k.Sysctl("net/ipv6/conf/" + p); v != want || err != nil {
				t.Errorf("%s = %s, %v; want %s", p, v, err, want)
			}
		}
	})
}

func TestWatch(t *testing.T) {
	ns := nstest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan struct{}, 1000)
	ended := make(chan error, 1)
	ns.Go(func() {
		ended <- link.Watch(ctx, func() { events <- struct{}{} })
	})
	<-events // it listens
	ns.Do(func() { plugTap(t, "ovn0") })
	<-events // a link
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
