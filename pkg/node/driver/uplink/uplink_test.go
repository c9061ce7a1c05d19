// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/ovs/ovstest"
	"github.com/wovensdn/woven/pkg/node/driver/uplink"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

// The tests run in a network namespace of their own, since Open vSwitch is started in it.
func TestMain(m *testing.M) { os.Exit(plumbtest.Main(m)) }

const nic, bridge, port = "eth1", "br-net1", 9000

var (
	wanted    = []hostplan.Bridge{{Name: bridge, Uplink: nic, Mapping: "net1", Userspace: true}}
	addresses = prefixes("192.0.2.5/24", "192.0.2.6/24", "2001:db8::5/64")
	router    = prefixes("192.0.2.1/24", "198.51.100.1/32", "2001:db8::1/64", "2001:db8:f::1/128")
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// host is a host with a link to a router: two of them, one in memory and one of a real kernel and a real Open vSwitch,
// run the same tests.
type host struct {
	t      *testing.T
	driver uplink.Driver
	// talks fails the test unless the router answers; nil if nobody can.
	talks func(when string)
}

// fakeSwitch makes a link for each bridge, as ovs-vswitchd does.
type fakeSwitch struct {
	*ovs.Fake
	links *link.Fake
}

func (s fakeSwitch) EnsureBridge(ctx context.Context, b ovs.Bridge) error {
	err := s.Fake.EnsureBridge(ctx, b)
	if err == nil && s.links.Links[b.Name] == nil {
		s.links.Plug(b.Name, b.MAC)
	}
	if err == nil {
		err = s.links.SetMAC(b.Name, b.MAC)
	}
	return err
}

func (s fakeSwitch) DeleteBridge(ctx context.Context, name string) error {
	err := s.Fake.DeleteBridge(ctx, name)
	if err == nil {
		delete(s.links.Links, name)
		s.links.RouteList = slices.DeleteFunc(s.links.RouteList, func(r link.Route) bool { return r.Link == name })
	}
	return err
}

// fakeIngress is strict where the kernel is: a chain needs a device.
type fakeIngress struct {
	links   *link.Fake
	devices []string
}

func (i *fakeIngress) DropIngress(device string) error {
	if i.links.Links[device] == nil {
		return errors.New("no such device")
	}
	if !slices.Contains(i.devices, device) {
		i.devices = append(i.devices, device)
	}
	return nil
}

func (i *fakeIngress) Release(device string) error {
	i.devices = slices.DeleteFunc(i.devices, func(d string) bool { return d == device })
	return nil
}

func (i *fakeIngress) Devices() ([]string, error) { return i.devices, nil }

func newFakeHost(t *testing.T) *host {
	links := link.NewFake()
	links.Plug(nic, "02:00:00:00:00:01")
	links.Links[nic].Up, links.Links[nic].Addresses = true, slices.Clone(addresses)
	p, a := netip.MustParsePrefix, netip.MustParseAddr
	links.RouteList = []link.Route{
		{Link: nic, Table: 254, Dst: p("0.0.0.0/0"), Gateway: a("192.0.2.1"), Metric: 100},
		{Link: nic, Table: 254, Dst: p("203.0.113.0/24")},
		{Link: nic, Table: 500, Dst: p("0.0.0.0/0"), Gateway: a("192.0.2.1")},
		{Link: nic, Table: 254, Dst: p("::/0"), Gateway: a("2001:db8::1"), Metric: 1024},
	}
	sw := fakeSwitch{ovs.NewFake(hostplan.IntegrationBridge, ovs.UserspaceDatapath), links}
	return &host{t: t, driver: uplink.Driver{Switch: sw, Links: links, Ingress: &fakeIngress{links: links}}, talks: func(string) {}}
}

func newLinuxHost(t *testing.T) *host {
	links, err := link.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = links.Close() })
	here, there := nstest.Current(t), nstest.New(t)
	here.Connect(nic, addresses, there, "eth0", router)
	t.Cleanup(func() { delLink(t, nic) })
	// ovs-vswitchd reads the frames as they are: a checksum that is left to the hardware would be wrong.
	there.Do(func() {
		k, err := link.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = k.Close() }()
		if err := k.SetTxChecksum("eth0", false); err != nil {
			t.Error(err)
		}
	})
	addRoutes(t)
	for _, a := range router {
		there.ServeUDP(netip.AddrPortFrom(a.Addr(), port), func(source netip.Addr) string { return source.String() })
	}
	h := &host{t: t, driver: uplink.Driver{Switch: ovstest.Start(t), Links: links, Ingress: plumb.Userspace{}}}
	h.talks = func(when string) {
		t.Helper()
		for _, q := range []struct{ to, want string }{{"198.51.100.1", "192.0.2.6"}, {"2001:db8:f::1", "2001:db8::5"}} {
			if got := here.PollUDP(netip.Addr{}, netip.AddrPortFrom(netip.MustParseAddr(q.to), port)); got != q.want {
				t.Errorf("%s: %s sees packets from %q, want %s", when, q.to, got, q.want)
			}
		}
	}
	return h
}

func delLink(t *testing.T, name string) {
	lk, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(lk)
	}
	if err != nil {
		t.Errorf("delete link %s: %v", name, err)
	}
}

func addRoutes(t *testing.T) {
	t.Helper()
	lk, err := netlink.LinkByName(nic)
	if err != nil {
		t.Fatal(err)
	}
	index, addr := lk.Attrs().Index, netip.MustParseAddr
	for _, r := range []netlink.Route{
		// The source address is that of a secondary one, which is easily lost with the primary one.
		{LinkIndex: index, Dst: nstest.IPNet(netip.MustParsePrefix("0.0.0.0/0")), Gw: addr("192.0.2.1").AsSlice(), Src: addr("192.0.2.6").AsSlice(), Priority: 100, Protocol: unix.RTPROT_DHCP},
		{LinkIndex: index, Dst: nstest.IPNet(netip.MustParsePrefix("203.0.113.0/24")), Scope: netlink.SCOPE_LINK},
		{LinkIndex: index, Dst: nstest.IPNet(netip.MustParsePrefix("0.0.0.0/0")), Gw: addr("192.0.2.1").AsSlice(), Table: 500},
		{LinkIndex: index, Dst: nstest.IPNet(netip.MustParsePrefix("::/0")), Gw: addr("2001:db8::1").AsSlice(), Priority: 1024},
	} {
		if err := netlink.RouteAdd(&r); err != nil {
			t.Fatalf("add route %v: %v", r, err)
		}
	}
}

// state is everything that a move changes, a line for each thing. Links that do not exist have none.
func (h *host) state() string {
	h.t.Helper()
	bridges, err1 := h.driver.Switch.Bridges()
	ports, err2 := h.driver.Switch.Ports()
	devices, err3 := h.driver.Ingress.Devices()
	if err := errors.Join(err1, err2, err3); err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, b := range bridges {
		out = append(out, fmt.Sprintf("bridge %s for %s, network %s, datapath %s", b.Name, b.Uplink, b.Network, b.DatapathType))
	}
	for _, p := range ports {
		out = append(out, "port "+p.Bridge+" "+p.Name)
	}
	for _, d := range devices {
		out = append(out, "no ingress "+d)
	}
	for _, name := range []string{nic, bridge} {
		s, err := h.driver.Links.Link(name)
		if err != nil {
			continue
		}
		for _, a := range s.Addresses {
			out = append(out, "address "+name+" "+a.String())
		}
		routes, err := h.driver.Links.Routes(name)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, r := range routes {
			out = append(out, "route "+r.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// moved is the state after a move, from the one before.
func moved(before string) string {
	lines := strings.Split(strings.NewReplacer("address "+nic, "address "+bridge, "dev "+nic, "dev "+bridge).Replace(before), "\n")
	lines = append(lines, "bridge "+bridge+" for "+nic+", network net1, datapath netdev", "port "+bridge+" "+bridge, "port "+bridge+" "+nic, "no ingress "+nic)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// waitTimeout bounds the wait for Open vSwitch.
const waitTimeout = 60 * time.Second

// apply repeats Apply while Open vSwitch still has to make or remove a link.
func (h *host) apply(d uplink.Driver, want []hostplan.Bridge) (link.Result, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), waitTimeout)
	defer cancel()
	for {
		r, err := d.Apply(ctx, want)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return r, err
		}
		_, err = h.driver.Links.Link(bridge)
		if gone := errors.Is(err, link.ErrAbsent); len(r.Absent) == 0 && (len(want) > 0 || gone) {
			return r, nil
		}
	}
}

func (h *host) become(when string, want []hostplan.Bridge, state string) {
	h.t.Helper()
	if _, err := h.apply(h.driver, want); err != nil {
		h.t.Fatalf("%s: %v", when, err)
	}
	if got := h.state(); got != state {
		h.t.Fatalf("%s: the state is\n%s\nwant\n%s", when, got, state)
	}
	h.talks(when)
}

func hosts(t *testing.T, f func(t *testing.T, h *host)) {
	for name, make := range map[string]func(*testing.T) *host{"fake": newFakeHost, "linux": newLinuxHost} {
		t.Run(name, func(t *testing.T) { f(t, make(t)) })
	}
}

// A link moves into the bridge and back, and the host can be reached all the time.
func TestMove(t *testing.T) {
	hosts(t, func(t *testing.T, h *host) {
		before := h.state()
		h.talks("before")
		h.become("moved", wanted, moved(before))
		if r, err := h.driver.Apply(t.Context(), wanted); err != nil || len(r.Changes) > 0 {
			t.Errorf("once more: %v, %v; want no changes", r.Changes, err)
		}
		if r, err := h.driver.Resume(t.Context()); err != nil || len(r.Changes) > 0 {
			t.Errorf("resumed: %v, %v; want no changes", r.Changes, err)
		}
		// Somebody gives the link an address again, as a DHCP client may.
		late := netip.MustParsePrefix("192.0.2.7/24")
		if err := h.driver.Links.SetAddress(nic, late); err != nil {
			t.Fatal(err)
		}
		h.become("late address", wanted, moved(before+"\naddress "+nic+" "+late.String()))
		if err := h.driver.Links.DeleteAddress(bridge, late); err != nil {
			t.Fatal(err)
		}
		h.become("moved back", nil, before)
	})
}

// Wherever a process ends, the next one finishes the move, in whichever direction it is wanted.
func TestInterruption(t *testing.T) {
	hosts(t, func(t *testing.T, h *host) {
		before := h.state()
		for _, c := range []struct {
			name       string
			start, end []hostplan.Bridge
			stateEnd   string
			startState string
		}{
			{"in", nil, wanted, moved(before), before},
			{"back", wanted, nil, before, moved(before)},
		} {
			for _, turn := range []bool{false, true} {
				for n := 0; ; n++ {
					h.become("start", c.start, c.startState)
					_, err := h.apply(h.limited(n, true), c.end)
					when := fmt.Sprintf("%s, ended after %d changes, turns round: %t", c.name, n, turn)
					if err == nil {
						if n < 8 {
							t.Errorf("%s: the move has %d changes only", when, n)
						}
						break
					}
					if !errors.Is(err, errKilled) {
						t.Fatalf("%s: %v", when, err)
					}
					if turn {
						h.become(when, c.start, c.startState)
					} else {
						h.become(when, c.end, c.stateEnd)
					}
				}
			}
		}
		h.become("end", nil, before)
	})
}

// A process that starts in the middle of a move finishes it without a plan.
func TestResume(t *testing.T) {
	hosts(t, func(t *testing.T, h *host) {
		before := h.state()
		for n := 1; ; n++ {
			if _, err := h.apply(h.limited(n, true), wanted); err == nil {
				break
			}
			for r, err := h.driver.Resume(t.Context()); err != nil || len(r.Absent) > 0; r, err = h.driver.Resume(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := h.state(); got != moved(before) {
				t.Fatalf("after %d changes: the state is\n%s\nwant\n%s", n, got, moved(before))
			}
			h.become("back", nil, before)
		}
		h.become("end", nil, before)
	})
}

// A step that fails is undone with all before it: the host stays reachable as it was.
func TestFailedMoveIsUndone(t *testing.T) {
	hosts(t, func(t *testing.T, h *host) {
		before := h.state()
		only := func(state string) string { // addresses and routes
			lines := strings.Split(state, "\n")
			return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "address") && !strings.HasPrefix(l, "route") }), "\n")
		}
		for n := 1; ; n++ { // the first change makes the bridge
			r, err := h.apply(h.limited(n, false), wanted)
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) || strings.Contains(err.Error(), "undo") {
				t.Fatalf("after %d changes: %v", n, err)
			}
			if got := only(h.state()); got != only(before) || slices.ContainsFunc(r.Changes, func(c string) bool { return strings.Contains(c, "route") }) {
				t.Fatalf("after %d changes: the state is\n%s\nwant\n%s\nchanges %q", n, got, only(before), r.Changes)
			}
			h.talks("undone")
			h.become("back", nil, before)
		}
		h.become("moved", wanted, moved(before))
		for n := 0; ; n++ {
			_, err := h.apply(h.limited(n, false), nil)
			if err == nil {
				break
			}
			if got := h.state(); !errors.Is(err, errKilled) || got != moved(before) && only(got) != only(before) {
				t.Fatalf("back, after %d changes: %v, the state is\n%s", n, err, got)
			}
			h.become("moved again", wanted, moved(before))
		}
		h.become("end", nil, before)
	})
}

// What another owner has is neither changed nor removed, and the error names it.
func TestOthersStay(t *testing.T) {
	h := newFakeHost(t)
	sw := h.driver.Switch.(fakeSwitch)
	sw.SetMappings("net1:br-ex,net2:br-ex")
	before := h.state()
	for want, b := range map[string]hostplan.Bridge{
		`"br-int": the row has no external_ids`: {Name: "br-int", Uplink: nic},
		`network "net1", bridge "br-ex"`:        {Name: bridge, Uplink: nic, Mapping: "net1"},
	} {
		if _, err := h.driver.Apply(t.Context(), []hostplan.Bridge{b}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", b, err, want)
		}
	}
	if got := h.state(); got != before {
		t.Errorf("the state is\n%s\nwant\n%s", got, before)
	}
	b := wanted[0]
	b.Mapping = "net3"
	if _, err := h.driver.Apply(t.Context(), []hostplan.Bridge{b}); err != nil || sw.Mappings() != "net1:br-ex,net2:br-ex,net3:"+bridge {
		t.Errorf("mappings %q, %v", sw.Mappings(), err)
	}
	if _, err := h.driver.Apply(t.Context(), nil); err != nil || sw.Mappings() != "net1:br-ex,net2:br-ex" {
		t.Errorf("mappings %q, %v", sw.Mappings(), err)
	}
}

// A link that is not there yet is waited for, and another uplink takes the place of the first one.
func TestUplinkChanges(t *testing.T) {
	h := newFakeHost(t)
	before := h.state()
	h.become("moved", wanted, moved(before))
	other := wanted[0]
	other.Uplink = "eth2"
	r, err := h.driver.Apply(t.Context(), []hostplan.Bridge{other})
	if err != nil || !slices.Equal(r.Absent, []string{"eth2"}) {
		t.Fatalf("absent %v, %v", r.Absent, err)
	}
	if got := h.state(); !strings.HasPrefix(got, before[:strings.Index(before, "\nroute")]) {
		t.Errorf("the first uplink has not got its addresses back:\n%s", got)
	}
	links := h.driver.Links.(*link.Fake)
	links.Plug("eth2", "02:00:00:00:00:02")
	links.Links["eth2"].Addresses = prefixes("192.0.2.9/24")
	if _, err := h.driver.Apply(t.Context(), []hostplan.Bridge{other}); err != nil {
		t.Fatal(err)
	}
	if s := links.Links[bridge]; !slices.Equal(s.Addresses, prefixes("192.0.2.9/24")) || !links.Links["eth2"].Up {
		t.Errorf("%+v", s)
	}
	// The link is pulled out: its bridge can go all the same.
	delete(links.Links, "eth2")
	if _, err := h.driver.Apply(t.Context(), nil); err != nil || links.Links[bridge] != nil {
		t.Error(err)
	}
}
