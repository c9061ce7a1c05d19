// SPDX-License-Identifier: Apache-2.0

package route_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

func r(dst, gw, src string) hostplan.Route {
	return hostplan.Route{
		Dst: netip.MustParsePrefix(dst), Gateway: netip.MustParseAddr(gw), Source: netip.MustParseAddr(src), Link: "ovn0",
	}
}

// table is a route of another table; without a gateway it sends packets back to the main one.
func table(dst, gw string) hostplan.Route {
	r := hostplan.Route{Table: 1000, Dst: netip.MustParsePrefix(dst)}
	if gw == "" {
		r.Type = hostplan.Throw
		return r
	}
	r.Gateway = netip.MustParseAddr(gw)
	return r
}

var addresses = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.2/16"), netip.MustParsePrefix("100.64.0.3/16"), netip.MustParsePrefix("fd00:100:64::2/112"),
}

// attached are the routes that the kernel makes for the addresses.
var attached = []hostplan.Route{
	local("100.64.0.2", "100.64.0.2"), local("100.64.0.3", "100.64.0.3"),
	connected("100.64.0.0/16", "100.64.0.2"), connected("fd00:100:64::/112", ""),
}

func local(dst, src string) hostplan.Route {
	r := connected(netip.PrefixFrom(netip.MustParseAddr(dst), netip.MustParseAddr(dst).BitLen()).String(), src)
	r.Type, r.Table = hostplan.Local, hostplan.TableLocal
	return r
}

func connected(dst, src string) hostplan.Route {
	r := hostplan.Route{Type: hostplan.Connected, Dst: netip.MustParsePrefix(dst), Link: "ovn0"}
	r.Source, _ = netip.ParseAddr(src)
	return r
}

// scenario runs the same steps on the fake and on Linux.
func scenario(t *testing.T, k route.Kernel) {
	if _, err := route.Apply(k, hostplan.Routes{Want: attached}); err != nil {
		t.Error(err)
	}
	a, a2 := r("10.16.0.0/16", "100.64.0.1", "100.64.0.2"), r("10.16.0.0/16", "100.64.0.1", "100.64.0.3")
	b, c := r("10.17.0.0/24", "100.64.0.1", "100.64.0.2"), r("fd00:10:16::/112", "fd00:100:64::1", "fd00:100:64::2")
	def, def2 := table("0.0.0.0/0", "100.64.0.1"), table("0.0.0.0/0", "100.64.0.7")
	def6, throw, throw6 := table("::/0", "fd00:100:64::1"), table("10.16.0.0/16", ""), table("fd00:10:16::/112", "")
	for _, step := range []struct {
		name    string
		want    hostplan.Routes
		changes int
		list    []hostplan.Route
	}{
		{"empty", hostplan.Routes{}, 0, nil},
		{"three", hostplan.Routes{Want: []hostplan.Route{a, b, c}}, 3, []hostplan.Route{a, b, c}},
		{"again", hostplan.Routes{Want: []hostplan.Route{a, b, c}}, 0, []hostplan.Route{a, b, c}},
		{"other source", hostplan.Routes{Want: []hostplan.Route{a2, b, c}}, 1, []hostplan.Route{a2, b, c}},
		{"keep others", hostplan.Routes{Want: []hostplan.Route{a2}, KeepOthers: true}, 0, []hostplan.Route{a2, b, c}},
		{"keep none to the API server", hostplan.Routes{
			Want: []hostplan.Route{a2}, KeepOthers: true, Never: []netip.Addr{b.Dst.Addr(), c.Dst.Addr()},
		}, 2, []hostplan.Route{a2}},
		{"others again", hostplan.Routes{Want: []hostplan.Route{a2, b, c}}, 2, []hostplan.Route{a2, b, c}},
		{"one less per family", hostplan.Routes{Want: []hostplan.Route{a2}}, 2, []hostplan.Route{a2}},
		{"another table", hostplan.Routes{Want: []hostplan.Route{a2, def, throw, def6, throw6}}, 4, []hostplan.Route{def, throw, a2, def6, throw6}},
		{"again", hostplan.Routes{Want: []hostplan.Route{a2, def, throw, def6, throw6}}, 0, []hostplan.Route{def, throw, a2, def6, throw6}},
		{"another gateway", hostplan.Routes{Want: []hostplan.Route{a2, def2, throw, def6, throw6}}, 1, []hostplan.Route{def2, throw, a2, def6, throw6}},
		{"one table", hostplan.Routes{Want: []hostplan.Route{a2}}, 4, []hostplan.Route{a2}},
	} {
		step.want.Want = slices.Concat(attached, step.want.Want)
		changes, err := route.Apply(k, step.want)
		if err != nil || len(changes) != step.changes {
			t.Errorf("%s: changes %v, %v; want %d", step.name, changes, err, step.changes)
		}
		list, err := k.List()
		list = slices.DeleteFunc(list, hostplan.Route.Attached)
		slices.SortFunc(list, func(a, b hostplan.Route) int {
			return cmp.Or(a.Dst.Compare(b.Dst), -cmp.Compare(a.Table, b.Table))
		})
		if err != nil || !slices.Equal(list, step.list) {
			t.Errorf("%s: routes %v, %v; want %v", step.name, list, err, step.list)
		}
	}
	attachedScenario(t, k)
	if err := k.Add(a); !errors.Is(err, route.ErrExists) {
		t.Errorf("add twice: %v", err)
	}
	for what, err := range map[string]error{
		"delete a missing route":          k.Delete(b),
		"gateway out of reach":            k.Add(r("10.18.0.0/24", "192.0.2.1", "100.64.0.2")),
		"gateway of a table out of reach": k.Add(table("0.0.0.0/0", "192.0.2.1")),
		"source that is not ours":         k.Add(r("10.18.0.0/24", "100.64.0.1", "100.64.0.9")),
		"host bits in the destination":    k.Add(r("10.18.0.1/24", "100.64.0.1", "100.64.0.2")),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// attachedScenario takes away routes that the kernel made for addresses, each in turn and all at once.
func attachedScenario(t *testing.T, k route.Kernel) {
	t.Helper()
	all := hostplan.Routes{Want: append(slices.Clone(attached), r("10.16.0.0/16", "100.64.0.1", "100.64.0.3"))}
	for i := range len(attached) + 1 {
		gone := attached[min(i, len(attached)-1):min(i+1, len(attached))]
		if i == len(attached) {
			gone = attached
		}
		for _, r := range slices.Backward(gone) { // a local route is needed by others
			if err := k.Delete(r); err != nil {
				t.Errorf("remove %v: %v", r, err)
			}
		}
		if changes, err := route.Apply(k, all); err != nil || len(changes) != len(gone) {
			t.Errorf("%v removed: changes %v, %v", gone, changes, err)
		}
		if changes, err := route.Apply(k, all); err != nil || len(changes) > 0 {
			t.Errorf("%v removed: changes %v in another pass, %v", gone, changes, err)
		}
	}
	stale := local("100.64.0.4", "100.64.0.4")
	if err := k.Add(stale); err != nil {
		t.Error(err)
	}
	if changes, err := route.Apply(k, all); err != nil || !slices.Equal(changes, []string{"remove route local 100.64.0.4 dev ovn0 table local"}) {
		t.Errorf("a local route of no address: changes %v, %v", changes, err)
	}
}

func TestFake(t *testing.T) {
	k := route.NewFake()
	k.Links["ovn0"] = addresses
	scenario(t, k)
}

// dummyLink adds ovn0 as a veth end with our addresses.
func dummyLink(t *testing.T) netlink.Link {
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "ovn0"}, PeerName: "ovn0p"}
	if err := netlink.LinkAdd(v); err != nil {
		t.Errorf("add veth: %v", err)
		return v
	}
	for _, n := range []string{"ovn0", "ovn0p"} {
		lk, err := netlink.LinkByName(n)
		if err == nil {
			err = netlink.LinkSetUp(lk)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for _, a := range addresses {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
		if a.Addr().Is6() {
			addr.Flags = 2 // IFA_F_NODAD
		}
		if err := netlink.AddrAdd(v, addr); err != nil {
			t.Errorf("add %s: %v", a, err)
		}
	}
	return v
}

func TestLinux(t *testing.T) {
	nstest.New(t).Do(func() {
		dummyLink(t)
		k, err := route.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer k.Close()
		scenario(t, k)
	})
}

// Somebody else's route is neither changed nor removed, and one that is in our way is an error that names it.
func TestForeignRoutes(t *testing.T) {
	nstest.New(t).Do(func() {
		lk := dummyLink(t)
		k, err := route.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer k.Close()
		foreign := &netlink.Route{
			LinkIndex: lk.Attrs().Index, Gw: net.ParseIP("100.64.0.7"),
			Dst: &net.IPNet{IP: net.IP{10, 16, 0, 0}, Mask: net.CIDRMask(16, 32)},
		}
		if err := netlink.RouteAdd(foreign); err != nil {
			t.Error(err)
		}
		other := r("10.17.0.0/16", "100.64.0.1", "100.64.0.2")
		_, err = route.Apply(k, hostplan.Routes{Want: append(slices.Clone(attached), r("10.16.0.0/16", "100.64.0.1", "100.64.0.2"), other)})
		if !errors.Is(err, route.ErrExists) {
			t.Errorf("error %v; want ErrExists", err)
		}
		if _, err := route.Apply(k, hostplan.Routes{Want: attached}); err != nil {
			t.Error(err)
		}
		rs, err := netlink.RouteListFiltered(netlink.FAMILY_V4, foreign, netlink.RT_FILTER_DST|netlink.RT_FILTER_GW)
		if err != nil || len(rs) != 1 {
			t.Errorf("foreign route: %v, %v", rs, err)
		}
		if list, err := k.List(); err != nil || len(slices.DeleteFunc(list, hostplan.Route.Attached)) != 0 {
			t.Errorf("ours: %v, %v; want none", list, err)
		}
	})
}

func TestWatch(t *testing.T) {
	ns := nstest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan struct{}, 1000)
	ended := make(chan error, 1)
	ns.Go(func() {
		ended <- route.Watch(ctx, func() { events <- struct{}{} })
	})
	<-events // it listens
	ns.Do(func() { dummyLink(t) })
	<-events
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
