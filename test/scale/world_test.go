// SPDX-License-Identifier: Apache-2.0

// Package scale measures the controller at its target sizes. `make bench` runs it; docs/performance.md has its results.
package scale

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/plan"
)

var config = compile.Config{ClusterRouter: "ovn-cluster", NodeSwitch: "join", DefaultSubnet: "ovn-default", PortSecurity: true, Limits: model.DefaultLimits}

var kinds = kube.AllKinds()

// recorder is an API server on which everything has been written: it fails the benchmark on any write.
type recorder struct{ t testing.TB }

func (r recorder) Write(w compile.Want, _ func(error)) {
	switch w.(type) {
	case compile.Release, compile.UpdateIPRecord:
	default:
		r.t.Helper()
		r.t.Fatalf("an unexpected write: %+v", w)
	}
}

func (r recorder) HasStatus(kind model.Kind) bool { return kinds.HasStatus(kind) }
func (r recorder) Report(engine.Report)           {}
func (r recorder) Repaired(engine.Repair)         {}
func (r recorder) Usage(addresses.Usage)          {}

// cluster generates the objects of a cluster whose pods all have records and annotations.
type cluster struct {
	nodes, pods int
	homes       []string // the subnets of pods; each but the default one has the namespace of its name
	subnets     map[string]*model.Subnet
}

func newCluster(nodes, pods int) *cluster {
	return newClusterOf(nodes, pods, map[string]string{config.DefaultSubnet: "10.0.0.0/8"})
}

// manySubnets returns a cluster whose pods are distributed over the given number of subnets, at most 1,024.
func manySubnets(nodes, pods, subnets int) *cluster {
	homes := map[string]string{}
	for i := range subnets {
		name := config.DefaultSubnet
		if i > 0 {
			name = fmt.Sprintf("s%d", i)
		}
		homes[name] = address("10.0.0.0", i<<14).String() + "/18"
	}
	return newClusterOf(nodes, pods, homes)
}

func newClusterOf(nodes, pods int, homes map[string]string) *cluster {
	c := &cluster{nodes: nodes, pods: pods, homes: slices.Sorted(maps.Keys(homes)), subnets: map[string]*model.Subnet{}}
	all := maps.Clone(homes)
	all["join"] = "100.64.0.0/16"
	for name, cidr := range all {
		p := netip.MustParsePrefix(cidr)
		gateway := p.Addr().Next()
		c.subnets[name] = &model.Subnet{
			Meta: model.Meta{Name: name, UID: name, Created: 1, Finalized: true}, Vpc: config.ClusterRouter, Provider: "ovn",
			CIDR: model.Prefixes{V4: p}, Gateway: model.Addrs{V4: gateway}, Exclude: []model.Range{{First: gateway, Last: gateway}},
			GatewayType: model.GatewayDistributed, NatOutgoing: true,
		}
		if name != "join" && name != config.DefaultSubnet {
			c.subnets[name].Namespaces = []string{name}
		}
	}
	return c
}

func mac(i int) string {
	return fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
}

func address(base string, i int) netip.Addr {
	b := netip.MustParseAddr(base).As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n += uint32(i) //nolint:gosec // small
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func change(kind model.Kind, namespace, name string, o any) engine.Change {
	return engine.Change{Ref: model.Ref{Kind: kind, Namespace: namespace, Name: name}, Object: o}
}

// infrastructure is everything but the pods.
func (c *cluster) infrastructure() []engine.Change {
	out := []engine.Change{
		change(model.KindVpc, "", config.ClusterRouter, &model.Vpc{Meta: model.Meta{Name: config.ClusterRouter, Created: 1, Finalized: true}, Default: true}),
	}
	for name, s := range c.subnets {
		out = append(out, change(model.KindSubnet, "", name, s))
	}
	for _, home := range c.homes {
		out = append(out, c.namespace(home))
	}
	for i := range c.nodes {
		name := nodeName(i)
		ip := &model.IP{
			Meta:     model.Meta{Name: model.NodePortName(name), UID: name, Finalized: true},
			Labelled: true,
			Subnet:   "join", Addrs: model.Addrs{V4: address("100.64.0.2", i)}, MAC: mac(1<<24 + i), PodName: name, NodeName: name,
		}
		node := &model.Node{Meta: model.Meta{Name: name, UID: name, Created: 1}, InternalIPs: []netip.Addr{address("192.168.0.1", i)}}
		node.Annotations = model.NodeAnnotations(*node, *ip, c.subnets["join"].Network())
		out = append(out, change(model.KindIP, "", ip.Name, ip), change(model.KindNode, "", name, node))
	}
	return out
}

// namespaceOf is the namespace whose pods are in a subnet.
func namespaceOf(home string) string {
	if home == config.DefaultSubnet {
		return "default"
	}
	return home
}

// namespace has the annotations that it gets.
func (c *cluster) namespace(home string) engine.Change {
	s, name := c.subnets[home], namespaceOf(home)
	return change(model.KindNamespace, "", name, &model.Namespace{Meta: model.Meta{Name: name, Created: 1}, Written: map[string]string{
		annotations.LogicalSwitch: home, annotations.BoundSwitch: home, annotations.CIDR: model.PrefixesText(s.CIDR),
		annotations.ExcludeIPs: strings.Join(model.RangeTexts(s.Exclude), ","), annotations.IPPool: "",
	}})
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i) }

// pod is one pod with its record.
func (c *cluster) pod(i int) []engine.Change {
	name, home := fmt.Sprintf("web-%d", i), c.homes[i%len(c.homes)]
	subnet, namespace := c.subnets[home], namespaceOf(home)
	ip := &model.IP{
		Meta:     model.Meta{Name: model.PortName(name, namespace, ""), UID: "ip-" + name, Finalized: true},
		Labelled: true,
		Subnet:   home, Addrs: model.Addrs{V4: address(subnet.Gateway.V4.String(), 1+i/len(c.homes))}, MAC: mac(i), PodName: name, Namespace: namespace, NodeName: nodeName(i % c.nodes),
	}
	pod := &model.Pod{
		Meta: model.Meta{Namespace: namespace, Name: name, UID: "pod-" + name, Created: 2},
		Node: ip.NodeName, NICs: []model.PodNIC{{Provider: "ovn"}},
	}
	pod.NICs[0].Written = model.PodAnnotations(*pod, pod.NICs[0], *ip, subnet.Network())
	return []engine.Change{change(model.KindIP, "", ip.Name, ip), change(model.KindPod, namespace, name, pod)}
}

func newCore(t testing.TB, actual plan.Actual, observer engine.Observer) *engine.Core {
	return engine.NewCore(engine.Config{
		Functions: compile.Functions(config), Writer: recorder{t}, Actual: actual, Observer: observer, Log: logr.Discard(), Now: time.Now,
		Deliver: func(engine.WriteDone) {},
	})
}

func apply(t testing.TB, core *engine.Core, changes []engine.Change) {
	t.Helper()
	for _, ch := range changes {
		if err := core.Apply(ch); err != nil {
			t.Fatal(err)
		}
	}
}

// done is the outcome of a batch that was committed.
func done(units []plan.Unit) commit.Outcome { return commit.Outcome{Done: units} }
