// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

// The tests of this package run in namespaces of their own, since one of them configures a host.
func TestMain(m *testing.M) { os.Exit(plumbtest.Main(m)) }

// tapSwitch makes a tap for each internal port, as ovs-vswitchd does with the userspace datapath.
type tapSwitch struct{ hostSwitch }

func (s tapSwitch) EnsurePort(ctx context.Context, p ovs.Port) error {
	if _, err := netlink.LinkByName(p.Name); err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = p.Name
		tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
		if err := netlink.LinkAdd(tap); err != nil {
			return err
		}
	}
	return s.Fake.EnsurePort(ctx, p)
}

// probe says in words what is missing on the real host.
func probe(t *testing.T) string {
	t.Helper()
	var missing []string
	lk, err := netlink.LinkByName(hostplan.NodeLink)
	if err != nil {
		return "ovn0"
	}
	if lk.Attrs().Flags&net.FlagUp == 0 {
		missing = append(missing, "up")
	}
	if as, err := netlink.AddrList(lk, netlink.FAMILY_V4); err != nil || len(as) != 1 || as[0].IP.String() != "100.64.0.2" {
		missing = append(missing, "address")
	}
	rs, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: hostplan.RouteProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil || len(rs) != 2 || rs[0].Dst.String() != "10.16.0.0/16" || rs[0].Src.String() != "100.64.0.2" {
		missing = append(missing, "route")
	}
	rs, err = netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: 1000}, netlink.RT_FILTER_TABLE)
	if err != nil || len(rs) != 4 || rs[0].Gw.String() != "100.64.0.9" { // the others send what is inside back
		missing = append(missing, "routes to the router outside")
	}
	list, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil || !slices.ContainsFunc(list, func(r netlink.Rule) bool {
		return r.Protocol == hostplan.RouteProtocol && r.Priority == 1500 && r.Table == 1000 && r.Src.String() == "10.40.0.5/32"
	}) {
		missing = append(missing, "rule")
	}
	out, err := exec.CommandContext(t.Context(), "nft", "list", "table", "inet", "woven").CombinedOutput()
	if err != nil || strings.Count(string(out), "masquerade") != 3 {
		missing = append(missing, "NAT")
	}
	return strings.Join(missing, ", ")
}

// What somebody takes away from a real host comes back because the kernel reports it: nothing else wakes the loop here.
func TestOnLinux(t *testing.T) {
	h := newHost(t, append(typical(), external())...)
	h.plug(podPort("p1", "external", "10.40.0.5"))
	links, err := link.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = links.Close() }()
	routes, err := route.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	defer routes.Close()
	rules, err := rule.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	defer rules.Close()
	e := &h.state.e
	e.Switch, e.Links, e.Routes, e.Rules, e.Tables = tapSwitch{hostSwitch{h.ovs, h}}, links, routes, rules, &nft.Driver{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	go func() { h.state.WatchKernel(ctx); ended <- struct{}{} }()
	go func() { h.state.Run(ctx); ended <- struct{}{} }()
	defer func() {
		cancel()
		<-ended
		<-ended
	}()
	await := func(after string) {
		t.Helper()
		missing := "all"
		for missing != "" && t.Context().Err() == nil {
			missing = probe(t)
		}
		t.Logf("right again after: %s", after)
	}
	await("start")
	find := func() netlink.Link {
		lk, err := netlink.LinkByName(hostplan.NodeLink)
		if err != nil {
			t.Fatal(err)
		}
		return lk
	}
	for _, d := range []struct {
		name string
		do   func() error
	}{
		{"route removed", func() error {
			return netlink.RouteDel(&netlink.Route{Dst: &net.IPNet{IP: net.IP{10, 16, 0, 0}, Mask: net.CIDRMask(16, 32)}})
		}},
		{"default route of the table removed", func() error { return exec.CommandContext(ctx, "ip", "route", "flush", "table", "1000").Run() }},
		{"rule removed", func() error { return exec.CommandContext(ctx, "ip", "rule", "del", "priority", "1500").Run() }},
		{"address removed", func() error { return links.DeleteAddress("ovn0", netip.MustParsePrefix("100.64.0.2/16")) }},
		{"link down", func() error { return netlink.LinkSetDown(find()) }},
		{"foreign address", func() error { return links.AddAddress("ovn0", netip.MustParsePrefix("192.0.2.1/24")) }},
		{"NAT table removed", func() error { return exec.CommandContext(ctx, "nft", "delete", "table", "inet", "woven").Run() }},
		{"NAT rules flushed", func() error {
			return exec.CommandContext(ctx, "nft", "flush", "chain", "inet", "woven", "postrouting").Run()
		}},
		{"link removed", func() error {
			err := netlink.LinkDel(find())
			h.state.Kick() // ovs-vswitchd's database reports it
			return err
		}},
	} {
		if err := d.do(); err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if probe(t) == "" {
			t.Logf("%s: repaired before it could be seen", d.name)
		}
		await(d.name)
	}
}
