// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

type fakeForwards struct {
	at  []netip.AddrPort
	err error
}

func (f *fakeForwards) Release(_ context.Context, table string, at []netip.AddrPort) (int, error) {
	f.at = at
	if table != hostplan.ServiceTableName {
		return 0, errors.New("another table")
	}
	return 1, f.err
}

// A node that an earlier process cut off from its API server gets its way back before it knows any object, and pods
// keep theirs.
func TestLockedOutNodeFindsBack(t *testing.T) {
	h := newHost(t)
	forwards := &fakeForwards{}
	h.state.e.Forwards = forwards
	h.state.e.Addresses = func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.IP{127, 0, 0, 1}, Mask: net.CIDRMask(8, 32)}, &net.IPNet{IP: net.IP{192, 168, 77, 11}, Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("2001:db8::11"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}
	h.state.cfg.APIServers = []netip.Addr{netip.MustParseAddr("192.168.77.1"), netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("10.96.0.1")}
	h.state.cfg.APIServerClusterIP = netip.MustParseAddr("10.96.0.1")
	h.state.cfg.APIServerPorts = []netip.AddrPort{netip.MustParseAddrPort("192.168.77.1:6443"), netip.MustParseAddrPort("10.96.0.1:443")}
	rules := func(from ...string) map[hostplan.PolicyRule]bool {
		out := map[hostplan.PolicyRule]bool{}
		for _, f := range from {
			out[hostplan.PolicyRule{Priority: 1500, Table: 1000, From: netip.MustParsePrefix(f)}] = true
		}
		return out
	}
	h.rules.Rules = rules("192.168.77.11/32", "2001:db8::11/128", "192.168.0.0/16", "10.40.0.5/32", "127.0.0.0/24", "fd00:10:40::5/128")
	h.routes.Links["ovn0"] = []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16")}
	for _, dst := range []string{"10.16.0.0/16", "10.96.0.0/16", "192.168.77.0/28", "2001:db8::/120", "192.168.77.2/32"} {
		r := hostplan.Route{Dst: netip.MustParsePrefix(dst), Link: "ovn0"}
		h.routes.Routes[route.KeyOf(r)] = r
	}
	h.routes.Routes[route.Key{Table: 1000, Dst: netip.MustParsePrefix("0.0.0.0/0")}] = hostplan.Route{Table: 1000, Dst: netip.MustParsePrefix("0.0.0.0/0")}
	if err := h.state.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rules("10.40.0.5/32", "127.0.0.0/24", "fd00:10:40::5/128"), h.rules.Rules, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("rules: -want +got\n%s", d)
	}
	// 192.168.77.2 is the database of the fake. Nothing of the node looks at table 1000.
	if got := h.routeList(); !slices.Equal(got, []string{"0.0.0.0/0", "10.16.0.0/16", "10.96.0.0/16"}) {
		t.Errorf("routes %v", got)
	}
	if !slices.Equal(forwards.at, h.state.cfg.APIServerPorts) {
		t.Errorf("forwards of %v released", forwards.at)
	}
	forwards.err = errors.New("no nft")
	if err := h.state.Release(t.Context()); err == nil || !strings.Contains(err.Error(), "no nft") {
		t.Errorf("error %v", err)
	}
}
