// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

// addressStates are those in which addresses are kept, or chosen from fewer than a subnet has.
func addressStates(pods state) []state {
	blue := pods.with("a subnet more", subnet("blue", "10.17.0.0/24"), namespace("blue"))
	three := blue.with("StatefulSet", statefulSet("web", "set-1", 3), setPod("web", 0, "n1", "set-1"), setPod("web", 1, "n2", "set-1"), setPod("web", 2, "n1", "set-1"))
	dual := pods.with("one family of two", dualSubnet(), namespace("dual"), asking("dual", "both", model.AnyFamily, ""), asking("dual", "old", model.IPv4, ""), asking("dual", "new", model.IPv6, ""))
	front := ippool("front", "ovn-default", "10.16.0.3..10.16.0.4", "10.16.7.0/30")
	bluePool := changed(ippool("blue-a", "blue", "10.17.0.10"), func(p *model.IPPool) { p.Namespaces = []string{"blue"} })
	second := changed(ippool("blue-b", "blue", "10.17.0.20..10.17.0.21"), func(p *model.IPPool) { p.Namespaces = []string{"blue"}; p.AddressSet = true })
	bound := blue.with("IPPools of a namespace", changed(subnet("blue", "10.17.0.0/24"), func(s *model.Subnet) { s.Namespaces = []string{"blue"} }), bluePool, second,
		pod("blue", "p1", "n1"), pod("blue", "p2", "n2"))
	return []state{
		pods.with("a VM", vm("db"), vmPod("virt-launcher-db-1", "n1")),
		pods.with("a VM that is stopped", vm("db")),
		pods.with("a VM started elsewhere", vm("db"), vmPod("virt-launcher-db-2", "n2")),
		pods.with("a VM on the move", vm("db"), vmPod("virt-launcher-db-1", "n1"), changed(vmPod("virt-launcher-db-3", "n2"), func(p *model.Pod) { p.Created = 9 })),
		pods.with("an instance without a VM", vmPod("virt-launcher-db-1", "n1")),
		pods.with("a VM and a pod of one name", vm("db"), pod("default", "db", "n1")),
		pods.with("IPPool", changed(front, func(p *model.IPPool) { p.AddressSet = true }), inPool("default", "f1", "front"), inPool("default", "f2", "front")),
		pods.with("IPPool without an address set", front, inPool("default", "f1", "front"), pod("default", "f2", "n1"), statefulSet("web", "set-1", 2),
			changed(setPod("web", 1, "n1", "set-1"), func(p *model.Pod) { p.NICs = inPool("", "", "front").NICs })),
		blue.with("IPPool of another subnet", ippool("front", "blue", "10.17.0.50..10.17.0.51"), inPool("default", "f1", "front"), inPool("default", "f3", "missing")),
		bound,
		bound.with("IPPools of a namespace, full", pod("blue", "p3", "n1"), pod("blue", "p4", "n1")),
		bound.with("IPPool that overlaps", changed(ippool("copy", "blue", "10.17.0.0/27"), func(p *model.IPPool) { p.Created = 99 }), inPool("default", "f1", "copy")),
		dual,
		dual.with("listed pairs", asking("dual", "old", model.AnyFamily, "10.18.0.20,fd00:18::20;10.18.0.21,fd00:18::21"), recreated(asking("dual", "new", model.AnyFamily, "10.18.0.20,fd00:18::20;10.18.0.21,fd00:18::21"))),
		pods.with("listed addresses", asking("default", "l1", model.AnyFamily, "10.16.5.1..10.16.5.2"), asking("default", "l2", model.AnyFamily, "10.16.5.1..10.16.5.2"), asking("default", "l3", model.AnyFamily, "10.16.5.1..10.16.5.2")),
		pods.with("another list", recreated(asking("default", "l1", model.AnyFamily, "10.16.5.2,10.16.5.9")), asking("default", "l2", model.AnyFamily, "10.16.5.1..10.16.5.2")),
		blue.with("StatefulSet with a list", statefulSet("web", "set-1", 3), listed(recreated(setPod("web", 0, "n1", "set-1"))), listed(recreated(setPod("web", 1, "n2", "set-1"))), listed(recreated(setPod("web", 2, "n2", "set-1")))),
		three,
		blue.with("StatefulSet without pods", statefulSet("web", "set-1", 3)),
		blue.with("StatefulSet with one pod away", statefulSet("web", "set-1", 3), setPod("web", 0, "n1", "set-1"), setPod("web", 2, "n1", "set-1")),
		three.with("StatefulSet elsewhere", recreated(setPod("web", 0, "n2", "set-1")), recreated(setPod("web", 1, "n1", "set-1"))),
		blue.with("StatefulSet scaled down", statefulSet("web", "set-1", 1)),
		blue.with("StatefulSet with ordinals from 2", changed(statefulSet("web", "set-1", 2), func(s *model.StatefulSet) { s.Start = 2 }), setPod("web", 3, "n1", "set-1")),
		blue.with("another StatefulSet of the name", statefulSet("web", "set-2", 3), setPod("web", 0, "n1", "set-2")),
		blue.with("StatefulSet in another subnet", changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Subnet = "blue" }),
			recreated(changed(setPod("web", 1, "n2", "set-1"), func(p *model.Pod) { p.NICs = []model.PodNIC{{Provider: "ovn", Subnet: "blue"}} }))),
		blue.with("StatefulSet in a namespace of another subnet", statefulSet("web", "set-1", 3), recreated(setPod("web", 2, "n2", "set-1")),
			changed(namespace("default"), func(n *model.Namespace) { n.LogicalSwitches = []string{"blue"} })),
		blue.with("pod without its StatefulSet", changed(setPod("web", 0, "n1", ""), func(p *model.Pod) { p.Owner = model.PodOwner{} })),
		blue.with("pod of a StatefulSet failed", statefulSet("web", "set-1", 1), changed(setPod("web", 0, "n1", "set-1"), func(p *model.Pod) { p.Completed, p.NICs = true, []model.PodNIC{{Provider: "ovn"}} })),
	}
}

func vm(name string) *model.VirtualMachine {
	return &model.VirtualMachine{Meta: model.Meta{Namespace: "default", Name: name, UID: "vm-" + name, Created: 5}}
}

func vmPod(name, onNode string) *model.Pod {
	return changed(pod("default", name, onNode), func(p *model.Pod) {
		p.VM, p.Owner = "db", model.PodOwner{Kind: "VirtualMachineInstance", Name: "db", UID: "of " + name}
	})
}

// A VM has one address from its creation to its deletion, whichever pods run it.
func TestVMKeepsItsAddress(t *testing.T) {
	b := harnessIn(t, "a VM")
	was := addressOf(t, b, "db.default")
	has := func(when, port4pod string) {
		t.Helper()
		if got := addressOf(t, b, "db.default"); got != was {
			t.Errorf("%s: the address is %s, it was %s", when, got, was)
		}
		row := port(b, "db.default")
		if port4pod == "" && row != nil || port4pod != "" && (row == nil || row.ExternalIDs["pod"] != "default/"+port4pod) {
			t.Errorf("%s: the port is %+v, want one of %q", when, row, port4pod)
		}
	}
	has("it runs", "virt-launcher-db-1")
	first, second := ref(model.KindPod, "default", "virt-launcher-db-1"), ref(model.KindPod, "default", "virt-launcher-db-2")
	b.set(second, changed(vmPod("virt-launcher-db-2", "n2"), func(p *model.Pod) { p.Created = 9 }))
	b.converge()
	has("a second pod", "virt-launcher-db-1")
	if !hasProblem(b, second, "VirtualMachine db has its address in pod virt-launcher-db-1") {
		t.Errorf("problems are %v", b.reports[second].Problems)
	}
	b.set(first, changed(vmPod("virt-launcher-db-1", "n1"), func(p *model.Pod) { p.Completed, p.NICs = true, nil }))
	b.converge()
	has("the first pod has completed", "virt-launcher-db-2")
	b.set(first, nil)
	b.set(second, nil)
	b.converge()
	has("it is stopped", "")
	b.restart()
	b.converge()
	has("after a restart", "")
	definition := model.Definition{Meta: model.Meta{Name: model.DefinitionVirtualMachine}}
	b.set(refTo(&definition), &definition)
	b.set(ref(model.KindVirtualMachine, "default", "db"), nil)
	b.converge()
	has("VMs are not known yet", "")
	followed := definition
	followed.Followed = true
	b.set(refTo(&definition), &followed)
	b.converge()
	if b.objects[ref(model.KindIP, "", "db.default")] != nil {
		t.Error("the VM is gone and its address is not free")
	}
}

func statefulSet(name, uid string, replicas int) *model.StatefulSet {
	return &model.StatefulSet{Meta: model.Meta{Namespace: "default", Name: name, UID: uid, Created: 5}, Replicas: replicas}
}

func setPod(set string, ordinal int, onNode, setUID string) *model.Pod {
	p := pod("default", fmt.Sprintf("%s-%d", set, ordinal), onNode)
	p.UID += setUID
	p.Owner = model.PodOwner{Kind: "StatefulSet", Name: set, UID: setUID}
	return p
}

// recreated is a pod that was made again under its name.
func recreated(p *model.Pod) *model.Pod {
	return changed(p, func(p *model.Pod) { p.UID += "-recreated" })
}

func record(t *testing.T, b *harness, name string) model.IP {
	t.Helper()
	ip, ok := b.objects[ref(model.KindIP, "", name)].(*model.IP)
	if !ok {
		t.Fatalf("there is no record %s", name)
	}
	return *ip
}

// A pod of a StatefulSet that is recreated on another node keeps its address and MAC, its port is bound again, and the
// record has the new node.
func TestStatefulSetPodKeepsItsAddress(t *testing.T) {
	b := harnessIn(t, "StatefulSet")
	was := record(t, b, "web-1.default")
	b.set(ref(model.KindPod, "default", "web-1"), nil)
	b.converge()
	if port(b, "web-1.default") != nil {
		t.Error("a pod that is gone has a port")
	}
	if now := record(t, b, "web-1.default"); now != was {
		t.Fatalf("while the pod is gone its record is %+v, it was %+v", now, was)
	}
	b.restart()
	b.converge()
	b.set(ref(model.KindPod, "default", "other"), pod("default", "other", "n1"))
	b.converge()
	b.set(ref(model.KindPod, "default", "web-1"), recreated(setPod("web", 1, "n1", "set-1")))
	b.converge()
	now := record(t, b, "web-1.default")
	if now.Addrs != was.Addrs || now.MAC != was.MAC || now.UID != was.UID {
		t.Errorf("the record is %+v, it was %+v", now, was)
	}
	if was.NodeName != "n2" || now.NodeName != "n1" {
		t.Errorf("the record said %s and says %s", was.NodeName, now.NodeName)
	}
	if p := port(b, "web-1.default"); p == nil || !strings.HasSuffix(p.Options["iface-id-ver"], "-recreated") {
		t.Errorf("the port is %v", p)
	}
}

// The address is released once the pod will not be recreated.
func TestStatefulSetLetsGo(t *testing.T) {
	for name, end := range map[string]func(*harness, model.Ref){
		"scaled down": func(b *harness, r model.Ref) { b.set(r, statefulSet("web", "set-1", 1)) },
		"ordinals start later": func(b *harness, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Start = 2 }))
		},
		"deleted":  func(b *harness, r model.Ref) { b.set(r, nil) },
		"replaced": func(b *harness, r model.Ref) { b.set(r, statefulSet("web", "set-2", 3)) },
		"on its way out": func(b *harness, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Deleting = true }))
		},
		"its pods are to be in another subnet": func(b *harness, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Subnet = "blue" }))
		},
		"its namespace is in another subnet": func(b *harness, _ model.Ref) {
			b.set(ref(model.KindNamespace, "", "default"), changed(namespace("default"), func(n *model.Namespace) { n.LogicalSwitches = []string{"blue"} }))
		},
		"the record is deleted by a user": func(b *harness, _ model.Ref) {
			r := ref(model.KindIP, "", "web-1.default")
			ip, _ := b.objects[r].(*model.IP)
			b.set(r, changed(ip, func(ip *model.IP) { ip.Deleting = true }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := harnessIn(t, "StatefulSet with one pod away")
			b.become(named(t, "StatefulSet"))
			b.converge()
			b.set(ref(model.KindPod, "default", "web-1"), nil)
			b.converge()
			record(t, b, "web-1.default")
			end(b, ref(model.KindStatefulSet, "default", "web"))
			b.converge()
			if _, there := b.objects[ref(model.KindIP, "", "web-1.default")]; there {
				t.Error("the record is still there")
			}
			if _, there := b.objects[ref(model.KindIP, "", "web-2.default")]; !there {
				t.Error("the record of a running pod is gone")
			}
		})
	}
}

// A new pod of a StatefulSet costs two writes, as any pod does, and a change of a StatefulSet compiles only its missing
// pods.
func TestStatefulSetCostsNothingMore(t *testing.T) {
	b := harnessIn(t, "StatefulSet")
	writes := b.writes
	b.set(ref(model.KindStatefulSet, "default", "web"), statefulSet("web", "set-1", 4))
	b.converge()
	b.set(ref(model.KindPod, "default", "web-3"), setPod("web", 3, "n1", "set-1"))
	b.converge()
	if got := b.writes - writes; got != 2 {
		t.Errorf("a fresh pod costs %d writes: %v", got, b.written[writes:])
	}
	compiled := b.compiled[model.KindPod]
	b.set(ref(model.KindStatefulSet, "default", "web"), statefulSet("web", "set-1", 5))
	b.converge()
	if got := b.compiled[model.KindPod] - compiled; got > 0 {
		t.Errorf("a larger StatefulSet woke %d pods", got)
	}
}

func ippool(name, of string, texts ...string) *model.IPPool {
	projected, problems := model.IPPoolFrom(&v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPPoolSpec{Subnet: of, IPs: texts}})
	if len(problems) > 0 {
		panic(problems)
	}
	projected.UID, projected.Created = "pool-"+name, 6
	return &projected
}

// inPool is a pod that names a pool.
func inPool(ns, name, of string) *model.Pod {
	return changed(pod(ns, name, "n1"), func(p *model.Pod) { p.NICs = []model.PodNIC{{Provider: "ovn", Pool: of}} })
}

func dualSubnet() *model.Subnet {
	return changed(subnet("dual", "10.18.0.0/24"), func(s *model.Subnet) {
		s.CIDR.V6, s.Gateway.V6 = netip.MustParsePrefix("fd00:18::/64"), netip.MustParseAddr("fd00:18::1")
		s.Namespaces = []string{"dual"}
	})
}

// asking is a pod with the annotations ip_family and ip_pool.
func asking(ns, name string, family model.Family, list string) *model.Pod {
	return changed(pod(ns, name, "n1"), func(p *model.Pod) {
		nic := model.PodNIC{Provider: "ovn", Family: family}
		if list != "" {
			nic.List, _ = model.ParseAddressList(list)
		}
		p.NICs = []model.PodNIC{nic}
	})
}

// listed is a pod of a StatefulSet whose template lists two addresses.
func listed(p *model.Pod) *model.Pod {
	return changed(p, func(p *model.Pod) { p.NICs = asking("", "", model.AnyFamily, "10.16.6.5,10.16.6.4").NICs })
}

func addressOf(t *testing.T, b *harness, name string) string {
	t.Helper()
	return model.AddrsText(record(t, b, name).Addrs)
}

// A pod on a dual-stack subnet has only the IP families that it requests. Its annotations cidr and gateway describe the
// subnet.
func TestFamilies(t *testing.T) {
	b := harnessIn(t, "one family of two")
	if ip := record(t, b, "old.dual"); !ip.Addrs.V4.IsValid() || ip.Addrs.V6.IsValid() {
		t.Errorf("it has %s", model.AddrsText(ip.Addrs))
	}
	if ip := record(t, b, "new.dual"); ip.Addrs.V4.IsValid() || !ip.Addrs.V6.IsValid() {
		t.Errorf("it has %s", model.AddrsText(ip.Addrs))
	}
	p, _ := b.objects[ref(model.KindPod, "dual", "old")].(*model.Pod)
	if w := p.NICs[0].Written; w["ovn.kubernetes.io/cidr"] != "10.18.0.0/24,fd00:18::/64" || w["ovn.kubernetes.io/gateway"] != "10.18.0.1,fd00:18::1" {
		t.Errorf("its annotations are %v", w)
	}
	was := addressOf(t, b, "old.dual")
	b.set(ref(model.KindIP, "", "old.dual"), nil)
	b.converge()
	if now := addressOf(t, b, "old.dual"); now != was {
		t.Errorf("with its record lost it has %s, it had %s", now, was)
	}
}

// Pods of a StatefulSet take the address of their ordinal; a pod beyond the list has none, and a problem.
func TestListByOrdinal(t *testing.T) {
	b := harnessIn(t, "StatefulSet with a list")
	if a, z := addressOf(t, b, "web-0.default"), addressOf(t, b, "web-1.default"); a != "10.16.6.5" || z != "10.16.6.4" {
		t.Errorf("they have %s and %s", a, z)
	}
	if r := ref(model.KindPod, "default", "web-2"); !hasProblem(b, r, "metadata.annotations[ovn.kubernetes.io/ip_pool]: pod default/web-2 has the ordinal 2, but the list has only 2 addresses") {
		t.Errorf("problems are %v", b.reports[r].Problems)
	}
}

// Other pods take the first free address; if none is free, the problem names the list and the owners of its addresses,
// and the pod gets one as soon as it is released.
func TestListOfAddresses(t *testing.T) {
	b := harnessIn(t, "listed addresses")
	var waiting, holder model.Ref
	for _, name := range []string{"l1", "l2", "l3"} {
		if r := ref(model.KindPod, "default", name); len(b.reports[r].Problems) > 0 {
			waiting = r
		} else {
			holder = r
		}
	}
	if waiting.Name == "" {
		t.Fatal("three pods share two addresses")
	}
	if !hasProblem(b, waiting, "none of the addresses 10.16.5.1..10.16.5.2 can be assigned in subnet ovn-default") || !hasProblem(b, waiting, "belongs to IP "+holder.Name+".default") {
		t.Errorf("problems are %v", b.reports[waiting].Problems)
	}
	was := addressOf(t, b, holder.Name+".default")
	b.set(holder, nil)
	b.converge()
	if len(b.reports[waiting].Problems) > 0 || addressOf(t, b, waiting.Name+".default") != was {
		t.Errorf("problems are %v", b.reports[waiting].Problems)
	}
}

// A reservation of a user is kept even if the pod requests something else.
func TestReservationThatDoesNotFit(t *testing.T) {
	b := harnessIn(t, "pods")
	r := ref(model.KindIP, "", "kept.default")
	b.set(r, &model.IP{
		Meta: model.Meta{Name: "kept.default", UID: "kept"}, Subnet: "ovn-default", PodName: "kept", Namespace: "default",
		Addrs: model.Addrs{V4: netip.MustParseAddr("10.16.8.8")}, MAC: "02:00:00:00:00:88", Reserved: true, Labelled: true,
	})
	b.converge()
	p := ref(model.KindPod, "default", "kept")
	b.set(p, asking("default", "kept", model.AnyFamily, "10.16.5.1"))
	b.converge()
	if b.objects[r] == nil || !hasProblem(b, p, "IP kept.default reserves 10.16.8.8 in Subnet ovn-default for pod default/kept, which requests something else") {
		t.Errorf("record %v, problems %v", b.objects[r], b.reports[p].Problems)
	}
	b.set(p, nil)
	b.converge()
	b.set(p, pod("default", "kept", "n1"))
	b.converge()
	if got := addressOf(t, b, "kept.default"); got != "10.16.8.8" || port(b, "kept.default") == nil {
		t.Errorf("it has %s", got)
	}
}

// A reservation may omit the MAC or the address: the controller completes it, before or after the pod is created, and
// keeps it when the pod is deleted.
func TestIncompleteReservation(t *testing.T) {
	b := harnessIn(t, "pods")
	r, p := ref(model.KindIP, "", "kept.default"), ref(model.KindPod, "default", "kept")
	reserve := func(ip model.IP) {
		ip.Meta, ip.PodName, ip.Namespace, ip.Reserved = model.Meta{Name: "kept.default", UID: "kept"}, "kept", "default", true
		b.set(r, &ip)
		b.converge()
	}
	complete := func(when string, addr, mac string) {
		t.Helper()
		ip, ok := b.objects[r].(*model.IP)
		if !ok || !ip.Complete() || !ip.Labelled || !ip.Reserved || addr != "" && ip.Addrs.V4.String() != addr || mac != "" && ip.MAC != mac {
			t.Errorf("%s: the record is %+v", when, b.objects[r])
		}
	}
	reserve(model.IP{Subnet: "ovn-default", Addrs: model.Addrs{V4: netip.MustParseAddr("10.16.8.8")}})
	complete("an address", "10.16.8.8", "")
	b.set(p, pod("default", "kept", "n1"))
	b.converge()
	if port(b, "kept.default") == nil {
		t.Error("no port")
	}
	b.set(p, nil)
	b.converge()
	complete("the pod is gone", "10.16.8.8", "")
	b.set(r, nil)
	b.set(p, nil)
	b.converge()
	reserve(model.IP{Subnet: "later", MAC: "02:00:00:00:00:77"})
	b.set(p, pod("default", "kept", "n1"))
	b.converge()
	if !hasProblem(b, p, "subnet later does not exist") {
		t.Errorf("problems are %v", b.reports[p].Problems)
	}
	b.set(ref(model.KindSubnet, "", "later"), subnet("later", "10.77.0.0/24"))
	b.converge()
	complete("a MAC", "10.77.0.2", "02:00:00:00:00:77")
	if len(b.reports[p].Problems) > 0 || port(b, "kept.default") == nil {
		t.Errorf("problems are %v", b.reports[p].Problems)
	}
}

// A pod with an address outside of the present CIDR of its subnet keeps it and its port; new pods get addresses inside.
func TestAnotherCIDR(t *testing.T) {
	b := harnessIn(t, "pods")
	was := addressOf(t, b, "a.default")
	b.put(ref(model.KindSubnet, "", "ovn-default"), subnet("ovn-default", "10.99.0.0/16"))
	b.converge()
	b.set(ref(model.KindPod, "default", "late"), pod("default", "late", "n1"))
	b.converge()
	if now := addressOf(t, b, "a.default"); now != was || port(b, "a.default") == nil {
		t.Errorf("the pod had %s and has %s, port %v", was, now, port(b, "a.default"))
	}
	if late := addressOf(t, b, "late.default"); !strings.HasPrefix(late, "10.99.") {
		t.Errorf("the new pod has %s", late)
	}
}

// The annotations of a pod follow the CIDR of its subnet, from which its node takes the prefix length.
func TestCIDRGrowsAndShrinks(t *testing.T) {
	b := harnessIn(t, "pods")
	for _, cidr := range []string{"10.16.0.0/20", "10.16.0.0/15", "10.16.0.0/16"} {
		b.put(ref(model.KindSubnet, "", "ovn-default"), subnet("ovn-default", cidr))
		b.converge()
		p, _ := b.objects[ref(model.KindPod, "default", "a")].(*model.Pod)
		if w := p.NICs[0].Written; w["ovn.kubernetes.io/cidr"] != cidr {
			t.Errorf("in %s the annotations are %v", cidr, w)
		}
	}
}

// Only pods that name a pool get its addresses.
func TestPoolIsSetAside(t *testing.T) {
	b := newModelHarness(t)
	b.become(named(t, "nodes").with("a pool first", ippool("front", "ovn-default", "10.16.0.3..10.16.0.4")))
	b.converge()
	b.become(named(t, "pods").with("and pods", ippool("front", "ovn-default", "10.16.0.3..10.16.0.4"), inPool("default", "f1", "front"), inPool("default", "f2", "front"), inPool("default", "f3", "front")))
	b.converge()
	for name, want := range map[string]string{"a.default": "10.16.0.2", "b.default": "10.16.0.5", "c.default": "10.16.0.6", "f1.default": "10.16.0.3", "f2.default": "10.16.0.4"} {
		if got := addressOf(t, b, name); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	waiting := ref(model.KindPod, "default", "f3")
	if !hasProblem(b, waiting, "pool front of subnet ovn-default has no free IPv4 address, all are in use, one of them by IP f1.default") {
		t.Errorf("problems are %v", b.reports[waiting].Problems)
	}
	b.core.FlushUsage()
	if u := b.usage["ovn-default/front"]; u.Stats.V4.Using.Int64() != 2 || u.Stats.V4.Available.Int64() != 0 || u.Ranges.Using.V4 != "10.16.0.3-10.16.0.4" {
		t.Errorf("the pool's counters are %+v", u)
	}
	if u := b.usage["ovn-default/"]; u.Stats.V4.Using.Int64() != 5 || u.Ranges.Using.V4 != "10.16.0.2-10.16.0.6" {
		t.Errorf("the subnet's counters are %+v", u)
	}
	b.set(ref(model.KindPod, "default", "f1"), nil)
	b.converge()
	if got := addressOf(t, b, "f3.default"); got != "10.16.0.3" || len(b.reports[waiting].Problems) > 0 {
		t.Errorf("it has %s and the problems %v", got, b.reports[waiting].Problems)
	}
}

// A deleted pool is removed when the last of its addresses is released, and then others get them. A pod that names a
// missing pool waits for it.
func TestPoolThatGoes(t *testing.T) {
	b := harnessIn(t, "IPPool")
	front := ref(model.KindIPPool, "", "front")
	b.remove(front)
	b.converge()
	if b.objects[front] == nil || !hasProblem(b, front, "IPPool front is being deleted and still has 2 addresses in use, one of them by f1.default") {
		t.Fatalf("pool %v, problems %v", b.objects[front], b.reports[front].Problems)
	}
	b.set(ref(model.KindPod, "default", "f3"), inPool("default", "f3", "front"))
	b.converge()
	if f3 := ref(model.KindPod, "default", "f3"); !hasProblem(b, f3, "IPPool front is being deleted") {
		t.Errorf("problems are %v", b.reports[f3].Problems)
	}
	b.set(ref(model.KindPod, "default", "f1"), nil)
	b.set(ref(model.KindPod, "default", "f2"), nil)
	b.converge()
	if b.objects[front] != nil {
		t.Error("the pool is still there")
	}
	if f3 := ref(model.KindPod, "default", "f3"); !hasProblem(b, f3, "there is no IPPool front") {
		t.Errorf("problems are %v", b.reports[f3].Problems)
	}
	b.set(front, ippool("front", "ovn-default", "10.16.9.1"))
	b.converge()
	if got := addressOf(t, b, "f3.default"); got != "10.16.9.1" {
		t.Errorf("it has %s", got)
	}
}

// The pools of a namespace are used one after the other, and what they do not have is not taken from elsewhere.
func TestPoolsOfANamespace(t *testing.T) {
	b := harnessIn(t, "IPPools of a namespace, full")
	waiting := 0
	for _, name := range []string{"p1", "p2", "p3", "p4"} {
		if r := ref(model.KindPod, "blue", name); hasProblem(b, r, "pool blue-a of subnet blue has no free IPv4 address") && hasProblem(b, r, "pool blue-b of subnet blue has no free IPv4 address") {
			waiting++
		} else if a := addressOf(t, b, name+".blue"); a != "10.17.0.10" && a != "10.17.0.20" && a != "10.17.0.21" {
			t.Errorf("%s has %s", name, a)
		}
	}
	if waiting != 1 {
		t.Errorf("%d pods wait", waiting)
	}
}

// Two pools whose names make the name of one address set: the older one has it.
func TestPoolsOfOneAddressSet(t *testing.T) {
	b := harnessIn(t, "pods")
	with := func(p *model.IPPool) { p.AddressSet = true }
	dashed, dotted := ref(model.KindIPPool, "", "x-y"), ref(model.KindIPPool, "", "x.y")
	b.set(dotted, changed(ippool("x.y", "ovn-default", "10.16.9.8/31", "fd00::1"), func(p *model.IPPool) { with(p); p.Ranges = p.Ranges[:1] }))
	b.set(dashed, changed(ippool("x-y", "ovn-default", "10.16.9.2"), with))
	b.converge()
	if !hasProblem(b, dotted, "the address set x.y is that of IPPool x-y") || len(b.reports[dashed].Problems) > 0 {
		t.Errorf("problems are %v and %v", b.reports[dotted].Problems, b.reports[dashed].Problems)
	}
	if text := dump(b.db); !strings.Contains(text, "Address_Set x.y addresses=[10.16.9.2] ") {
		t.Error(text)
	}
	b.remove(dashed)
	b.converge()
	if text := dump(b.db); !strings.Contains(text, "Address_Set x.y addresses=[10.16.9.8/31] ") || len(b.reports[dotted].Problems) > 0 {
		t.Error(text)
	}
}
