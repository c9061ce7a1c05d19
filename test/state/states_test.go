// SPDX-License-Identifier: Apache-2.0

package state

import (
	"cmp"
	"maps"
	"net/netip"
	"reflect"
	"slices"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// state is what users and Kubernetes want at one moment; addresses are not part
// of it, because they are decisions that the API server records.
type state struct {
	name    string
	objects map[model.Ref]any
}

func sortedRefs[V any](m map[model.Ref]V) []model.Ref {
	return slices.SortedFunc(maps.Keys(m), func(a, b model.Ref) int { return cmp.Compare(a.String(), b.String()) })
}

// with is a state with more objects.
func (s state) with(name string, objects ...any) state {
	out := state{name: name, objects: maps.Clone(s.objects)}
	if out.objects == nil {
		out.objects = map[model.Ref]any{}
	}
	for _, o := range objects {
		out.objects[refTo(o)] = o
	}
	return out
}

// refTo names an object of any kind: types of package model have the names of their kinds.
func refTo(object any) model.Ref {
	switch o := object.(type) {
	case *model.Definition:
		return ref(model.KindDefinition, "", o.Name)
	case *model.Policy:
		return o.Ref()
	default:
		m := metaOf(object)
		return ref(model.Kind(reflect.TypeOf(object).Elem().Name()), m.Namespace, m.Name)
	}
}

// changed is a copy of an object with some of it changed.
func changed[T any](o *T, change func(*T)) *T {
	out := *o
	change(&out)
	return &out
}

// central is a subnet whose traffic leaves through gateway nodes.
func central(s *model.Subnet, g model.Gateways) *model.Subnet {
	return changed(s, func(s *model.Subnet) { s.GatewayType, s.Gateways = model.GatewayCentralized, g })
}

// attached is a subnet of the NetworkAttachmentDefinition of that name.
func attached(nad, cidr string) *model.Subnet {
	return changed(subnet(nad, cidr), func(s *model.Subnet) { s.Provider = model.AttachmentProvider(nad, "default") })
}

// twoNICs is a pod whose second NIC is of the NetworkAttachmentDefinition net1.
func twoNICs(second model.PodNIC) *model.Pod {
	second.Provider = model.AttachmentProvider("net1", "default")
	return changed(pod("default", "two", "n1"), func(p *model.Pod) { p.NICs = append(p.NICs, second) })
}

// states are the interesting ones. It is always valid to move from any of them
// to any other.
func states() []state {
	base := state{}.with("base", vpc("ovn-cluster"), subnet("ovn-default", "10.16.0.0/16"), subnet("join", "100.64.0.0/16"), namespace("default"))
	nodes := base.with("nodes", node("n1", "192.168.77.11"), node("n2", "192.168.77.12"))
	pods := nodes.with("pods", pod("default", "a", "n1"), pod("default", "b", "n2"), pod("default", "c", "n1"))
	blue := changed(subnet("blue", "10.17.0.0/24"), func(s *model.Subnet) { s.Namespaces = []string{"blue"} })
	bound := pods.with("bound namespace", blue, namespace("blue"), pod("blue", "a", "n1"), pod("blue", "x", "n2"))
	annotated := pods.with("annotated namespace", subnet("blue", "10.17.0.0/24"),
		changed(namespace("blue"), func(n *model.Namespace) { n.LogicalSwitches = []string{"blue"} }), pod("blue", "a", "n1"))
	return append([]state{
		{name: "nothing"},
		base, nodes, pods, bound, annotated,
		pods.with("waiting for a subnet", changed(namespace("blue"), func(n *model.Namespace) { n.LogicalSwitches = []string{"missing"} }), pod("blue", "a", "n1")),
		pods.with("a Subnet by annotations", changed(namespace("legacy"), func(n *model.Namespace) {
			n.LogicalSwitches = []string{"by-annotation"}
			n.Request = &model.SubnetRequest{Spec: v1.SubnetSpec{CIDRBlock: "10.44.0.0/24", Namespaces: []string{"legacy"}}}
		}), pod("legacy", "a", "n1")),
		bound.with("other addresses of a node", node("n1", "192.168.77.21")),
		bound.with("centralized without a gateway", central(blue, model.Gateways{})),
		bound.with("centralized", central(blue, model.Gateways{Nodes: []string{"n2", "n1"}})),
		bound.with("centralized, the gateway not ready", central(blue, model.Gateways{Nodes: []string{"n2", "n1"}}),
			changed(node("n2", "192.168.77.12"), func(n *model.Node) { n.Ready = false })),
		bound.with("centralized, nobody ready", central(blue, model.Gateways{Nodes: []string{"n2"}}),
			changed(node("n2", "192.168.77.12"), func(n *model.Node) { n.Ready = false })),
		bound.with("centralized, the heartbeat of the gateway lost", central(blue, model.Gateways{Nodes: []string{"n2", "n1"}}), heartbeat("n2", true), heartbeat("n1", false)),
		bound.with("centralized with ECMP, all heartbeats lost", central(blue, model.Gateways{Nodes: []string{"n2", "n1"}, ECMP: true}), heartbeat("n2", true), heartbeat("n1", true)),
		bound.with("centralized by label", central(blue, model.Gateways{Selectors: []string{"name in (n1,n2)"}})),
		bound.with("centralized with ECMP", central(blue, model.Gateways{Nodes: []string{"n2", "missing", "n1"}, ECMP: true})),
		bound.with("private", changed(blue, func(s *model.Subnet) { s.Private = true })),
		bound.with("private, with allowed peers", changed(blue, func(s *model.Subnet) {
			s.Private = true
			s.AllowSubnets = []netip.Prefix{netip.MustParsePrefix("10.16.0.0/16"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("10.16.0.0/16")}
		})),
		bound.with("raw ACLs", changed(blue, func(s *model.Subnet) {
			s.AllowEWTraffic = true
			s.ACLs = []model.ACL{
				{Direction: "to-lport", Action: "drop", Match: "ip4", Priority: 1005},
				{Direction: "from-lport", Action: "allow-related", Match: "ip4.dst == 10.0.0.0/8", Priority: 1006},
				{Direction: "to-lport", Action: "drop", Match: "ip4", Priority: 1005},
			}
		})),
		bound.with("DHCP", changed(blue, func(s *model.Subnet) { s.DHCP.V4 = map[string]string{} })),
		bound.with("DHCP with options", changed(blue, func(s *model.Subnet) {
			s.DHCP.V4, s.MTU = map[string]string{"dns_server": "{10.96.0.10, 1.1.1.1}", "lease_time": "60"}, 1300
		}), changed(pod("blue", "a", "n1"), func(p *model.Pod) {
			p.NICs = []model.PodNIC{{Provider: "ovn", DHCP: model.DHCP{V4: map[string]string{"hostname": `"a"`}}}}
		})),
		bound.with("a north gateway", changed(pod("blue", "a", "n1"), func(p *model.Pod) {
			p.NorthGateway = model.Addrs{V4: netip.MustParseAddr("10.16.0.99"), V6: netip.MustParseAddr("fd00::99")}
		}), changed(pod("blue", "x", "n2"), func(p *model.Pod) { p.NorthGateway = model.Addrs{V4: netip.MustParseAddr("203.0.113.1")} })),
		bound.with("another gateway", changed(blue, func(s *model.Subnet) {
			s.Gateway.V4 = netip.MustParseAddr("10.17.0.254")
			s.Exclude = []model.Range{{First: s.Gateway.V4, Last: s.Gateway.V4}}
		})),
		bound.with("overlap", changed(subnet("copy", "10.17.0.0/25"), func(s *model.Subnet) { s.Created = 9 })),
		bound.with("a node in a young subnet", changed(subnet("copy", "10.50.0.0/24"), func(s *model.Subnet) { s.Created = 9 }), node("n3", "10.50.0.7")),
		bound.with("a young node in a subnet", changed(node("n3", "10.17.0.77"), func(n *model.Node) { n.Created = 9 })),
		bound.with("the API server in a subnet", subnet("copy", "192.168.70.0/24")),
		bound.with("two subnets with one routing table", changed(blue, func(s *model.Subnet) { s.Gateways.Table = 1000 }),
			changed(subnet("blush", "10.51.0.0/24"), func(s *model.Subnet) { s.Gateways.Table = 1000 })),
		bound.with("second Vpc", vpc("red"), changed(subnet("red", "10.17.0.0/24"), func(s *model.Subnet) { s.Vpc = "red"; s.Namespaces = []string{"red"} }),
			namespace("red"), pod("red", "a", "n2")),
		pods.with("dual stack", changed(subnet("dual", "10.18.0.0/24"), func(s *model.Subnet) {
			s.CIDR.V6, s.Gateway.V6 = netip.MustParsePrefix("fd00:18::/64"), netip.MustParseAddr("fd00:18::1")
			s.Namespaces = []string{"dual"}
		}), namespace("dual"), pod("dual", "a", "n1"), pod("dual", "b", "n2")),
		pods.with("completed, on the host, not scheduled",
			changed(pod("default", "a", "n1"), func(p *model.Pod) { p.Completed = true }),
			changed(pod("default", "b", "n2"), func(p *model.Pod) { p.HostNetwork = true }),
			changed(pod("default", "d", ""), func(*model.Pod) {})),
		pods.with("recreated elsewhere", changed(pod("default", "a", "n2"), func(p *model.Pod) { p.UID = "another" })),
		pods.with("static address", changed(pod("default", "s", "n2"), func(p *model.Pod) {
			p.NICs = []model.PodNIC{{Provider: "ovn", IPs: model.Addrs{V4: netip.MustParseAddr("10.16.9.9")}, MAC: "02:00:00:00:00:99"}}
		})),
		pods.with("selected namespaces", changed(subnet("blue", "10.17.0.0/24"), func(s *model.Subnet) { s.NamespaceSelectors = []string{"team=lab", "env in (dev,test)"} }),
			changed(namespace("blue"), func(n *model.Namespace) { n.Labels = map[string]string{"team": "lab", "env": "dev"} }), pod("blue", "a", "n1"),
			changed(namespace("red"), func(n *model.Namespace) { n.Labels = map[string]string{"env": "prod"} }), pod("red", "a", "n1")),
		pods.with("dotted names", pod("default", "a.b", "n1"), pod("default", "a-b", "n1")),
		pods.with("a second NIC", attached("net1", "10.20.0.0/24"), twoNICs(model.PodNIC{Subnet: "net1"})),
		pods.with("a second NIC that asks for nonsense", attached("net1", "10.20.0.0/24"), twoNICs(model.PodNIC{Invalid: true})),
		pods.with("full subnet", changed(subnet("tiny", "10.19.0.0/30"), func(s *model.Subnet) { s.Namespaces = []string{"tiny"} }),
			namespace("tiny"), pod("tiny", "a", "n1"), pod("tiny", "b", "n1")),
	}, slices.Concat(addressStates(pods), serviceStates(bound), placeStates(bound), policyStates(bound), claimStates(bound), placementStates(pods))...)
}
