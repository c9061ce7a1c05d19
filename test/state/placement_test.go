// SPDX-License-Identifier: Apache-2.0

package state

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
)

// dualBlue is a dual-stack Subnet for pods of these namespaces; for all without one.
func dualBlue(namespaces ...string) *model.Subnet {
	return changed(subnet("blue", "10.17.0.0/24"), func(s *model.Subnet) {
		s.CIDR.V6, s.Gateway.V6 = netip.MustParsePrefix("fd00:17::/64"), netip.MustParseAddr("fd00:17::1")
		s.Exclude = append(s.Exclude, model.Range{First: s.Gateway.V6, Last: s.Gateway.V6})
		s.Namespaces = namespaces
	})
}

func naming(p *model.Pod, subnet, pool string) *model.Pod {
	return changed(p, func(p *model.Pod) { p.NICs = []model.PodNIC{{Provider: "ovn", Subnet: subnet, Pool: pool}} })
}

// placementStates have Subnets and IPPools that are not for all namespaces.
func placementStates(pods state) []state {
	base := pods.with("", namespace("red"), namespace("blue"))
	intruders := []any{
		naming(pod("red", "n", "n1"), "blue", ""),
		naming(pod("blue", "n", "n1"), "blue", ""),
		naming(changed(setPod("web", 0, "n1", "set-1"), func(*model.Pod) {}), "blue", ""), changed(statefulSet("web", "set-1", 1), func(s *model.StatefulSet) { s.Subnet = "blue" }),
	}
	pool := changed(ippool("front", "ovn-default", "10.16.7.0/30"), func(p *model.IPPool) { p.Namespaces = []string{"blue"} })
	return []state{
		base.with("an open subnet", append(intruders, dualBlue())...),
		base.with("the subnet of another namespace", append(intruders, dualBlue("blue"))...),
		base.with("a private subnet that invites", append(intruders, changed(dualBlue(), func(s *model.Subnet) { s.Private, s.AllowedNamespaces = true, []string{"red"} }))...),
		base.with("an open IPPool", ippool("front", "ovn-default", "10.16.7.0/30"), naming(pod("red", "p", "n1"), "", "front")),
		base.with("the IPPool of another namespace", pool, naming(pod("red", "p", "n1"), "", "front"), naming(pod("blue", "p", "n1"), "", "front")),
	}
}

// waits checks that a pod has no port and why.
func (b *harness) waits(when, ns, name, cause string) {
	b.t.Helper()
	r := ref(model.KindPod, ns, name)
	if port(b, name+"."+ns) != nil || b.objects[ref(model.KindIP, "", name+"."+ns)] != nil {
		b.t.Errorf("%s: pod %s/%s has an address", when, ns, name)
	}
	if !hasProblem(b, r, cause) || b.reports[r].Problems[0].Reason != model.ReasonSubnetNotPermitted {
		b.t.Errorf("%s: pod %s/%s: problems are %v, want %q", when, ns, name, b.reports[r].Problems, cause)
	}
}

// A Subnet that becomes private, or is bound to namespaces, takes no new pod of others, also not one whose address was
// retained for it. Pods that have an address keep it, with an event.
func TestSubnetThatIsBoundTakesNoNewPodsOfOthers(t *testing.T) {
	for what, now := range map[string]*model.Subnet{
		"bound by spec":     dualBlue("blue"),
		"bound by labels":   changed(dualBlue(), func(s *model.Subnet) { s.NamespaceSelectors = []string{"team=blue"} }),
		"private":           changed(dualBlue(), func(s *model.Subnet) { s.Private = true }),
		"private, inviting": changed(dualBlue(), func(s *model.Subnet) { s.Private, s.AllowedNamespaces = true, []string{"blue"} }),
	} {
		t.Run(what, func(t *testing.T) {
			b := harnessIn(t, "an open subnet")
			virtual := naming(vmPod("virt-launcher-db-1", "n1"), "blue", "")
			b.set(ref(model.KindVirtualMachine, "default", "db"), vm("db"))
			b.set(refTo(virtual), virtual)
			b.converge()
			b.put(ref(model.KindSubnet, "", "blue"), now)
			b.converge()
			pods := map[string]*model.Pod{
				"n.red":         naming(pod("red", "n", "n1"), "blue", ""),
				"web-0.default": naming(setPod("web", 0, "n1", "set-1"), "blue", ""),
				"db.default":    virtual,
			}
			for record, p := range pods {
				if port(b, record) == nil || len(port(b, record).Addresses) != 1 || !strings.Contains(port(b, record).Addresses[0], "fd00:17::") {
					t.Errorf("the running pod %s lost its port", p.Name)
				}
				if !hasProblem(b, refTo(p), "Subnet blue is private or bound to namespaces, and namespace "+p.Namespace+" is not one of them") || !hasProblem(b, refTo(p), "keeps its address") {
					t.Errorf("the running pod %s: problems are %v", p.Name, b.reports[refTo(p)].Problems)
				}
				again := recreated(p)
				b.set(refTo(p), nil)
				b.converge()
				if b.objects[ref(model.KindIP, "", record)] != nil {
					t.Errorf("the address of %s is retained in a Subnet that is not for its namespace", record)
				}
				b.set(refTo(p), again)
				b.converge()
				if b.objects[ref(model.KindIP, "", record)] != nil || port(b, record) != nil {
					t.Errorf("the new pod %s has an address", p.Name)
				}
				if !hasProblem(b, refTo(p), "metadata.annotations[ovn.kubernetes.io/logical_switch]: Subnet blue is private or bound") {
					t.Errorf("the new pod %s: problems are %v", p.Name, b.reports[refTo(p)].Problems)
				}
			}
			b.compare("pods of others are recreated")
			// An invitation is all that they need.
			b.put(ref(model.KindSubnet, "", "blue"), changed(now, func(s *model.Subnet) { s.AllowedNamespaces = []string{"*"} }))
			b.converge()
			for record := range pods {
				if port(b, record) == nil {
					t.Errorf("%s is invited and has no port", record)
				}
			}
			b.compare("all are invited")
		})
	}
}

// A record of an earlier pod of the name is no way into the Subnet or the IPPool of others.
func TestLeftOverRecordIsNoWayIntoASubnet(t *testing.T) {
	b := harnessIn(t, "an open subnet")
	n := ref(model.KindPod, "red", "n")
	b.objects[n] = recreated(pod("red", "n", "n1")) // it names nothing: it was recreated while no controller ran
	b.objects[ref(model.KindSubnet, "", "blue")] = dualBlue("blue")
	b.restart()
	b.converge()
	if got := record(t, b, "n.red"); got.Subnet != "ovn-default" {
		t.Errorf("the record is in Subnet %s", got.Subnet)
	}
	b.compare("another pod")
	pool := changed(ippool("front", "ovn-default", "10.16.0.0/16"), func(p *model.IPPool) { p.Namespaces = []string{"blue"} })
	was := record(t, b, "n.red").Addrs.V4
	pool.Ranges = []model.Range{{First: was, Last: was}}
	b.objects[refTo(pool)] = pool
	b.objects[n] = recreated(recreated(pod("red", "n", "n1")))
	b.restart()
	b.converge()
	if got := record(t, b, "n.red"); got.Addrs.V4 == was {
		t.Errorf("the record has %s, which is in a pool for others", was)
	}
	b.compare("a third pod")
}

// Addresses of a pool for other namespaces: by the name of the pool, by address, by list, in both families.
func TestPoolOfOtherNamespaces(t *testing.T) {
	b := newModelHarness(t)
	pool := changed(ippool("front", "blue", "10.17.0.32..10.17.0.40", "fd00:17::20..fd00:17::28"), func(p *model.IPPool) { p.Namespaces = []string{"blue", "green"} })
	b.become(named(t, "nodes").with("pool", dualBlue(), pool, namespace("red"), namespace("blue")))
	addr := netip.MustParseAddr
	requests := map[string]model.PodNIC{
		"name":  {Provider: "ovn", Pool: "front"},
		"v4":    {Provider: "ovn", Subnet: "blue", IPs: model.Addrs{V4: addr("10.17.0.35")}},
		"v6":    {Provider: "ovn", Subnet: "blue", IPs: model.Addrs{V6: addr("fd00:17::25")}, Family: model.IPv6},
		"list4": {Provider: "ovn", Subnet: "blue", List: addressList(t, "10.17.0.50,10.17.0.30..10.17.0.33"), Family: model.IPv4},
		"list6": {Provider: "ovn", Subnet: "blue", List: addressList(t, "fd00:17::27..fd00:17::60"), Family: model.IPv6},
	}
	for _, ns := range []string{"red", "blue"} {
		for name, nic := range requests {
			p := changed(pod(ns, name, "n1"), func(p *model.Pod) { p.NICs = []model.PodNIC{nic} })
			b.set(refTo(p), p)
		}
		b.converge()
		for name := range requests {
			if ns == "blue" && port(b, name+".blue") == nil {
				t.Errorf("%s: the pool's own namespace gets no address: %v", name, b.reports[ref(model.KindPod, ns, name)].Problems)
			}
			if ns == "red" {
				b.waits(name, ns, name, "IPPool front is for pods of blue, green, and namespace red is not one of them")
			}
			b.set(ref(model.KindPod, ns, name), nil)
		}
		b.converge()
	}
	b.config.OpenSubnets = true
	b.restart()
	for name, nic := range requests {
		p := changed(pod("red", name, "n1"), func(p *model.Pod) { p.NICs = []model.PodNIC{nic} })
		b.set(refTo(p), p)
	}
	b.converge()
	for name := range requests {
		if port(b, name+".red") == nil {
			t.Errorf("%s: --restrict-subnet-namespaces=false: %v", name, b.reports[ref(model.KindPod, "red", name)].Problems)
		}
	}
}

// No pod gets an address of the nodes' Subnet, even if everything else is open.
func TestNoPodInTheNodesSubnet(t *testing.T) {
	for _, open := range []bool{false, true} {
		b := newModelHarness(t)
		b.config.OpenSubnets = open
		b.restart()
		reserved := &model.IP{Meta: model.Meta{Name: "reserved.default", UID: "r"}, Subnet: "join", Reserved: true, PodName: "reserved", Namespace: "default", Addrs: model.Addrs{V4: netip.MustParseAddr("100.64.0.77")}, MAC: "02:00:00:00:00:77"}
		b.become(named(t, "nodes").with("intruders", ippool("nodes", "join", "100.64.0.32..100.64.0.40"), reserved,
			changed(namespace("chosen"), func(n *model.Namespace) {
				n.LogicalSwitches, n.Written = []string{"join"}, map[string]string{annotations.LogicalSwitch: "join"}
			}),
			naming(pod("default", "by-name", "n1"), "join", ""), naming(pod("default", "by-pool", "n1"), "", "nodes"),
			pod("chosen", "by-namespace", "n1"), pod("default", "reserved", "n1")))
		b.converge()
		for _, r := range []model.Ref{
			ref(model.KindPod, "default", "by-name"), ref(model.KindPod, "default", "by-pool"),
			ref(model.KindPod, "chosen", "by-namespace"), ref(model.KindPod, "default", "reserved"),
		} {
			if port(b, r.Name+"."+r.Namespace) != nil || !hasProblem(b, r, "Subnet join is for nodes") {
				t.Errorf("open %v: %s has port %v, problems %v", open, r, port(b, r.Name+"."+r.Namespace), b.reports[r].Problems)
			}
		}
	}
}

func addressList(t *testing.T, text string) model.AddressList {
	t.Helper()
	list, err := model.ParseAddressList(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
