// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

// The webhook refuses what the controller would leave waiting: a Subnet, an IPPool or addresses of others.
func TestReviewOfPlacement(t *testing.T) {
	const named, pooled = "ovn.kubernetes.io/logical_switch: ", "ovn.kubernetes.io/ip_pool: "
	const controlled = `ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: s, uid: u, controller: true}], annotations:`
	const inJoin = `{apiVersion: kubeovn.io/v1, kind: IP, metadata: {name: x.one}, spec: {subnet: join, podName: x, namespace: one, ipAddress: 100.64.0.77}}`
	cluster := testCluster()
	pool := func(name, subnet, from, to string, namespaces ...string) {
		cluster.Apply(model.Ref{Kind: model.KindIPPool, Name: name}, &model.IPPool{
			Meta: model.Meta{Name: name}, Subnet: subnet, Namespaces: namespaces, Ranges: []model.Range{{First: netip.MustParseAddr(from), Last: netip.MustParseAddr(to)}},
		})
	}
	pool("of-two", "main", "10.0.0.64", "10.0.0.79", "two")
	pool("of-two6", "main", "fd00::40", "fd00::4f", "two")
	pool("in-a", "a", "10.1.0.64", "10.1.0.79")
	r := &Reviewer{Kinds: kube.AllKinds(), Cluster: cluster, Log: testr.New(t)}
	for _, c := range []struct {
		what, object    string
		refused, warned string
	}{
		{"the namespace's own subnet", pod("two", "x", named+"b"), "", ""},
		{"the default subnet", pod("two", "x", named+"main"), "", ""},
		{"the subnet of others", pod("one", "x", named+"a"), "metadata.annotations[ovn.kubernetes.io/logical_switch]: Subnet a is private or bound to namespaces, and namespace one is not one of them", ""},
		{"the subnet of others, by a controller", strings.Replace(pod("one", "x", named+"a"), "annotations:", controlled, 1), "", "Subnet a is private or bound"},
		{"the subnet of others, in a template", deployment("web", named+"a"), "spec.template.metadata.annotations[ovn.kubernetes.io/logical_switch]: Subnet a is private", ""},
		{"a pool in the subnet of others", pod("one", "x", pooled+"in-a"), "metadata.annotations[ovn.kubernetes.io/ip_pool]: Subnet a is private", ""},
		{"the pool of others", pod("one", "x", pooled+"of-two"), "IPPool of-two is for pods of two, and namespace one is not one of them", ""},
		{"the own pool", pod("two", "x", pooled+"of-two"), "", ""},
		{"an address of the pool of others", pod("one", "x", wants+"10.0.0.70"), "metadata.annotations[ovn.kubernetes.io/ip_address]: IPPool of-two is for pods of two", ""},
		{"an IPv6 address of the pool of others", pod("one", "x", wants+`"fd00::4f"`), "IPPool of-two6 is for pods of two", ""},
		{"a list with addresses of the pool of others", pod("one", "x", pooled+"10.0.0.60..10.0.0.65"), "metadata.annotations[ovn.kubernetes.io/ip_pool]: IPPool of-two is for pods of two", ""},
		{"an address beside the pool of others", pod("one", "x", wants+"10.0.0.80"), "", ""},
		{"the nodes' subnet", pod("one", "x", named+"join"), "Subnet join is for nodes", ""},
		{"a record in the nodes' subnet", inJoin, "spec.subnet: Subnet join is for nodes", ""},
		{"a namespace that describes a subnet in no permitted range", namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: 192.168.77.252/30`), "namespace new may not create one with 192.168.77.252/30: the flag --namespace-subnet-cidrs of the controller permits 10.0.0.0/12", ""},
		{"such a namespace, IPv6", namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: "10.9.0.0/24,fd00:9::/64"`), "may not create one with fd00:9::/64", ""},
	} {
		got := r.Handle(t.Context(), request(t, admissionv1.Create, "", c.object))
		message := ""
		if got.Result != nil {
			message = got.Result.Message
		}
		if got.Allowed != (c.refused == "") || !got.Allowed && !strings.Contains(message, c.refused) {
			t.Errorf("%s: allowed is %t, message %q, want %q", c.what, got.Allowed, message, c.refused)
		}
		if warnings := strings.Join(got.Warnings, "\n"); !strings.Contains(warnings, c.warned) || c.warned == "" && warnings != "" {
			t.Errorf("%s: warnings are %q, want %q", c.what, warnings, c.warned)
		}
	}
}

// With --restrict-subnet-namespaces=false only the nodes' Subnet is refused.
func TestReviewOfOpenPlacement(t *testing.T) {
	cluster := testCluster()
	cluster.placement.Open = true
	cluster.Apply(model.Ref{Kind: model.KindIPPool, Name: "of-two"}, &model.IPPool{
		Meta: model.Meta{Name: "of-two"}, Subnet: "a", Namespaces: []string{"two"}, Ranges: []model.Range{{First: netip.MustParseAddr("10.1.0.64"), Last: netip.MustParseAddr("10.1.0.64")}},
	})
	r := &Reviewer{Kinds: kube.AllKinds(), Cluster: cluster, Log: testr.New(t)}
	for annotations, allowed := range map[string]bool{
		"ovn.kubernetes.io/logical_switch: a": true, "ovn.kubernetes.io/ip_pool: of-two": true, "ovn.kubernetes.io/logical_switch: join": false,
	} {
		if got := r.Handle(t.Context(), request(t, admissionv1.Create, "", pod("one", "x", annotations))); got.Allowed != allowed {
			t.Errorf("%s: allowed is %t: %v", annotations, got.Allowed, got.Result)
		}
	}
}
