package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// addressStates are those in which addresses are kept, or chosen from fewer than
// a subnet has.
func addressStates(pods state) []state {
	blue := pods.with("a subnet more", subnet("blue", "10.17.0.0/24"), namespace("blue"))
	three := blue.with("StatefulSet", statefulSet("web", "set-1", 3), setPod("web", 0, "n1", "set-1"), setPod("web", 1, "n2", "set-1"), setPod("web", 2, "n1", "set-1"))
	return []state{
		three,
		blue.with("StatefulSet without pods", statefulSet("web", "set-1", 3)),
		blue.with("StatefulSet with one pod away", statefulSet("web", "set-1", 3), setPod("web", 0, "n1", "set-1"), setPod("web", 2, "n1", "set-1")),
		three.with("StatefulSet elsewhere", anew(setPod("web", 0, "n2", "set-1")), anew(setPod("web", 1, "n1", "set-1"))),
		blue.with("StatefulSet scaled down", statefulSet("web", "set-1", 1)),
		blue.with("StatefulSet with ordinals from 2", changed(statefulSet("web", "set-1", 2), func(s *model.StatefulSet) { s.Start = 2 }), setPod("web", 3, "n1", "set-1")),
		blue.with("another StatefulSet of the name", statefulSet("web", "set-2", 3), setPod("web", 0, "n1", "set-2")),
		blue.with("StatefulSet in another subnet", changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Subnet = "blue" }),
			anew(changed(setPod("web", 1, "n2", "set-1"), func(p *model.Pod) { p.NICs = []model.PodNIC{{Provider: "ovn", Subnet: "blue"}} }))),
		blue.with("StatefulSet in a namespace of another subnet", statefulSet("web", "set-1", 3), anew(setPod("web", 2, "n2", "set-1")),
			changed(namespace("default"), func(n *model.Namespace) { n.LogicalSwitches = []string{"blue"} })),
		blue.with("pod without its StatefulSet", changed(setPod("web", 0, "n1", ""), func(p *model.Pod) { p.Owner = model.PodOwner{} })),
		blue.with("pod of a StatefulSet failed", statefulSet("web", "set-1", 1), changed(setPod("web", 0, "n1", "set-1"), func(p *model.Pod) { p.Completed, p.NICs = true, []model.PodNIC{{Provider: "ovn"}} })),
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

// anew is a pod that was made again under its name.
func anew(p *model.Pod) *model.Pod {
	return changed(p, func(p *model.Pod) { p.UID += "-anew" })
}

func record(t *testing.T, b *bed, name string) model.IP {
	t.Helper()
	ip, ok := b.objects[ref(model.KindIP, "", name)].(*model.IP)
	if !ok {
		t.Fatalf("there is no record %s", name)
	}
	return *ip
}

// A pod of a StatefulSet that is made again on another node has the address and
// the MAC that it had, its port is bound anew, and the record says where it is.
func TestStatefulSetPodKeepsItsAddress(t *testing.T) {
	b := bedIn(t, "StatefulSet")
	was := record(t, b, "web-1.default")
	b.set(ref(model.KindPod, "default", "web-1"), nil)
	b.settle()
	if port(b, "web-1.default") != nil {
		t.Error("a pod that is gone has a port")
	}
	if now := record(t, b, "web-1.default"); now != was {
		t.Fatalf("while the pod is gone its record is %+v, it was %+v", now, was)
	}
	b.restart()
	b.settle()
	b.set(ref(model.KindPod, "default", "other"), pod("default", "other", "n1"))
	b.settle()
	b.set(ref(model.KindPod, "default", "web-1"), anew(setPod("web", 1, "n1", "set-1")))
	b.settle()
	now := record(t, b, "web-1.default")
	if now.Addrs != was.Addrs || now.MAC != was.MAC || now.UID != was.UID {
		t.Errorf("the record is %+v, it was %+v", now, was)
	}
	if was.NodeName != "n2" || now.NodeName != "n1" {
		t.Errorf("the record said %s and says %s", was.NodeName, now.NodeName)
	}
	if p := port(b, "web-1.default"); p == nil || !strings.HasSuffix(p.Options["iface-id-ver"], "-anew") {
		t.Errorf("the port is %v", p)
	}
}

// The address is free once nobody will make the pod again.
func TestStatefulSetLetsGo(t *testing.T) {
	for name, end := range map[string]func(*bed, model.Ref){
		"scaled down": func(b *bed, r model.Ref) { b.set(r, statefulSet("web", "set-1", 1)) },
		"ordinals start later": func(b *bed, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Start = 2 }))
		},
		"deleted":  func(b *bed, r model.Ref) { b.set(r, nil) },
		"replaced": func(b *bed, r model.Ref) { b.set(r, statefulSet("web", "set-2", 3)) },
		"on its way out": func(b *bed, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Deleting = true }))
		},
		"its pods are to be in another subnet": func(b *bed, r model.Ref) {
			b.set(r, changed(statefulSet("web", "set-1", 3), func(s *model.StatefulSet) { s.Subnet = "blue" }))
		},
		"its namespace is in another subnet": func(b *bed, _ model.Ref) {
			b.set(ref(model.KindNamespace, "", "default"), changed(namespace("default"), func(n *model.Namespace) { n.LogicalSwitches = []string{"blue"} }))
		},
		"the record is deleted by a user": func(b *bed, _ model.Ref) {
			r := ref(model.KindIP, "", "web-1.default")
			ip, _ := b.objects[r].(*model.IP)
			b.set(r, changed(ip, func(ip *model.IP) { ip.Deleting = true }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := bedIn(t, "StatefulSet with one pod away")
			b.become(named(t, "StatefulSet"))
			b.settle()
			b.set(ref(model.KindPod, "default", "web-1"), nil)
			b.settle()
			record(t, b, "web-1.default")
			end(b, ref(model.KindStatefulSet, "default", "web"))
			b.settle()
			if _, there := b.objects[ref(model.KindIP, "", "web-1.default")]; there {
				t.Error("the record is still there")
			}
			if _, there := b.objects[ref(model.KindIP, "", "web-2.default")]; !there {
				t.Error("the record of a running pod is gone")
			}
		})
	}
}

// A fresh pod of a StatefulSet costs two writes, as any pod does, and a change of
// a StatefulSet wakes nobody but those who are away.
func TestStatefulSetCostsNothingMore(t *testing.T) {
	b := bedIn(t, "StatefulSet")
	writes := b.writes
	b.set(ref(model.KindStatefulSet, "default", "web"), statefulSet("web", "set-1", 4))
	b.settle()
	b.set(ref(model.KindPod, "default", "web-3"), setPod("web", 3, "n1", "set-1"))
	b.settle()
	if got := b.writes - writes; got != 2 {
		t.Errorf("a fresh pod costs %d writes: %v", got, b.written[writes:])
	}
	compiled := b.compiled[model.KindPod]
	b.set(ref(model.KindStatefulSet, "default", "web"), statefulSet("web", "set-1", 5))
	b.settle()
	if got := b.compiled[model.KindPod] - compiled; got > 0 {
		t.Errorf("a larger StatefulSet woke %d pods", got)
	}
}
