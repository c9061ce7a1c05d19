// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/forge"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const (
	floodFrames = 1000 // of each family
	// learnedMAC is how many MAC_Binding rows may appear beside: those of nodes and the outside host.
	learnedMACs = 20

	dhcpServer, dhcpClient     = 67, 68
	dhcpv6Server, dhcpv6Client = 547, 546
	genevePort                 = 6081
)

// both are the two IP families, as "is it IPv6".
var both = []bool{false, true}

// lan is a Subnet that two tenants share: red attacks, green is the victim.
type lan struct {
	*test
	name             string
	red, near, green *corev1.Pod // on n1, n1, n2
	router           string      // MAC address
}

// forgedSources sends frames with the addresses of others from a pod of another tenant: with port security, and as the
// Subnet and the pod permit it.
func (t *test) forgedSources() {
	l := t.lan()
	l.closeGreen()
	l.forges("port security", false)
	l.claimsAddresses(false)
	l.floods(false)
	l.advertises()
	l.tunnels()

	l.security("optional", "false")
	l.forges("without port security", true)
	l.claimsAddresses(true)
	l.floods(true)
	l.security("optional", "true")
	l.portVIP()
	t.consistent(10 * time.Second)
}

func (t *test) lan() *lan {
	t.Helper()
	l := &lan{test: t, name: "lan"}
	s := subnet(l.name, "10.80.0.0/24,fd00:10:80::/112", "red", "green")
	s.Spec.Vips = []string{"10.80.0.200", "fd00:10:80::200"}
	t.create(s)
	t.namespace("red", nil)
	t.namespace("green", nil)
	place := func(namespace, name, node string) func() *corev1.Pod {
		pod := t.newPod(namespace, name, node, nil)
		pod.Labels["app"] = name
		t.create(pod)
		return func() *corev1.Pod { return t.becomes(namespace, name, 40*time.Second) }
	}
	red, near, green := place("red", "red", "n1"), place("green", "near", "n1"), place("green", "green", "n2")
	l.red, l.near, l.green = red(), near(), green()
	l.router = t.routerMAC(l.name)
	return l
}

// closeGreen isolates green from everything but near.
func (l *lan) closeGreen() {
	l.Helper()
	l.create(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "green", Name: "deny"}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "green"}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{from(app("near"))},
	}})
	s := &shop{test: l.test, namespace: "green"}
	l.wait(10*time.Second, "the policy is in the northbound database", func(ctx context.Context) string { return s.inDatabase(ctx, "NetworkPolicy/green/deny") })
}

// to is a datagram from a pod to the listener of another one.
func (l *lan) to(from, victim *corev1.Pod, v6 bool, text string, change func(*forge.Frame)) forge.Frame {
	f := forge.Frame{
		Kind: forge.UDP, Source: address(from, v6), Destination: address(victim, v6), DestinationMAC: mac(victim),
		SourcePort: 4000, Port: wire.ListenPort, Text: text + map[bool]string{false: " (IPv4)", true: " (IPv6)"}[v6],
	}
	if change != nil {
		change(&f)
	}
	return f
}

// forgeries are frames of red to a victim with the addresses of others. Rules trust the sources of nodes, so these may
// never arrive.
func (l *lan) forgeries(victim *corev1.Pod, v6 bool) (others, nodes []forge.Frame) {
	source := func(text string, ip netip.Addr) forge.Frame {
		return l.to(l.red, victim, v6, text, func(f *forge.Frame) { f.Source = ip })
	}
	gateway := map[bool]string{false: "10.80.0.1", true: "fd00:10:80::1"}[v6]
	stranger := map[bool]string{false: "198.51.100.7", true: "2001:db8::7"}[v6]
	friend := l.near
	if victim == l.near {
		friend = l.green
	}
	others = []forge.Frame{
		source("a pod's address", address(friend, v6)),
		l.to(l.red, victim, v6, "a pod's address and MAC", func(f *forge.Frame) { f.Source, f.SourceMAC = address(friend, v6), mac(friend) }),
	}
	if victim == l.near { // green's policy admits near only
		others = append(others, source("the gateway's address", netip.MustParseAddr(gateway)), source("any address", netip.MustParseAddr(stranger)),
			source("the outside host's address", sandbox.OutsideAddr(v6)),
			l.to(l.red, victim, v6, "a pod's MAC", func(f *forge.Frame) { f.SourceMAC = mac(friend) }))
	}
	hairpin := map[bool]string{false: "169.254.64.0", true: "fd69:254:64::"}[v6]
	join := map[bool]string{false: "100.64.0.2", true: "fd00:100:64::2"}[v6]
	for text, ip := range map[string]netip.Addr{
		"hairpin": netip.MustParseAddr(hairpin), "a host's address for Services": netip.MustParseAddr(hairpin).Next(),
		"a node's join address": netip.MustParseAddr(join), "a node's address": sandbox.NodeAddr(1, v6), "the other node's address": sandbox.NodeAddr(2, v6),
	} {
		f := source(text, ip)
		nodes = append(nodes, f)
		f.DestinationMAC, f.Text = l.router, f.Text+" by the router"
		nodes = append(nodes, f)
		f.SourceMAC, f.DestinationMAC, f.Text = l.router, mac(victim), f.Text+" and its MAC"
		nodes = append(nodes, f)
	}
	return others, nodes
}

// dhcp is an answer of a DHCP server, as far as OVN looks at it.
func (l *lan) dhcp(victim *corev1.Pod, v6 bool) forge.Frame {
	return l.to(l.red, victim, v6, "DHCP", func(f *forge.Frame) {
		f.SourcePort, f.Port = dhcpServer, dhcpClient
		if v6 {
			f.SourcePort, f.Port = dhcpv6Server, dhcpv6Client
		}
	})
}

// forges checks which forged frames arrive.
func (l *lan) forges(what string, pass bool) {
	l.Helper()
	for _, c := range []struct{ victim, ender *corev1.Pod }{{l.green, l.near}, {l.near, l.green}} {
		var frames []forge.Frame
		var want []string
		for _, v6 := range both {
			others, nodes := l.forgeries(c.victim, v6)
			if c.victim == l.near {
				others = append(others, l.dhcp(c.victim, v6))
			}
			frames = append(append(frames, others...), nodes...)
			if pass {
				for _, f := range others {
					want = append(want, f.Text)
				}
			}
		}
		got := l.arrived(l.listenIn(c.victim, wire.ListenPort, dhcpClient, dhcpv6Client), l.red, frames, c.ender, l.to(c.ender, c.victim, false, "", nil))
		l.sameTexts(fmt.Sprintf("%s, %d forged frames to %s", what, len(frames), c.victim.Name), got, want)
	}
}

// security sets how far the Subnet permits to widen port security, and what red requests.
func (l *lan) security(ofSubnet, ofPod string) {
	l.Helper()
	l.annotate(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: l.name}}, annotations.PortSecurity, ofSubnet)
	l.annotate(l.red.DeepCopy(), annotations.PortSecurity, ofPod)
	l.wait(10*time.Second, "port security of red", func(ctx context.Context) string {
		text, err := l.portSecurity(ctx)
		if err != nil || (text == "") != (ofPod == "false") {
			return fmt.Sprintf("%q %v", text, err)
		}
		return ""
	})
}

func (l *lan) portSecurity(ctx context.Context) (string, error) {
	out, err := l.cluster.NBCtl(ctx, "--bare", "--columns=port_security", "find", "Logical_Switch_Port", "name=red.red")
	return strings.TrimSpace(out), err
}

// annotate sets an annotation; an empty value removes it.
func (t *test) annotate(object client.Object, key, value string) {
	t.Helper()
	t.must(annotateAs(t.Context(), t.api, object, key, value), "annotate %s", object.GetName())
}

func annotateAs(ctx context.Context, api client.Client, object client.Object, key, value string) error {
	text := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
	if value == "" {
		text = fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, key)
	}
	return api.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(text)))
}

// claimsAddresses announces the addresses of gateway and near by ARP and neighbor discovery, and checks whether green
// believes it.
func (l *lan) claimsAddresses(believed bool) {
	l.Helper()
	var known []wire.Target
	var claims []forge.Frame
	own := l.linkLocal(mac(l.red))
	all := netip.MustParseAddr("ff02::1")
	victims := []netip.Addr{netip.MustParseAddr("10.80.0.1"), address(l.near, false), netip.MustParseAddr("fd00:10:80::1"), address(l.near, true)}
	for _, ip := range victims {
		known = append(known, wire.Target{How: wire.Ping, Address: ip.String()})
		if ip.Is4() {
			claims = append(claims,
				forge.Frame{Kind: forge.ARPReply, Source: ip, Destination: ip},
				forge.Frame{Kind: forge.ARPReply, Source: ip, Destination: address(l.green, false), DestinationMAC: mac(l.green)},
				forge.Frame{Kind: forge.ARPRequest, Source: ip, Destination: ip},
				forge.Frame{Kind: forge.ARPReply, Source: ip, Destination: ip, SourceMAC: l.router, LinkAddress: mac(l.red)})
			continue
		}
		claims = append(claims,
			forge.Frame{Kind: forge.NeighborAdvertisement, Source: own, Destination: all, Target: ip},
			forge.Frame{Kind: forge.NeighborAdvertisement, Source: ip, Destination: all, Target: ip},
			forge.Frame{Kind: forge.NeighborAdvertisement, Source: address(l.red, true), Destination: address(l.green, true), DestinationMAC: mac(l.green), Target: ip},
			forge.Frame{Kind: forge.NeighborSolicitation, Source: ip, Destination: address(l.green, true), DestinationMAC: mac(l.green), Target: address(l.green, true)})
	}
	answers, err := l.ask(l.Context(), l.green, known)
	l.must(err, "ping from green")
	for _, a := range answers {
		if a.Error != "" && !believed {
			l.Errorf("green → %s: %s", a.Address, a.Error)
		}
	}
	stolen := func() (list []string) {
		out, err := l.inPod(l.Context(), l.green, "ip", "neigh")
		l.must(err, "read green's neighbors")
		for line := range strings.Lines(out) {
			if strings.Contains(line, mac(l.red)) && !strings.HasPrefix(line, address(l.red, false).String()+" ") &&
				!strings.HasPrefix(line, address(l.red, true).String()+" ") && !strings.HasPrefix(line, own.String()+" ") {
				list = append(list, strings.TrimSpace(line))
			}
		}
		return list
	}
	if believed {
		l.wait(20*time.Second, "green believes red", func(context.Context) string {
			l.raw(l.red, claims...)
			if now := stolen(); len(now) < len(victims) {
				return fmt.Sprintf("only %q", now)
			}
			return ""
		})
		l.say("without port security green believes all of red's claims")
		return
	}
	l.arrived(l.listenIn(l.green, wire.ListenPort), l.red, claims, l.near, l.to(l.near, l.green, false, "", nil))
	if now := stolen(); len(now) > 0 {
		l.Errorf("green believes red's claims: %q", now)
	}
	l.say("%d claims of the addresses of gateway and near: green believes none", len(claims))
}

// floods sends many ARP replies and neighbor advertisements to the router, and counts what it has learned.
func (l *lan) floods(believed bool) {
	l.Helper()
	before := l.learned()
	flood := []forge.Frame{
		{Kind: forge.ARPReply, Source: netip.MustParseAddr("10.80.1.1"), Destination: netip.MustParseAddr("10.80.0.1"), DestinationMAC: l.router, Count: floodFrames},
		{Kind: forge.NeighborAdvertisement, Source: address(l.red, true), Destination: netip.MustParseAddr("fd00:10:80::1"), DestinationMAC: l.router, Target: netip.MustParseAddr("fd00:10:80::1:0"), Count: floodFrames},
	}
	l.arrived(l.listenIn(l.green, wire.ListenPort), l.red, flood, l.near, l.to(l.near, l.green, false, "", nil))
	if more := l.learned() - before; (more > learnedMACs) != believed {
		l.Errorf("after %d forged announcements the southbound database has %d MAC_Binding rows more; believed should be %v", rounds*2*floodFrames, more, believed)
	}
	l.say("%d forged announcements: %d MAC_Binding rows, %d before", rounds*2*floodFrames, l.learned(), before)
}

func (l *lan) learned() int {
	l.Helper()
	out, err := l.cluster.SBCtl(l.Context(), "--bare", "--columns=_uuid", "list", "MAC_Binding")
	l.must(err, "list MAC_Binding")
	return len(strings.Fields(out))
}

// portVIP checks that a pod may send with an address that the Subnet lists and the pod requests, and with no other.
func (l *lan) portVIP() {
	l.Helper()
	vip := func(v6 bool) netip.Addr {
		return netip.MustParseAddr(map[bool]string{false: "10.80.0.200", true: "fd00:10:80::200"}[v6])
	}
	var frames []forge.Frame
	for _, v6 := range both {
		frames = append(frames,
			l.to(l.red, l.near, v6, "VIP", func(f *forge.Frame) { f.Source = vip(v6) }),
			l.to(l.red, l.near, v6, "next to the VIP", func(f *forge.Frame) { f.Source = vip(v6).Next() }))
	}
	end := l.to(l.green, l.near, false, "", nil)
	l.sameTexts("an address of spec.vips that the pod does not request", l.arrived(l.listenIn(l.near, wire.ListenPort), l.red, frames, l.green, end), nil)
	l.annotate(l.red.DeepCopy(), "ovn.kubernetes.io/port_vips", fmt.Sprint(vip(false), ",", vip(true)))
	l.wait(10*time.Second, "the addresses are in the port's security", func(ctx context.Context) string {
		text, err := l.portSecurity(ctx)
		if err != nil || !strings.Contains(text, vip(false).String()) {
			return fmt.Sprintf("%q %v", text, err)
		}
		return ""
	})
	l.sameTexts("an address of spec.vips that the pod requests", l.arrived(l.listenIn(l.near, wire.ListenPort), l.red, frames, l.green, end), []string{"VIP (IPv4)", "VIP (IPv6)"})
}
