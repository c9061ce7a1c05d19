// SPDX-License-Identifier: Apache-2.0

package state

import (
	"net/netip"
	"strings"
	"testing"

	ovsmodel "github.com/ovn-kubernetes/libovsdb/model"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func serviceCIDR(name string, created int64, cidrs ...string) *model.ServiceCIDR {
	s := &model.ServiceCIDR{Meta: model.Meta{Name: name, UID: "cidr-" + name, Created: created}}
	for _, text := range cidrs {
		s.CIDRs = append(s.CIDRs, netip.MustParsePrefix(text))
	}
	return s
}

// external is a Service of both families with external addresses.
func external(name string, created int64, cluster string, addresses ...string) *model.Service {
	return changed(service(name, "10.96.1."+cluster, web...), func(s *model.Service) {
		s.Created, s.ClusterIPs.V6 = created, netip.MustParseAddr("fd00:10:96::1:"+cluster)
		for _, text := range addresses {
			s.External.IPs = append(s.External.IPs, netip.MustParseAddr(text))
		}
	})
}

// apiServers are the endpoints of the Service kubernetes.
func apiServers(addresses ...string) *model.EndpointSlice {
	return slice("kubernetes", "kubernetes", []model.ServicePort{{Name: "https", Protocol: model.TCP, Port: 6443}}, addresses...)
}

// ghost is the object that a renamed machine left: the address and chassis of n2.
func ghost() *model.Node {
	return changed(node("ghost", "192.168.77.12"), func(n *model.Node) { n.Created, n.Ready, n.Chassis = 1, false, "chassis2" })
}

func chassis2() *model.Node { return chassis("n2", "192.168.77.12", "chassis2") }

// claimStates have two owners of one address.
func claimStates(bound state) []state {
	cidrs := serviceCIDR("kubernetes", 1, "10.96.0.0/16", "fd00:10:96::/112")
	inVpc := func(name, cidr string) *model.Subnet {
		return changed(subnet(name, cidr), func(s *model.Subnet) { s.Vpc, s.Created = "red", 9 })
	}
	placed := func(name, vpc, cidr string, created int64) *model.Subnet {
		return changed(subnet(name, cidr), func(s *model.Subnet) { s.Vpc, s.Created = vpc, created })
	}
	alike := bound.with("", vpc("qa"), vpc("qa-qb"))
	return []state{
		alike.with("ports with one name", placed("qb-qc", "qa", "10.73.0.0/24", 5), placed("qc", "qa-qb", "10.74.0.0/24", 6)),
		alike.with("ports with one name, the other is older", placed("qb-qc", "qa", "10.73.0.0/24", 6), placed("qc", "qa-qb", "10.74.0.0/24", 5)),
		alike.with("the younger of two ports with one name", placed("qc", "qa-qb", "10.74.0.0/24", 6)),
		bound.with("Subnets over reserved ranges", vpc("red"), inVpc("hosts6", "fd69:254:64::/112"), inVpc("clusterips", "10.96.128.0/24"), inVpc("nodes", "100.64.7.0/24")),
		bound.with("an external address of two Services", cidrs, external("old", 6, "1", "203.0.113.9", "2001:db8::9"), external("young", 7, "2", "203.0.113.9", "2001:db8::9")),
		bound.with("external addresses of the infrastructure", cidrs, apiServers("192.0.2.6"),
			external("thief", 7, "2", "192.0.2.6", "192.168.70.10", "192.168.77.12", "10.96.0.80", "10.17.0.200"), service("web", "10.96.0.80", web...)),
		bound.with("two Nodes with one address", ghost(), chassis2(), networkPolicy("node2", "app in (a)", func(p *model.Policy) {
			p.Ingress.Rules = []model.PolicyRule{allow(model.PolicyRule{Blocks: []model.IPBlock{block("192.168.77.12/32")}})}
		})),
	}
}

// The smallest forms of the attack: each Subnet is refused by name of the range and its holder, in any Vpc.
func TestSubnetsOverReservedRanges(t *testing.T) {
	b := harnessIn(t, "Subnets over reserved ranges")
	for name, holder := range map[string]string{
		"hosts6": "fd69:254:64::/112, the range of the hosts' source addresses", "clusterips": "10.96.0.0/16, the range of ClusterIPs (--service-cluster-ip-range)", "nodes": "100.64.0.0/16, Subnet join of the nodes",
	} {
		r := ref(model.KindSubnet, "", name)
		if !hasProblem(b, r, holder) {
			t.Errorf("%s: problems are %v", name, b.reports[r].Problems)
		}
		if b.db.Peek(nb.LogicalSwitchTable, fact.UUIDOf(nb.LogicalSwitchTable, name)) != nil {
			t.Errorf("%s is connected", name)
		}
	}
	// ServiceCIDRs, where the API server serves them, count instead of the flag.
	b.set(ref(model.KindServiceCIDR, "", "kubernetes"), serviceCIDR("kubernetes", 1, "10.96.0.0/17"))
	b.converge()
	if r := ref(model.KindSubnet, "", "clusterips"); len(b.reports[r].Problems) > 0 {
		t.Errorf("the range is free, the Subnet has the problems %v", b.reports[r].Problems)
	}
}

// A Subnet that is older than a ServiceCIDR keeps working, with a problem.
func TestServiceCIDROverSubnet(t *testing.T) {
	b := harnessIn(t, "bound namespace")
	b.set(ref(model.KindServiceCIDR, "", "more"), serviceCIDR("more", 20, "10.17.0.0/16"))
	b.converge()
	blue := ref(model.KindSubnet, "", "blue")
	if !hasProblem(b, blue, "ServiceCIDR more, which was added later") || !b.reports[blue].Programmed {
		t.Errorf("%+v", b.reports[blue])
	}
}

func vipsText(b *harness, id string) string {
	if lb := balancer(b, id); lb != nil {
		var out []string
		for vip := range lb.Vips {
			out = append(out, vip)
		}
		return strings.Join(out, " ")
	}
	return ""
}

func TestExternalAddressesOfTheInfrastructure(t *testing.T) {
	b := harnessIn(t, "external addresses of the infrastructure")
	thief := ref(model.KindService, "default", "thief")
	for address, holder := range map[string]string{
		"192.0.2.6": "an address of the API server", "192.168.70.10": "an address of the API server", "192.168.77.12": "an address of Node n2",
		"10.96.0.80": "the ClusterIP of Service default/web", "10.17.0.200": "in Subnet blue",
	} {
		if !hasProblem(b, thief, "spec.externalIPs: "+address+" is not programmed: it is "+holder) {
			t.Errorf("%s: problems are %v", address, b.reports[thief].Problems)
		}
		if vips := vipsText(b, "service/default/thief/tcp"); strings.Contains(vips, address) {
			t.Errorf("%s is programmed: %s", address, vips)
		}
	}
	// When the holders are gone, the Service has the addresses.
	b.set(ref(model.KindServiceCIDR, "", "kubernetes"), serviceCIDR("kubernetes", 1, "10.96.1.0/24"))
	for _, r := range []model.Ref{ref(model.KindService, "default", "web"), ref(model.KindNode, "", "n2"), ref(model.KindEndpointSlice, "default", "kubernetes")} {
		b.remove(r)
	}
	b.converge()
	for _, address := range []string{"192.0.2.6:80", "192.168.77.12:80", "10.96.0.80:80"} {
		if vips := vipsText(b, "service/default/thief/tcp"); !strings.Contains(vips, address) {
			t.Errorf("%s is free, but not programmed: %s", address, vips)
		}
	}
}

func TestExternalAddressOfTwoServices(t *testing.T) {
	b := harnessIn(t, "an external address of two Services")
	young := ref(model.KindService, "default", "young")
	for _, at := range []string{"203.0.113.9:80", "[2001:db8::9]:443"} {
		if !hasProblem(b, young, at+"/tcp is not programmed: the older Service default/old has it") {
			t.Errorf("problems are %v", b.reports[young].Problems)
		}
		if strings.Contains(vipsText(b, "service/default/young/tcp"), at) || !strings.Contains(vipsText(b, "service/default/old/tcp"), at) {
			t.Errorf("%s is that of the younger Service", at)
		}
	}
	// Other ports of the address may belong to another Service.
	b.set(young, changed(external("young", 7, "2", "203.0.113.9"), func(s *model.Service) { s.Ports = []model.ServicePort{{Protocol: model.TCP, Port: 81}} }))
	b.converge()
	if len(b.reports[young].Problems) > 0 || !strings.Contains(vipsText(b, "service/default/young/tcp"), "203.0.113.9:81") {
		t.Errorf("problems are %v", b.reports[young].Problems)
	}
	b.set(young, external("young", 7, "2", "203.0.113.9"))
	b.remove(ref(model.KindService, "default", "old"))
	b.converge()
	if len(b.reports[young].Problems) > 0 || !strings.Contains(vipsText(b, "service/default/young/tcp"), "203.0.113.9:80") {
		t.Errorf("the older Service is gone, problems are %v", b.reports[young].Problems)
	}
}

func policiesTo(b *harness, address string) (nexthops []string) {
	b.db.Each(nb.LogicalRouterPolicyTable, func(_ string, row ovsmodel.Model) bool {
		if p, ok := row.(*nb.LogicalRouterPolicy); ok && strings.HasSuffix(p.Match, ".dst == "+address) {
			nexthops = append(nexthops, p.Nexthops...)
		}
		return true
	})
	return nexthops
}

func TestTwoNodesWithOneAddressAndChassis(t *testing.T) {
	b := harnessIn(t, "two Nodes with one address")
	if got := policiesTo(b, "192.168.77.12"); len(got) != 1 || got[0] != addressOf(t, b, "node-n2") {
		t.Errorf("the address is reached through %v", got)
	}
	old := ref(model.KindNode, "", "ghost")
	for _, text := range []string{"InternalIP 192.168.77.12 is that of Node n2, which is Ready and has a chassis", `chassis "chassis2" is that of Node n2`} {
		if !hasProblem(b, old, text) {
			t.Errorf("problems are %v, want %s", b.reports[old].Problems, text)
		}
	}
	row, _ := b.db.Peek(nb.ChassisTemplateVarTable, fact.UUIDOf(nb.ChassisTemplateVarTable, "chassis2")).(*nb.ChassisTemplateVar)
	if row == nil || row.ExternalIDs["node"] != "n2" {
		t.Errorf("the variables of the chassis are %+v", row)
	}
	allowed := strings.Join(aclsOf(b, ref(model.KindNetworkPolicy, "blue", "node2").String()), "\n")
	if !strings.Contains(allowed, addressOf(t, b, "node-n2")) || strings.Contains(allowed, addressOf(t, b, "node-ghost")) {
		t.Errorf("a block of the address of n2 allows\n%s", allowed)
	}
	b.remove(ref(model.KindNode, "", "n2"))
	b.converge()
	if got := policiesTo(b, "192.168.77.12"); len(got) != 1 || got[0] != addressOf(t, b, "node-ghost") || len(b.reports[old].Problems) > 0 {
		t.Errorf("n2 is gone, the address is reached through %v", got)
	}
}

// A worker that names the address of an API server does not get its traffic; a node of the control plane does.
func TestNodeWithTheAddressOfAnAPIServer(t *testing.T) {
	b := harnessIn(t, "nodes")
	b.set(ref(model.KindEndpointSlice, "default", "kubernetes"), apiServers("192.168.77.11"))
	b.converge()
	n1 := ref(model.KindNode, "", "n1")
	if !hasProblem(b, n1, "is an address of the API server") || len(policiesTo(b, "192.168.77.11")) > 0 {
		t.Errorf("problems are %v", b.reports[n1].Problems)
	}
	b.set(n1, changed(node("n1", "192.168.77.11"), func(n *model.Node) { n.ControlPlane = true }))
	b.converge()
	if len(b.reports[n1].Problems) > 0 || len(policiesTo(b, "192.168.77.11")) != 1 {
		t.Errorf("problems are %v", b.reports[n1].Problems)
	}
}
