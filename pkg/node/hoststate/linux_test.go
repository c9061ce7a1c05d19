// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/healthport"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
	"github.com/wovensdn/woven/pkg/node/services"
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

// settings are those of the plan.
var settings = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/ovn0/forwarding", "net/ipv4/conf/ovn0/rp_filter",
	"net/ipv6/conf/ovn0/disable_ipv6", "net/ipv6/conf/ovn0/accept_ra", "net/ipv6/conf/ovn0/accept_redirects",
	"net/ipv4/conf/mirror0/arp_ignore", "net/ipv6/conf/mirror0/disable_ipv6",
}

// realHost is a host whose kernel is real: nothing but the kernel's reports wakes the loop.
type realHost struct {
	*host
	links *link.Linux
	// stop ends what start has started.
	start, stop func()
}

// snapshot is all that the kernel has because of us, in words.
func (h *realHost) snapshot(ctx context.Context) string {
	var out []string
	for _, name := range []string{hostplan.NodeLink, "mirror0"} {
		s, err := h.links.Link(name)
		slices.SortFunc(s.Addresses, netip.Prefix.Compare)
		s.LinkLocal = slices.DeleteFunc(s.LinkLocal, func(p netip.Prefix) bool { return p != netip.MustParsePrefix("fe80::800:ff:fe40:2/64") })
		out = append(out, fmt.Sprintf("%s %+v %v", name, s, err))
	}
	for _, args := range []string{"ip -4 route show table all", "ip -6 route show table all", "ip -4 rule", "ip -6 rule", "nft -s list table inet woven", "nft -s list table inet woven-services"} {
		fields := strings.Fields(args)
		text, err := exec.CommandContext(ctx, fields[0], fields[1:]...).CombinedOutput()
		if err != nil {
			text = []byte(err.Error())
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.Trim(line, " \t\n}"); line == "" {
				continue
			}
			route := fields[2] == "route"
			if route && (!strings.Contains(line, "dev ovn0") && !strings.Contains(line, "table 1000") || unimportant.MatchString(line)) {
				continue
			}
			if route && strings.HasPrefix(line, "local ") {
				line = metric.ReplaceAllString(line, "")
			}
			out = append(out, line)
		}
	}
	for _, s := range settings {
		value, err := h.links.Sysctl(s)
		out = append(out, fmt.Sprint(s, " = ", value, err))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

var (
	// unimportant are routes to networks as a whole, and of link-local addresses that the kernel makes.
	unimportant = regexp.MustCompile(`^(broadcast|anycast|multicast) |^local fe80:[^ ]* `)
	metric      = regexp.MustCompile(` metric \d+`)
)

type noConnections struct{}

func (noConnections) ForgetUDP(context.Context, netip.AddrPort, netip.AddrPort) error { return nil }

func (noConnections) EachUDP(context.Context, func(asked, answers netip.AddrPort)) error { return nil }

type noHealthPorts struct{}

func (noHealthPorts) Set(context.Context, map[types.NamespacedName]healthport.Check) error {
	return nil
}

func (noHealthPorts) Close() {}

// newRealHost starts a dual-stack node with a subnet that leaves through routers outside.
func newRealHost(t *testing.T) *realHost {
	objects := append(typical(), external())
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Node:
			o.Annotations[annotations.IPAddress] += ",fd00:100:64::" + o.Name[1:]
			o.Annotations[annotations.CIDR] += ",fd00:100:64::/112"
			o.Annotations[annotations.Gateway] += ",fd00:100:64::ff"
			o.Annotations[annotations.ServiceSource] = "169.254.64.2/18"
		case *v1.Subnet:
			o.Spec.CIDRBlock += map[string]string{"join": ",fd00:100:64::/112", "ovn-default": ",fd00:10:16::/112", "external": ",fd00:10:40::/112"}[o.Name]
			if o.Spec.ExternalEgressGateway != "" {
				o.Spec.ExternalEgressGateway += ",fd00:100:64::9"
			}
		}
	}
	h := &realHost{host: newHost(t, objects...)}
	h.plug(podPort("p1", "external", "10.40.0.5,fd00:10:40::5"))
	var err error
	if h.links, err = link.NewLinux(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.links.Close() })
	routes, err := route.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(routes.Close)
	rules, err := rule.NewLinux()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rules.Close)
	e := &h.state.e
	e.Switch, e.Links, e.Routes, e.Rules, e.Tables = tapSwitch{hostSwitch{h.ovs, h.host}}, h.links, routes, rules, &nft.Driver{}
	forwarder := services.New(services.Edges{
		Tables: &nft.Driver{}, Flows: conntrack.Linux{}, Datapath: noConnections{}, Health: noHealthPorts{},
		Limits: model.DefaultLimits, Clock: e.Clock, Log: e.Log, Changed: func(int) {},
	})
	e.Publish = forwarder.SetInputs
	forwarder.ServiceChanged(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.0.9", ClusterIPs: []string{"10.96.0.9"},
			Ports: []corev1.ServicePort{{Port: 80, NodePort: 30080, Protocol: corev1.ProtocolTCP}},
		},
	}, false)
	node, port, tcp := "n1", int32(8080), corev1.ProtocolTCP
	forwarder.SliceChanged(&discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port, Protocol: &tcp}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.5"}, NodeName: &node}},
	}, false)
	h.start = func() {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, run := range []func(context.Context){forwarder.WatchKernel, forwarder.Run, h.state.WatchKernel, h.state.Run} {
			wg.Go(func() { run(ctx) })
		}
		h.stop = func() {
			cancel()
			wg.Wait()
		}
	}
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

// await waits until the kernel has what is wanted.
func (h *realHost) await(after string, fits func(have string) string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	ticker := h.state.e.Clock.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		missing := fits(h.snapshot(h.t.Context()))
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			h.t.Fatalf("%s: %s", after, missing)
		case <-ticker.C():
		}
	}
}

// complete says what a node lacks after its start.
func complete(have string) string {
	var missing []string
	for _, want := range []string{
		"MTU:1400 Up:true NoARP:false Addresses:[100.64.0.2/16 fd00:100:64::1/112] LinkLocal:[fe80::800:ff:fe40:2/64] Unusable:[] TxChecksum:false",
		"100.64.0.0/16 dev ovn0 proto kernel scope link src 100.64.0.2", "fd00:100:64::/112 dev ovn0 proto kernel metric 256",
		"local 100.64.0.2 dev ovn0 table local proto kernel scope host src 100.64.0.2", "local fd00:100:64::1 dev ovn0 table local proto kernel",
		"10.16.0.0/16 via 100.64.0.1 dev ovn0 proto 87 src 100.64.0.2", "fd00:10:16::/112 via fd00:100:64::ff dev ovn0 proto 87 src fd00:100:64::1",
		"default via 100.64.0.9 dev ovn0 table 1000 proto 87", "default via fd00:100:64::9 dev ovn0 table 1000 proto 87",
		"1500:	from 10.40.0.5 lookup 1000 proto 87", "1500:	from fd00:10:40::5 lookup 1000 proto 87", "masquerade", "chain stray {", "table inet woven-services {", ". 30080 :",
		"net/ipv4/conf/ovn0/forwarding = 1", "net/ipv4/conf/ovn0/rp_filter = 2", "net/ipv6/conf/ovn0/accept_ra = 0", "net/ipv6/conf/mirror0/disable_ipv6 = 1",
	} {
		if !strings.Contains(have, want) {
			missing = append(missing, want)
		}
	}
	if missing == nil {
		return ""
	}
	return "no " + strings.Join(missing, "\nno ") + "\nin\n" + have
}

// disturbances take away, or change, what a node has because of us.
var disturbances = []string{
	"ip route del 100.64.0.0/16 dev ovn0",
	"ip -6 route del fd00:100:64::/112 dev ovn0",
	"ip route del table local local 100.64.0.2 dev ovn0",
	"ip -6 route del table local local fd00:100:64::1 dev ovn0",
	"ip route flush dev ovn0",
	"ip -6 route flush dev ovn0",
	"ip route flush dev ovn0 table local",
	"ip route del 10.16.0.0/16",
	"ip -6 route del fd00:10:16::/112",
	"ip route flush table 1000; ip -6 route flush table 1000",
	"ip rule del priority 1500",
	"ip -6 rule del priority 1500",
	"ip addr flush dev ovn0",
	"ip -6 addr flush dev ovn0",
	"ip addr del 100.64.0.2/16 dev ovn0; ip addr add 100.64.0.77/16 dev ovn0; ip addr add 100.64.0.2/16 dev ovn0",
	"ip addr del 100.64.0.2/16 dev ovn0; ip addr add 100.64.0.2/24 dev ovn0",
	"ip addr change 100.64.0.2/16 dev ovn0 valid_lft 1000 preferred_lft 500",
	"ip addr change fd00:100:64::1/112 dev ovn0 valid_lft 1000 preferred_lft 0",
	"ip addr del fd00:100:64::1/112 dev ovn0; ip addr add fd00:100:64::1/112 dev ovn0",
	"ip addr del fd00:100:64::1/112 dev ovn0; ip addr add fd00:100:64::1/64 dev ovn0 nodad",
	"ip addr del 100.64.0.2/16 dev ovn0; ip addr add 100.64.0.2/16 dev ovn0 noprefixroute",
	"ip addr del fd00:100:64::1/112 dev ovn0; ip addr add fd00:100:64::1/112 dev ovn0 nodad noprefixroute",
	"ip addr add 192.0.2.1/24 dev ovn0; ip addr add 2001:db8::1/64 dev ovn0",
	"ip addr add 192.0.2.1/24 dev mirror0",
	"ip link set ovn0 down",
	"ip link set mirror0 down",
	"ip link set ovn0 down; ip link set ovn0 up",
	"ip link set ovn0 mtu 1300",
	"ip link set ovn0 mtu 1000",
	"ip link set mirror0 mtu 9000",
	"ip link set ovn0 address 02:00:00:00:00:99",
	"ip link set ovn0 arp off",
	"echo 1 > /proc/sys/net/ipv6/conf/ovn0/disable_ipv6",
	"echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
	"echo 0 > /proc/sys/net/ipv6/conf/mirror0/disable_ipv6",
	"echo 1 > /proc/sys/net/ipv6/conf/ovn0/accept_ra",
	"echo 1 > /proc/sys/net/ipv6/conf/ovn0/accept_redirects",
	"echo 1 > /proc/sys/net/ipv4/conf/ovn0/rp_filter",
	"echo 0 > /proc/sys/net/ipv4/conf/ovn0/forwarding",
	"echo 0 > /proc/sys/net/ipv4/ip_forward",
	"echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
	"echo 0 > /proc/sys/net/ipv4/conf/mirror0/arp_ignore",
	"nft flush ruleset",
	"nft delete table inet woven",
	"nft flush chain inet woven postrouting",
	"nft flush set inet woven pods4",
	"nft add rule inet woven forward drop",
	"nft delete table inet woven-services",
	"nft flush table inet woven-services",
	"nft flush map inet woven-services cluster4",
	"nft flush chain inet woven-services prerouting",
}

// What somebody takes away from a real host comes back because the kernel reports it, or because its settings are read
// all the time: each in turn, and all at once in several orders, also while nothing watches.
func TestOnLinux(t *testing.T) {
	h := newRealHost(t)
	h.await("start", complete)
	want := h.snapshot(t.Context())
	whole := func(have string) string { return cmp.Diff(want, have) }
	run := func(command string) {
		// Some commands find that an earlier one has left nothing to remove, or that the repair was faster.
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Logf("%s: %v: %s", command, err, out)
		}
	}
	for _, d := range disturbances {
		run(d)
		h.await(d, whole)
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same orders in each run
	for round := range 6 {
		all := slices.Clone(disturbances)
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if round%2 == 1 {
			h.stop()
		}
		run(strings.Join(all, "\n"))
		if round%2 == 1 {
			h.start()
		}
		h.await(strings.Join(all, "\n"), whole)
	}
	run("ip link del ovn0")
	h.state.Kick() // ovs-vswitchd's database reports it
	h.await("link removed", whole)
}
