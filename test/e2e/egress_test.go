// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// egress is a subnet with a pod on each node.
type egress struct {
	*test
	name string
	pods []corev1.Pod
}

// leaving makes a subnet of one or two families, "v4" or "v4,v6", with the pods "p1" on n1 and "p2" on n2.
func (t *test) leaving(name, cidr string, change func(s *v1.SubnetSpec)) *egress {
	t.Helper()
	s := subnet(name, cidr, name)
	change(&s.Spec)
	t.create(s)
	t.namespace(name, nil)
	for n := 1; n <= 2; n++ {
		t.create(t.newPod(name, fmt.Sprint("p", n), sandbox.NodeName(n), nil))
	}
	e := &egress{test: t, name: name, pods: t.ready(name, 2, 40*time.Second)}
	slices.SortFunc(e.pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	e.wayBack("")
	e.say("subnet %s has a pod on each node", name)
	return e
}

// outside runs ip(8) on the host outside, in a network namespace of it if one is named.
func (t *test) outside(netns string, args ...string) {
	t.Helper()
	argv := append([]string{"ip"}, args...)
	if netns != "" {
		argv = append([]string{"ip", "-n", netns}, args...)
	}
	_, err := t.cluster.OutsideExec(t.Context(), argv...)
	t.must(err, "on the host outside: %s", strings.Join(argv, " "))
}

// way adds a route to an address through a node on the outside host, until the test ends.
func (t *test) way(netns string, to netip.Addr, node int) {
	t.Helper()
	route := []string{to.String(), "via", sandbox.NodeAddr(node, to.Is6()).String()}
	t.outside(netns, append([]string{"route", "replace"}, route...)...)
	if netns == "" {
		t.after(func() {
			_, _ = t.cluster.OutsideExec(context.Background(), append([]string{"ip", "route", "del"}, route...)...)
		})
	}
}

// wayBack adds routes to all pods on the outside host, each through the pod's node.
func (e *egress) wayBack(netns string) {
	e.Helper()
	for i := range e.pods {
		for _, ip := range e.pods[i].Status.PodIPs {
			e.way(netns, netip.MustParseAddr(ip.IP), nodeNumber(e.pods[i].Spec.NodeName))
		}
	}
}

// seen waits until the outside host sees each pod's traffic with the source address that want returns.
func (e *egress) seen(how string, v6 bool, want func(pod *corev1.Pod) string) {
	e.Helper()
	target := []wire.Target{{How: wire.Hello, Address: hostPort(sandbox.OutsideAddr(v6).String(), sandbox.OutsideEchoPort)}}
	var seen []string
	e.wait(20*time.Second, e.name+" leaves "+how, func(ctx context.Context) string {
		seen = nil
		for i := range e.pods {
			answers, err := e.ask(ctx, &e.pods[i], target)
			if err != nil {
				return err.Error()
			}
			if answers[0].Error != "" || answers[0].SeenAs != want(&e.pods[i]) {
				return fmt.Sprintf("pod %s is seen as %q %s, want %s", e.pods[i].Name, answers[0].SeenAs, answers[0].Error, want(&e.pods[i]))
			}
			seen = append(seen, answers[0].SeenAs)
		}
		return ""
	})
	e.say("%s, %s: pods on n1 and n2 are seen as %s", e.name, how, strings.Join(seen, " and "))
}

// asNode, as and asPod are what hosts outside can see.
func asNode(v6 bool) func(*corev1.Pod) string {
	return func(pod *corev1.Pod) string { return sandbox.NodeAddr(nodeNumber(pod.Spec.NodeName), v6).String() }
}

func as(a netip.Addr) func(*corev1.Pod) string { return func(*corev1.Pod) string { return a.String() } }

func asPod(v6 bool) func(*corev1.Pod) string {
	return func(pod *corev1.Pod) string {
		for _, ip := range pod.Status.PodIPs {
			if a := netip.MustParseAddr(ip.IP); a.Is6() == v6 {
				return a.String()
			}
		}
		return ""
	}
}

// families returns the IP families of the pods (true is IPv6).
func (e *egress) families() []bool { return []bool{false, true}[:len(e.pods[0].Status.PodIPs)] }

// only are the addresses of one pod, a rule for each family: which packets, and what becomes of them.
func (e *egress) only(pod int, action string) (rules []string) {
	for _, ip := range e.pods[pod].Status.PodIPs {
		rules = append(rules, fmt.Sprintf(`{"action":%q,"match":{"srcIPs":%q}}`, action, ip.IP))
	}
	return rules
}

// TestEgressAddresses: the source address that a host outside sees, while the subnet's settings change under running
// pods.
func TestEgressAddresses(t *testing.T) { begin(t, shared).egressAddresses("10.70.0.0/24") }

func (t *test) egressAddresses(cidr string) {
	own := map[bool]netip.Addr{false: netip.MustParseAddr("198.51.100.7"), true: netip.MustParseAddr("2001:db8:51::7")}
	e := t.leaving("leaves", cidr, func(*v1.SubnetSpec) {})
	var gateways []string
	for _, v6 := range e.families() {
		e.seen("distributed with NAT", v6, asNode(v6))
		t.way("", own[v6], 1)
		gateways = append(gateways, "n1:"+own[v6].String())
	}
	for _, step := range []struct {
		how, spec string
		want      func(v6 bool) func(*corev1.Pod) string
	}{
		{"distributed without NAT", `{"natOutgoing":false}`, asPod},
		{
			"centralized with an address of its own", `{"natOutgoing":true,"gatewayType":"centralized","gatewayNode":"` + strings.Join(gateways, ",") + `"}`,
			func(v6 bool) func(*corev1.Pod) string { return as(own[v6]) },
		},
		{"centralized on n2", `{"gatewayNode":"n2"}`, func(v6 bool) func(*corev1.Pod) string { return as(sandbox.NodeAddr(2, v6)) }},
		{"distributed again", `{"gatewayType":"distributed"}`, asNode},
	} {
		t.patch(e.name, step.spec)
		for _, v6 := range e.families() {
			e.seen(step.how, v6, step.want(v6))
		}
	}
	e.counted()
	t.consistent(10 * time.Second)
}

// counted checks that the metrics of both nodes count forwarded packets of the subnet in both directions.
func (e *egress) counted() {
	e.Helper()
	for n := 1; n <= 2; n++ {
		out, err := e.cluster.NodeExec(e.Context(), n, "curl", "-sS", "http://localhost:10665/metrics")
		e.must(err, "scrape the cniserver of node %d", n)
		for _, v6 := range e.families() {
			for _, direction := range []string{"egress", "ingress"} {
				labels := []string{
					`subnet_name="` + e.name + `"`, `hostname="` + sandbox.NodeName(n) + `"`, `direction="` + direction + `"`,
					`protocol="` + map[bool]string{false: "IPv4", true: "IPv6"}[v6] + `"`,
				}
				for _, metric := range []string{"ovn_subnet_gateway_packets{", "ovn_subnet_gateway_packet_bytes{"} {
					if line := metricLine(out, metric, labels); line == "" || strings.HasSuffix(line, " 0") {
						e.Errorf("node %d: metric %s%s is %q", n, metric, labels, line)
					}
				}
			}
		}
	}
	e.say("%s: both nodes count its packets in their metrics", e.name)
}

// metricLine finds a metric with these labels, in any order.
func metricLine(text, metric string, labels []string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, metric) && containsAll(line, labels) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestEgressRules: natOutgoingPolicyRules decide for each pod, the first that matches, and take effect on running pods.
func TestEgressRules(t *testing.T) { begin(t, shared).egressRules("10.71.0.0/24") }

func (t *test) egressRules(cidr string) {
	e := t.leaving("ruled", cidr, func(*v1.SubnetSpec) {})
	var all []string
	for _, v6 := range e.families() {
		all = append(all, fmt.Sprintf(`{"action":"forward","match":{"dstIPs":%q}}`, sandbox.OutsideAddr(v6)))
	}
	for translated := range e.pods {
		rules := append(e.only(translated, "nat"), all...)
		t.patch(e.name, `{"natOutgoingPolicyRules":[`+strings.Join(rules, ",")+`]}`)
		for _, v6 := range e.families() {
			e.seen("where rules translate only "+e.pods[translated].Name, v6, func(pod *corev1.Pod) string {
				if pod.Name == e.pods[translated].Name {
					return asNode(v6)(pod)
				}
				return asPod(v6)(pod)
			})
		}
	}
	t.patch(e.name, `{"natOutgoingPolicyRules":[{"action":"forward","match":{"dstIPs":"203.0.113.0/24"}}]}`)
	for _, v6 := range e.families() {
		e.seen("with a rule for other destinations", v6, asNode(v6))
	}
}

// TestNorthGateway: a pod that names the next hop of what it sends leaves by that node, and takes the way of its subnet
// again without.
func TestNorthGateway(t *testing.T) { begin(t, shared).northGateway("10.76.0.0/24") }

func (t *test) northGateway(cidr string) {
	e := t.leaving("north", cidr, func(*v1.SubnetSpec) {})
	var second corev1.Node
	t.must(t.api.Get(t.Context(), client.ObjectKey{Name: "n2"}, &second), "get node n2")
	join := second.Annotations[annotations.IPAddress]
	byN2 := func(v6 bool) func(*corev1.Pod) string { return as(sandbox.NodeAddr(2, v6)) }
	for _, step := range []struct {
		how, value string
		want       func(v6 bool) func(*corev1.Pod) string
	}{{"without north_gateway", "null", asNode}, {"p1 with north_gateway " + join, `"` + join + `"`, byN2}, {"without it again", "null", asNode}} {
		patch := []byte(`{"metadata":{"annotations":{"` + annotations.NorthGateway + `":` + step.value + `}}}`)
		t.must(t.api.Patch(t.Context(), e.pods[0].DeepCopy(), client.RawPatch(types.MergePatchType, patch)), "annotate pod p1")
		for _, v6 := range e.families() {
			e.seen(step.how, v6, step.want(v6))
		}
	}
	t.asks(&e.pods[0], &e.pods[1], true)
	t.consistent(10 * time.Second)
}

// router is a second host outside, in the nodes' network: a network namespace on the host outside. The far
// addresses are reached by way of it alone.
type router struct {
	*test
	addr, far map[bool]netip.Addr
}

const routerNS = "router"

func (t *test) newRouter(v6 bool) *router {
	t.Helper()
	r := &router{
		test: t,
		addr: map[bool]netip.Addr{false: netip.MustParseAddr("192.168.77.253")},
		far:  map[bool]netip.Addr{false: netip.MustParseAddr("203.0.113.9")},
	}
	if v6 {
		r.addr[true], r.far[true] = netip.MustParseAddr("fd00:77::fd"), netip.MustParseAddr("2001:db8:99::9")
	}
	t.outside("", "netns", "add", routerNS)
	t.after(func() { _, _ = t.cluster.OutsideExec(context.Background(), "ip", "netns", "del", routerNS) })
	// The same MAC each time, since the nodes remember it for a while.
	t.outside("", "link", "add", "link", "eth0", "name", "router0", "address", "02:77:00:00:00:fd", "netns", routerNS, "type", "macvlan", "mode", "bridge")
	t.outside(routerNS, "link", "set", "lo", "up")
	t.outside(routerNS, "link", "set", "router0", "up")
	for six, a := range r.addr {
		bits := 24
		if six {
			bits = 64
		}
		t.outside(routerNS, "addr", "add", netip.PrefixFrom(a, bits).String(), "dev", "router0", "nodad")
		t.outside(routerNS, "addr", "add", r.far[six].String(), "dev", "lo")
	}
	// What it notes: who asked, and which node handed the packet over.
	for _, rule := range []string{
		"add table inet seen", "add chain inet seen in { type filter hook input priority 0 ; }",
		"add set inet seen v4 { type ether_addr . ipv4_addr ; size 64 ; flags dynamic ; }",
		"add set inet seen v6 { type ether_addr . ipv6_addr ; size 64 ; flags dynamic ; }",
		"add rule inet seen in icmp type echo-request add @v4 { ether saddr . ip saddr }",
		"add rule inet seen in icmpv6 type echo-request add @v6 { ether saddr . ip6 saddr }",
	} {
		r.nft(strings.Fields(rule)...)
	}
	return r
}

func (r *router) nft(args ...string) string {
	r.Helper()
	out, err := r.cluster.OutsideExec(r.Context(), append([]string{"ip", "netns", "exec", routerNS, "nft"}, args...)...)
	r.must(err, "on the router: nft %s", strings.Join(args, " "))
	return out
}

// passed waits until the router has had packets of all pods, from the pods' own addresses, from the nodes that node
// gives.
func (r *router) passed(e *egress, how string, node func(pod *corev1.Pod) int) {
	e.Helper()
	for _, v6 := range e.families() {
		set := "v4"
		if v6 {
			set = "v6"
		}
		e.wait(20*time.Second, e.name+" leaves "+how, func(ctx context.Context) string {
			r.nft("flush", "set", "inet", "seen", set)
			for i := range e.pods {
				answers, err := e.ask(ctx, &e.pods[i], []wire.Target{{How: wire.Ping, Address: r.far[v6].String()}})
				if err != nil || answers[0].Error != "" {
					return fmt.Sprintf("ping from pod %s: %v %v", e.pods[i].Name, answers, err)
				}
			}
			seen := r.nft("list", "set", "inet", "seen", set)
			for i := range e.pods {
				want := r.mac(node(&e.pods[i])) + " . " + asPod(v6)(&e.pods[i])
				if !strings.Contains(seen, want) {
					return fmt.Sprintf("the router has no packet of %s in %s", want, seen)
				}
			}
			return ""
		})
	}
	e.say("%s, %s: the router outside has packets from the pods' own addresses", e.name, how)
}

// mac is that of a node's link into the nodes' network, as the router knows it.
func (r *router) mac(node int) string {
	r.Helper()
	out, err := r.cluster.NodeExec(r.Context(), node, "cat", "/sys/class/net/br-phy/address")
	r.must(err, "read the MAC of node %d", node)
	return strings.TrimSpace(out)
}

// TestEgressByRouter: externalEgressGateway hands packets to a router outside, from the node of each pod or from the
// gateway node.
func TestEgressByRouter(t *testing.T) { begin(t, shared).egressByRouter("10.72.0.0/24") }

func (t *test) egressByRouter(cidr string) {
	r := t.newRouter(strings.Contains(cidr, ","))
	addrs := []string{r.addr[false].String()}
	if v6, dual := r.addr[true]; dual {
		addrs = append(addrs, v6.String())
	}
	e := t.leaving("routed", cidr, func(s *v1.SubnetSpec) {
		s.NatOutgoing, s.ExternalEgressGateway, s.PolicyRoutingTableID, s.PolicyRoutingPriority = false, strings.Join(addrs, ","), 1000, 1500
	})
	e.wayBack(routerNS)
	own := func(pod *corev1.Pod) int { return nodeNumber(pod.Spec.NodeName) }
	r.passed(e, "distributed", own)
	t.patch(e.name, `{"gatewayType":"centralized","gatewayNode":"n2"}`)
	r.passed(e, "centralized on n2", func(*corev1.Pod) int { return 2 })
	t.asks(&e.pods[0], &e.pods[1], true)
	t.patch(e.name, `{"externalEgressGateway":"","policyRoutingTableID":0,"policyRoutingPriority":0}`)
	for n := 1; n <= 2; n++ {
		t.wait(10*time.Second, "the rules are gone from node "+sandbox.NodeName(n), func(ctx context.Context) string {
			out, err := t.cluster.NodeExec(ctx, n, "ip", "rule", "show")
			if err != nil || strings.Contains(out, "lookup 1000") {
				return fmt.Sprint(out, err)
			}
			return ""
		})
	}
	t.say("without externalEgressGateway no rule is left")
}
