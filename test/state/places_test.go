// SPDX-License-Identifier: Apache-2.0

package state

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// ofPods says which pods are behind the endpoints.
func ofPods(e *model.EndpointSlice, names ...string) *model.EndpointSlice {
	e.Pods = map[netip.Addr]string{}
	for i, name := range names {
		e.Pods[e.Ready[i]] = name
	}
	return e
}

// at is a pod in a subnet, with an address.
func at(ns, name, subnet, address string) *model.Pod {
	return changed(pod(ns, name, "n1"), func(p *model.Pod) {
		p.NICs = []model.PodNIC{{Provider: "ovn", Subnet: subnet, IPs: model.Addrs{V4: netip.MustParseAddr(address)}}}
	})
}

// unseen is a Service on which nothing was written yet.
func unseen(change func(*model.Service)) *model.Service {
	return changed(service("web", "10.96.0.80", web...), func(s *model.Service) { s.Vpc = ""; change(s) })
}

// placeStates have a Service whose pods may be in a Vpc with the same addresses as the default one.
func placeStates(bound state) []state {
	nothing := func(*model.Service) {}
	red := bound.with("a Service in a Vpc", vpc("red"), vpc("green"),
		changed(subnet("red", "10.16.0.0/16"), func(s *model.Subnet) { s.Vpc = "red" }),
		changed(subnet("green", "10.16.0.0/16"), func(s *model.Subnet) { s.Vpc = "green" }),
		at("default", "r", "red", "10.16.0.5"), unseen(nothing), ofPods(slice("web-1", "web", back, "10.16.0.5"), "r"))
	both := red.with("a Service in two Vpcs", at("default", "d", "ovn-default", "10.16.0.6"),
		ofPods(slice("web-1", "web", back, "10.16.0.5", "10.16.0.6"), "r", "d"))
	says := func(s state, name string, change func(*model.Service)) state { return s.with(name, unseen(change)) }
	return []state{
		red, both,
		red.with("a Service in two Vpcs, neither the default one", at("default", "g", "green", "10.16.0.7"),
			ofPods(slice("web-1", "web", back, "10.16.0.5", "10.16.0.7"), "r", "g")),
		red.with("a Service in a Vpc, of no pod", slice("web-1", "web", back, "203.0.113.9")),
		red.with("a Service in a Vpc, and one that is no pod of ours", ofPods(slice("web-1", "web", back, "10.16.0.5", "203.0.113.9"), "r", "host")),
		says(both, "a Service in two Vpcs, the user says which", func(s *model.Service) { s.Router = "red" }),
		says(both, "a Service in two Vpcs, the user says which subnet", func(s *model.Service) { s.Switch = "red" }),
		says(red, "a Service in a Vpc that is not there", func(s *model.Service) { s.Router = "missing" }),
		says(red, "a Service in a subnet that is not there", func(s *model.Service) { s.Switch = "missing" }),
		says(red, "a Service in a Vpc, with a port of nodes", func(s *model.Service) {
			s.Ports = slices.Clone(web)
			s.Ports[0].NodePort = 30080
		}),
		says(bound.with("", vpc("red"), slice("web-1", "web", back)), "a Service without pods that was in a Vpc", func(s *model.Service) { s.Vpc = "red" }),
		says(bound.with("", slice("web-1", "web", back)), "a Service whose Vpc is gone", func(s *model.Service) { s.Vpc = "red" }),
	}
}

func TestPlaceOfService(t *testing.T) {
	web := ref(model.KindService, "default", "web")
	for _, c := range []struct{ state, vpc, backends, problem string }{
		{"a Service in a Vpc", "red", "10.16.0.5:8080", ""},
		{"a Service in two Vpcs", "ovn-cluster", "10.16.0.6:8080", "endpoint 10.16.0.5 is ignored: it is in Vpc red, but the Service is in ovn-cluster"},
		{"a Service in two Vpcs, neither the default one", "green", "10.16.0.7:8080", "endpoint 10.16.0.5 is ignored: it is in Vpc red"},
		{"a Service in two Vpcs, the user says which", "red", "10.16.0.5:8080", "endpoint 10.16.0.6 is ignored"},
		{"a Service in two Vpcs, the user says which subnet", "red", "10.16.0.5:8080", "endpoint 10.16.0.6 is ignored"},
		{"a Service in a Vpc, of no pod", "ovn-cluster", "203.0.113.9:8080", ""},
		{"a Service in a Vpc, and one that is no pod of ours", "red", "10.16.0.5:8080,203.0.113.9:8080", ""},
		{"a Service in a Vpc that is not there", "red", "10.16.0.5:8080", "metadata.annotations[ovn.kubernetes.io/logical_router]: it is ignored: there is no Vpc missing"},
		{"a Service in a subnet that is not there", "red", "10.16.0.5:8080", "metadata.annotations[ovn.kubernetes.io/logical_switch]: it is ignored: there is no Subnet missing"},
		{"a Service in a Vpc, with a port of nodes", "red", "10.16.0.5:8080", "the Service is in Vpc red: pods of that Vpc can reach it, but clients outside cannot (no node ports)"},
		{"a Service without pods that was in a Vpc", "red", "", ""},
		{"a Service whose Vpc is gone", "ovn-cluster", "", ""},
	} {
		t.Run(c.state, func(t *testing.T) {
			b := harnessIn(t, c.state)
			lb := balancer(b, "service/default/web/tcp")
			if got := lb.Vips["10.96.0.80:80"]; got != c.backends {
				t.Errorf("backends are %q, want %q", got, c.backends)
			}
			for _, name := range []string{"ovn-cluster", "red", "green"} {
				group, _ := b.db.Peek(nb.LoadBalancerGroupTable, fact.UUIDOf(nb.LoadBalancerGroupTable, fact.LoadBalancerGroupPrefix+name)).(*nb.LoadBalancerGroup)
				if in := group != nil && slices.Contains(group.LoadBalancer, lb.UUID); in != (name == c.vpc) {
					t.Errorf("in the group of Vpc %s: %v", name, in)
				}
			}
			if o, _ := b.objects[web].(*model.Service); o.Vpc != c.vpc {
				t.Errorf("annotation %s is %q, want %q", annotations.Vpc, o.Vpc, c.vpc)
			}
			if c.problem == "" && len(b.reports[web].Problems) > 0 || c.problem != "" && !hasProblem(b, web, c.problem) {
				t.Errorf("problems are %v, want %q", b.reports[web].Problems, c.problem)
			}
		})
	}
}

// Who has no pods outside of the default Vpc is not woken by pods; who has is woken by the Service's own.
func TestPlaceCost(t *testing.T) {
	for state, wakes := range map[string]map[string]int{
		"services": {"default/other": 0},
		"a Service in two Vpcs, neither the default one": {"default/other": 0, "default/r": 2}, // gone, and there again
	} {
		for _, name := range slices.Sorted(maps.Keys(wakes)) {
			b := harnessIn(t, state)
			ns, pod, _ := strings.Cut(name, "/")
			before := b.compiled[model.KindService]
			b.set(ref(model.KindPod, ns, pod), nil)
			b.converge()
			b.set(ref(model.KindPod, ns, pod), at(ns, pod, "ovn-default", "10.16.0.77"))
			b.converge()
			if got := b.compiled[model.KindService] - before; got != wakes[name] {
				t.Errorf("%s: pod %s compiles %d Services, want %d", state, name, got, wakes[name])
			}
		}
	}
}
