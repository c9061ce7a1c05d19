// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

func owner(name string) model.Ref { return model.Ref{Kind: model.KindPod, Namespace: "ns", Name: name} }

func subnet(name, vpc string, namespaces ...string) *model.Subnet {
	return &model.Subnet{Meta: model.Meta{Name: name}, Vpc: vpc, Namespaces: namespaces}
}

func expect(t *testing.T, what string, got []model.Ref, want ...model.Ref) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s wakes %v, want %v", what, got, want)
	}
}

func TestReadsAreRecorded(t *testing.T) {
	w := world.New()
	read := func(name string, fn func(*world.View)) { w.Read(owner(name), fn) }
	read("key", func(v *world.View) { v.Subnet("blue") })
	read("facet", func(v *world.View) { v.SubnetNetwork("blue") })
	read("bucket", func(v *world.View) { v.SubnetsOfNamespace("ns") })
	read("vpc", func(v *world.View) { v.SubnetsOfVpc("red") })
	read("nothing", func(*world.View) {})

	expect(t, "creation of an object that was read as absent", w.Subnets.Set(subnet("blue", "ovn-cluster")), owner("facet"), owner("key"))
	expect(t, "an equal object", w.Subnets.Set(subnet("blue", "ovn-cluster")))
	private := subnet("blue", "ovn-cluster")
	private.Private = true
	expect(t, "a field outside the facet", w.Subnets.Set(private), owner("key"))
	expect(t, "entering a bucket", w.Subnets.Set(subnet("blue", "ovn-cluster", "ns")), owner("bucket"), owner("key"))
	expect(t, "leaving a bucket", w.Subnets.Set(subnet("blue", "ovn-cluster", "other")), owner("bucket"), owner("key"))
	expect(t, "moving to another Vpc", w.Subnets.Set(subnet("blue", "red", "other")), owner("facet"), owner("key"), owner("vpc"))
	expect(t, "deletion", w.Subnets.Delete(world.Key{Name: "blue"}), owner("facet"), owner("key"), owner("vpc"))
	expect(t, "deletion of an object that does not exist", w.Subnets.Delete(world.Key{Name: "blue"}))
}

func TestReadsReplaceEarlierOnes(t *testing.T) {
	w := world.New()
	w.Read(owner("a"), func(v *world.View) { v.Vpc("one"); v.Vpc("one") })
	w.Read(owner("a"), func(v *world.View) { v.Vpc("two") })
	expect(t, "an object that is no longer read", w.Vpcs.Set(&model.Vpc{Meta: model.Meta{Name: "one"}}))
	expect(t, "an object that is read now", w.Vpcs.Set(&model.Vpc{Meta: model.Meta{Name: "two"}}), owner("a"))
	w.Forget(owner("a"))
	expect(t, "an object that a forgotten owner read", w.Vpcs.Delete(world.Key{Name: "two"}))
	if n := w.Readers(); n != 0 {
		t.Errorf("%d readers are left", n)
	}
}

func TestManyReadersOfOneObject(t *testing.T) {
	w := world.New()
	for _, name := range []string{"a", "b", "c"} {
		w.Read(owner(name), func(v *world.View) { v.Node("n1") })
	}
	w.Read(owner("b"), func(*world.View) {})
	expect(t, "a node", w.Nodes.Set(&model.Node{Meta: model.Meta{Name: "n1"}}), owner("a"), owner("c"))
	w.Read(owner("a"), func(*world.View) {})
	w.Read(owner("c"), func(*world.View) {})
	expect(t, "a node without readers", w.Nodes.Delete(world.Key{Name: "n1"}))
}

func TestInvalidObjects(t *testing.T) {
	w := world.New()
	read := func() (found bool, invalid []model.Ref) {
		invalid = w.Read(owner("a"), func(v *world.View) { _, found = v.Subnet("blue") })
		return found, invalid
	}
	w.Subnets.Invalidate(world.Key{Name: "blue"})
	if found, invalid := read(); found || len(invalid) != 1 || invalid[0] != (model.Ref{Kind: model.KindSubnet, Name: "blue"}) {
		t.Errorf("never valid: found %v, invalid %v", found, invalid)
	}
	expect(t, "becoming valid", w.Subnets.Set(subnet("blue", "ovn-cluster")), owner("a"))
	expect(t, "becoming invalid", w.Subnets.Invalidate(world.Key{Name: "blue"}), owner("a"))
	if found, invalid := read(); !found || len(invalid) != 0 {
		t.Errorf("the last valid state is not readable: found %v, invalid %v", found, invalid)
	}
	expect(t, "becoming valid as before", w.Subnets.Set(subnet("blue", "ovn-cluster")), owner("a"))
}

func TestBucketsAreSorted(t *testing.T) {
	w := world.New()
	for _, name := range []string{"c", "a", "b"} {
		w.Subnets.Set(subnet(name, "ovn-cluster"))
	}
	var got []string
	w.Read(owner("x"), func(v *world.View) {
		for _, s := range v.SubnetsOfVpc("ovn-cluster") {
			got = append(got, s.Name)
		}
	})
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("subnets are %v, want them sorted", got)
	}
}

func TestSelectedNamespaces(t *testing.T) {
	w := world.New()
	selected := func() (names []string) {
		w.Read(owner("a"), func(v *world.View) {
			for _, s := range v.SubnetsOfNamespace("ns") {
				names = append(names, s.Name)
			}
		})
		return names
	}
	namespace := func(labels map[string]string) *model.Namespace {
		return &model.Namespace{Meta: model.Meta{Name: "ns"}, Labels: labels}
	}
	lab := subnet("blue", "ovn-cluster")
	lab.NamespaceSelectors = []string{"team=lab", "env=dev"}
	selected()
	w.Namespaces.Set(namespace(nil))
	expect(t, "a selector that does not match", w.Subnets.Set(lab))
	expect(t, "a label that matches", w.Namespaces.Set(namespace(map[string]string{"team": "lab", "env": "dev"})), owner("a"))
	if got := selected(); !slices.Equal(got, []string{"blue"}) {
		t.Errorf("selected by %v", got)
	}
	expect(t, "another label", w.Namespaces.Set(namespace(map[string]string{"team": "lab", "env": "dev", "x": "y"})))
	expect(t, "deletion of the subnet", w.Subnets.Delete(world.Key{Name: "blue"}), owner("a"))
	if got := selected(); len(got) != 0 {
		t.Errorf("still selected by %v", got)
	}
}

// A reader of the Vpcs of a namespace's pods is woken by the first pod in a Vpc and the last.
func TestVpcsOfPods(t *testing.T) {
	w := world.New()
	var got []string
	read := func() { w.Read(owner("a"), func(v *world.View) { got = v.VpcsOfPods("ns") }) }
	ip := func(name, subnet, namespace string) *model.IP {
		return &model.IP{Meta: model.Meta{Name: name}, Subnet: subnet, Namespace: namespace, PodName: name}
	}
	read()
	for _, step := range []struct {
		what  string
		do    func() []model.Ref
		wakes bool
		vpcs  []string
	}{
		{"a pod of a subnet that does not exist yet", func() []model.Ref { return w.IPs.Set(ip("one", "blue", "ns")) }, false, nil},
		{"the subnet is created", func() []model.Ref { return w.Subnets.Set(subnet("blue", "red")) }, true, []string{"red"}},
		{"another pod", func() []model.Ref { return w.IPs.Set(ip("two", "blue", "ns")) }, false, []string{"red"}},
		{"a pod of another namespace", func() []model.Ref { return w.IPs.Set(ip("three", "blue", "other")) }, false, []string{"red"}},
		{"a node", func() []model.Ref { return w.IPs.Set(ip("node", "blue", "")) }, false, []string{"red"}},
		{"the subnet moves to another Vpc", func() []model.Ref { return w.Subnets.Set(subnet("blue", "green")) }, true, []string{"green"}},
		{"one pod is deleted", func() []model.Ref { return w.IPs.Delete(world.Key{Name: "one"}) }, false, []string{"green"}},
		{"the other moves to another subnet", func() []model.Ref { return w.IPs.Set(ip("two", "nowhere", "ns")) }, true, nil},
		{"and back", func() []model.Ref { return w.IPs.Set(ip("two", "blue", "ns")) }, true, []string{"green"}},
		{"another subnet of the Vpc", func() []model.Ref { return w.Subnets.Set(subnet("violet", "green")) }, false, []string{"green"}},
		{"to that one", func() []model.Ref { return w.IPs.Set(ip("two", "violet", "ns")) }, false, []string{"green"}},
		{"and back again", func() []model.Ref { return w.IPs.Set(ip("two", "blue", "ns")) }, false, []string{"green"}},
		{"the subnet is deleted", func() []model.Ref { return w.Subnets.Delete(world.Key{Name: "blue"}) }, true, nil},
		{"the pod is deleted", func() []model.Ref { return w.IPs.Delete(world.Key{Name: "two"}) }, false, nil},
	} {
		var want []model.Ref
		if step.wakes {
			want = []model.Ref{owner("a")}
		}
		expect(t, step.what, step.do(), want...)
		if read(); !slices.Equal(got, step.vpcs) {
			t.Errorf("%s: pods are in %v, want %v", step.what, got, step.vpcs)
		}
	}
}
