// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

// testCluster is a cluster with a dual-stack subnet, and pods with addresses.
func testCluster() *Cluster {
	c := NewCluster(model.PlacementRules{DefaultSubnet: "main", NodeSubnet: "join", NamespaceSubnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/12")}}, model.InfrastructureConfig{
		NodeSubnet: "join", APIServers: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		HostSource: model.Prefixes{V4: netip.MustParsePrefix("169.254.64.0/18"), V6: netip.MustParsePrefix("fd69:254:64::/112")},
	})
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	subnet := func(name, v4, v6 string, gateway model.Addrs, namespaces ...string) {
		s := &model.Subnet{Meta: model.Meta{Name: name}, Vpc: model.DefaultVpc, Provider: "ovn", Gateway: gateway, Namespaces: namespaces}
		s.CIDR.V4 = prefix(v4)
		if v6 != "" {
			s.CIDR.V6 = prefix(v6)
		}
		c.Apply(model.Ref{Kind: model.KindSubnet, Name: name}, s)
	}
	subnet("main", "10.0.0.0/24", "fd00::/64", model.Addrs{V4: addr("10.0.0.1"), V6: addr("fd00::1")})
	subnet("a", "10.1.0.0/24", "", model.Addrs{V4: addr("10.1.0.1")}, "two")
	subnet("b", "10.2.0.0/24", "", model.Addrs{V4: addr("10.2.0.1")}, "two")
	subnet("join", "100.64.0.0/16", "fd00:100:64::/112", model.Addrs{V4: addr("100.64.0.1"), V6: addr("fd00:100:64::1")})
	c.Apply(model.Ref{Kind: model.KindServiceCIDR, Name: "kubernetes"}, &model.ServiceCIDR{
		Meta: model.Meta{Name: "kubernetes", Created: 1}, CIDRs: []netip.Prefix{prefix("10.96.0.0/16"), prefix("fd00:10:96::/112")},
	})
	for name, service := range map[string]string{"kubernetes": model.APIServerService, "web-x": "web"} {
		c.Apply(model.Ref{Kind: model.KindEndpointSlice, Namespace: "default", Name: name}, &model.EndpointSlice{
			Meta: model.Meta{Namespace: "default", Name: name}, Service: service, Ready: map[bool][]netip.Addr{true: {addr("192.0.2.6")}, false: {addr("198.51.100.6")}}[service == model.APIServerService],
		})
	}
	for _, name := range []string{"one", "two"} {
		c.Apply(model.Ref{Kind: model.KindNamespace, Name: name}, &model.Namespace{Meta: model.Meta{Name: name}})
	}
	c.Apply(model.Ref{Kind: model.KindVpc, Name: model.DefaultVpc}, &model.Vpc{Meta: model.Meta{Name: model.DefaultVpc}, Default: true})
	record(c, "db-0.one", "main", model.Addrs{V4: addr("10.0.0.10"), V6: addr("fd00::10")}, false)
	record(c, "web-5d-x.one", "main", model.Addrs{V4: addr("10.0.0.11")}, false)
	record(c, "leaving.one", "main", model.Addrs{V4: addr("10.0.0.12")}, true)
	record(c, "p.two", "b", model.Addrs{V4: addr("10.2.0.10")}, false)
	c.Synced()
	return c
}

func record(c *Cluster, name, subnet string, addrs model.Addrs, deleting bool) {
	pod, namespace, _ := strings.Cut(name, ".")
	c.Apply(model.Ref{Kind: model.KindIP, Name: name}, &model.IP{
		Meta: model.Meta{Name: name, Deleting: deleting}, Subnet: subnet, Addrs: addrs, PodName: pod, Namespace: namespace, NodeName: "n1", MAC: "02:00:00:00:00:01",
	})
}

func raw(t testing.TB, text string) (data []byte, o *unstructured.Unstructured) {
	t.Helper()
	if text == "" {
		return nil, &unstructured.Unstructured{}
	}
	o = &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return data, o
}

func request(t testing.TB, operation admissionv1.Operation, before, after string) admission.Request {
	t.Helper()
	r := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Operation: operation}}
	var old, now *unstructured.Unstructured
	r.OldObject.Raw, old = raw(t, before)
	r.Object.Raw, now = raw(t, after)
	if after == "" {
		now = old
	}
	gvk := now.GroupVersionKind()
	r.Kind = metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	r.Namespace, r.Name = now.GetNamespace(), now.GetName()
	return r
}

func pod(namespace, name, annotations string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {namespace: %s, name: %s, annotations: {%s}}}`, namespace, name, annotations)
}

func deployment(name, annotations string) string {
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: one, name: %s}, spec: {template: {metadata: {annotations: {%s}}}}}`, name, annotations)
}

func namespaceText(name, annotations string) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Namespace, metadata: {name: %s, annotations: {ovn.kubernetes.io/%s}}}`, name, annotations)
}

func subnetText(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: %s}, spec: {%s}}`, name, spec)
}

func policyText(annotation, spec string) string {
	return fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: one, name: x, annotations: {ovn.kubernetes.io/%s}}, spec: {%s}}`, annotation, spec)
}

func clusterPolicyText(labels string) string {
	return fmt.Sprintf(`{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: x}, spec: {tier: Admin, subject: {namespaces: {matchLabels: %s}}}}`, labels)
}

const wants = "ovn.kubernetes.io/ip_address: "

const vpcWithRoutes = `{apiVersion: kubeovn.io/v1, kind: Vpc, metadata: {name: v}, spec: {staticRoutes: [{cidr: 10.0.0.0/8, nextHopIP: 10.0.0.1}]}}`

func TestReview(t *testing.T) {
	const owned = `ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: s, uid: u, controller: true}], annotations:`
	r := &Reviewer{Kinds: kube.AllKinds(), Cluster: testCluster(), Log: testr.New(t)}
	for _, c := range []struct {
		what          string
		operation     admissionv1.Operation
		before, after string
		refused       string // part of the message; empty if it is allowed
		warned        string
	}{
		{"the pod's own address", admissionv1.Create, "", pod("one", "db-0", wants+"10.0.0.10"), "", ""},
		{"the address of another pod", admissionv1.Create, "", pod("one", "x", wants+`"10.0.0.20,fd00::10"`), "fd00::10 of Subnet main belongs to pod one/db-0, IP db-0.one", ""},
		{"the address of a deleted pod", admissionv1.Create, "", pod("one", "x", wants+"10.0.0.12"), "", ""},
		{"the address of another pod, by a controller", admissionv1.Create, "", strings.Replace(pod("one", "x", wants+"10.0.0.10"), "annotations:", owned, 1), "", "belongs to pod one/db-0"},
		{"address of the namespace's second subnet", admissionv1.Create, "", pod("two", "x", wants+"10.2.0.20"), "", ""},
		{"taken address of the second subnet", admissionv1.Create, "", pod("two", "x", wants+"10.2.0.10"), "10.2.0.10 of Subnet b belongs to pod two/p", ""},
		{"address of neither subnet", admissionv1.Create, "", pod("two", "x", wants+"10.0.0.20"), "10.0.0.20 is not a host address of Subnet a (10.1.0.0/24), b (10.2.0.0/24)", ""},
		{"address in an unknown namespace", admissionv1.Create, "", pod("new", "x", wants+"10.9.0.20"), "", ""},
		{"broadcast", admissionv1.Create, "", pod("one", "x", wants+"10.0.0.255"), "10.0.0.255 is not a host address", ""},
		{"gateway", admissionv1.Create, "", pod("one", "x", wants+`"fd00::1"`), "fd00::1 is the gateway of Subnet main", ""},
		{"pod in the host network", admissionv1.Create, "", strings.Replace(pod("one", "x", wants+"nonsense"), "metadata:", "spec: {hostNetwork: true}, metadata:", 1), "", ""},
		{"pod with an allocated address", admissionv1.Create, "", pod("one", "x", wants+`10.0.0.10, ovn.kubernetes.io/allocated: "true"`), "", ""},
		{"in kube-system", admissionv1.Create, "", pod("kube-system", "x", wants+"nonsense"), "", ""},

		{"invalid before and after", admissionv1.Update, pod("one", "x", wants+"nonsense"), pod("one", "x", wants+"nonsense, a: b"), "", "not an address"},
		{"invalid before, and invalid in another way after", admissionv1.Update, pod("one", "x", wants+"nonsense"), pod("one", "x", wants+"10.0.0"), "10.0.0", ""},
		{"update of a pod that is being deleted", admissionv1.Update, pod("one", "x", ""), strings.Replace(pod("one", "x", wants+"nonsense"), "name:", `deletionTimestamp: "2026-01-01T00:00:00Z", name:`, 1), "", ""},

		{"address of the Deployment's own pod", admissionv1.Create, "", deployment("web", wants+"10.0.0.11"), "", ""},
		{"address of another workload's pod", admissionv1.Create, "", deployment("we", wants+"10.0.0.11"), "Deployment one/we: spec.template.metadata.annotations[ovn.kubernetes.io/ip_address]: 10.0.0.11 of Subnet main belongs to pod one/web-5d-x", ""},
		{"unchanged address, taken meanwhile", admissionv1.Update, deployment("we", wants+"10.0.0.11"), deployment("we", wants+"10.0.0.11, a: b"), "", "belongs to"},
		{"changed to a taken address", admissionv1.Update, deployment("we", wants+"10.0.0.20"), deployment("we", wants+"10.0.0.11"), "belongs to", ""},

		{"overlap with another subnet", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.1.0.0/16"), "10.1.0.0/16 overlaps 10.1.0.0/24 of Subnet a in Vpc ovn-cluster", ""},
		{"overlap of IPv6", admissionv1.Create, "", subnetText("c", `cidrBlock: "10.7.0.0/16,fd00::/48"`), "fd00::/48 overlaps fd00::/64 of Subnet main", ""},
		{"contains the API server's address", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.96.0.0/16"), "10.96.0.0/16 of Subnet c contains 10.96.0.1, an address of the API server", ""},
		{"contains an endpoint of the API server", admissionv1.Create, "", subnetText("c", "cidrBlock: 192.0.2.0/24"), "contains 192.0.2.6, an address of the API server", ""},
		{"contains an endpoint of another Service", admissionv1.Create, "", subnetText("c", "cidrBlock: 198.51.100.0/24"), "", ""},
		{"the hosts' addresses towards Services", admissionv1.Create, "", subnetText("c", `cidrBlock: "fd69:254:64::/112"`), "fd69:254:64::/112 of Subnet c overlaps fd69:254:64::/112, the range of the hosts' source addresses for Services (--node-service-cidr)", ""},
		{"the same in another Vpc", admissionv1.Create, "", subnetText("c", `cidrBlock: "fd69:254:64::/120", vpc: v`), "--node-service-cidr", "there is no Vpc v yet"},
		{"ClusterIPs in another Vpc", admissionv1.Create, "", subnetText("c", `cidrBlock: "fd00:10:96::/120", vpc: v`), "ServiceCIDR kubernetes", "there is no Vpc v yet"},
		{"the nodes' Subnet in another Vpc", admissionv1.Create, "", subnetText("c", "cidrBlock: 100.64.9.0/24, vpc: v"), "100.64.0.0/16, Subnet join of the nodes", "there is no Vpc v yet"},
		{"the nodes' Subnet itself", admissionv1.Update, subnetText("join", `cidrBlock: "100.64.0.0/16,fd00:100:64::/112"`), subnetText("join", `cidrBlock: "100.64.0.0/16,fd00:100:64::/112", mtu: 1300`), "", ""},
		{"subnet of another Vpc", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.1.0.0/16, vpc: v"), "", "there is no Vpc v yet"},
		{"underlay", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.1.0.0/16, vlan: v"), "", "spec.vlan: it is not supported yet"},
		{"CIDR without an address in use", admissionv1.Update, subnetText("b", "cidrBlock: 10.2.0.0/24"), subnetText("b", "cidrBlock: 10.2.1.0/24"), "does not contain 10.2.0.10, the address of pod two/p, IP p.two", ""},
		{"CIDR without IPv6", admissionv1.Update, subnetText("main", `cidrBlock: "10.0.0.0/24,fd00::/64"`), subnetText("main", "cidrBlock: 10.0.0.0/24"), "does not contain fd00::10", ""},
		{"wider CIDR", admissionv1.Update, subnetText("b", "cidrBlock: 10.2.0.0/24"), subnetText("b", "cidrBlock: 10.2.0.0/23"), "", ""},
		{"gateway with a pod's address", admissionv1.Update, subnetText("b", "cidrBlock: 10.2.0.0/24"), subnetText("b", "cidrBlock: 10.2.0.0/24, gateway: 10.2.0.10"), "spec.gateway: 10.2.0.10 is the address of pod two/p", ""},
		{"a rule that OVN cannot parse", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.9.0.0/24, acls: [{direction: to-lport, action: drop, match: tcp.dts == 1}]"), "spec.acls[0].match: column 1: unknown field tcp.dts", ""},
		{"the same rule, stored", admissionv1.Update, subnetText("c", "cidrBlock: 10.9.0.0/24, acls: [{direction: to-lport, action: drop, match: tcp.dts == 1}]"), subnetText("c", "cidrBlock: 10.9.0.0/24, private: true, acls: [{direction: to-lport, action: drop, match: tcp.dts == 1}]"), "", "unknown field tcp.dts"},
		{"in use", admissionv1.Delete, subnetText("main", ""), "", "Subnet main: its addresses are in use: 10.0.0.10,fd00::10 by pod one/db-0, IP db-0.one and 1 more", ""},
		{"not in use", admissionv1.Delete, subnetText("a", ""), "", "", ""},
		{"a namespace that describes a subnet", admissionv1.Create, "", namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: 10.9.0.0/24`), "", ""},
		{"such a namespace with overlapping addresses", admissionv1.Create, "", namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: 10.1.0.0/24`), "Namespace new: metadata.annotations[ovn.kubernetes.io/cidr]: 10.1.0.0/24 overlaps 10.1.0.0/24 of Subnet a", ""},
		{"such a namespace with an invalid gateway", admissionv1.Create, "", namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: 10.9.0.0/24, ovn.kubernetes.io/gateway: 10.8.0.1`), "metadata.annotations[ovn.kubernetes.io/gateway]: 10.8.0.1 is not in the CIDR 10.9.0.0/24", ""},
		{"such a namespace of an existing subnet", admissionv1.Create, "", namespaceText("new", `logical_switch: a, ovn.kubernetes.io/cidr: 10.1.0.0/24`), "Subnet a is private or bound to namespaces, and namespace new is not one of them", ""},
		{"a namespace to which the subnet is bound", admissionv1.Create, "", namespaceText("two", `logical_switch: a`), "", ""},
		{"namespace of a subnet that does not exist", admissionv1.Create, "", namespaceText("new", `logical_switch: later`), "", "there is no Subnet later yet"},
		{"a policy for invalid NICs", admissionv1.Create, "", policyText("network_policy_for: net1", ""), "", "names no NIC; the policy applies to all NICs"},
		{"the same policy, updated", admissionv1.Update, policyText("network_policy_for: net1", ""), policyText("network_policy_for: net1", "podSelector: {}"), "", "names no NIC"},
		{"a policy with an invalid peer", admissionv1.Create, "", policyText("enable_log: maybe", "ingress: [{from: [{ipBlock: {cidr: 0xa.0.0.0/8}}]}]"), "", "it matches nothing"},
		{"a cluster policy with two invalid selectors", admissionv1.Create, "", clusterPolicyText("{b: '-', a: '-'}"), "ClusterNetworkPolicy x: spec.subject.namespaces: it is not a label selector", ""},
		{"the same cluster policy, unchanged", admissionv1.Update, clusterPolicyText("{b: '-', a: '-'}"), clusterPolicyText("{b: '-', a: '-'}"), "", "it is not a label selector"},
		{"a valid cluster policy", admissionv1.Create, "", clusterPolicyText("{a: b}"), "", ""},
		{"an object that cannot be decoded", admissionv1.Create, "", subnetText("c", "mtu: much"), "", "not validated: decode object"},
		{"a kind without validation", admissionv1.Create, "", `{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: one}}`, "", ""},
		{"a Vpc with routes", admissionv1.Create, "", vpcWithRoutes, "", "spec.staticRoutes: it is not supported yet and has no effect"},
		{"the same Vpc, updated", admissionv1.Update, vpcWithRoutes, vpcWithRoutes, "", "spec.staticRoutes"},
		{"a Subnet with a route table", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.9.0.0/24, routeTable: blue"), "", "spec.routeTable: it is not supported yet"},
		{"NAT in another Vpc", admissionv1.Create, "", subnetText("c", "cidrBlock: 10.9.0.0/24, vpc: v, natOutgoing: true"), "", "spec.natOutgoing: it has no effect: it works in the Vpc ovn-cluster only"},
		{"a pod with a rate", admissionv1.Create, "", pod("two", "p", `ovn.kubernetes.io/ingress_rate: "3"`), "", "metadata.annotations[ovn.kubernetes.io/ingress_rate]: it is not supported yet"},
		{"a workload with a security group", admissionv1.Create, "", deployment("x", "ovn.kubernetes.io/security_groups: a"), "", "spec.template.metadata.annotations[ovn.kubernetes.io/security_groups]: it is not supported yet"},
		{"a Service that is announced", admissionv1.Create, "", `{apiVersion: v1, kind: Service, metadata: {name: x, namespace: one, annotations: {ovn.kubernetes.io/bgp: "true"}}}`, "", "metadata.annotations[ovn.kubernetes.io/bgp]"},
		{"a node with a tunnel interface", admissionv1.Update, `{apiVersion: v1, kind: Node, metadata: {name: x}}`, `{apiVersion: v1, kind: Node, metadata: {name: x, annotations: {ovn.kubernetes.io/tunnel_interface: eth1}}}`, "", "metadata.annotations[ovn.kubernetes.io/tunnel_interface]"},
		{"a Vlan", admissionv1.Create, "", `{apiVersion: kubeovn.io/v1, kind: Vlan, metadata: {name: x}, spec: {id: 1, provider: p}}`, "", "objects of kind Vlan are not supported yet and have no effect"},
		{"a kind that only Kube-OVN defines", admissionv1.Create, "", `{apiVersion: kubeovn.io/v1, kind: SecurityGroup, metadata: {name: x}, spec: {tier: 1}}`, "", "objects of kind SecurityGroup are not supported yet and have no effect"},
	} {
		got := r.Handle(t.Context(), request(t, c.operation, c.before, c.after))
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

// Before the cluster is known, only the object itself is validated.
func TestUnknownCluster(t *testing.T) {
	r := &Reviewer{Kinds: kube.AllKinds(), Cluster: NewCluster(model.PlacementRules{DefaultSubnet: "main"}, model.InfrastructureConfig{}), Log: testr.New(t)}
	for text, allowed := range map[string]bool{
		pod("one", "x", wants+"10.9.0.5"):              true,
		pod("one", "x", wants+"nonsense"):              false,
		subnetText("c", "cidrBlock: 10.1.0.0/16"):      true,
		subnetText("c", "cidrBlock: 10.1.0.0/40"):      false,
		deployment("d", "ovn.kubernetes.io/routes: x"): false,
	} {
		if got := r.Handle(t.Context(), request(t, admissionv1.Create, "", text)); got.Allowed != allowed || len(got.Warnings) > 0 {
			t.Errorf("%s: %+v", text, got)
		}
	}
	if got := r.Handle(t.Context(), request(t, admissionv1.Delete, subnetText("main", ""), "")); !got.Allowed {
		t.Errorf("deletion: %+v", got)
	}
}

// If the validation panics, the object is allowed.
func TestPanicAllowsTheObject(t *testing.T) {
	r := &Reviewer{Kinds: kube.AllKinds(), Log: logr.Discard()} // without a cluster: it panics
	if got := r.Handle(t.Context(), request(t, admissionv1.Create, "", pod("one", "x", wants+"nonsense"))); !got.Allowed {
		t.Errorf("%+v", got)
	}
}

// No object makes a review panic, and an unchanged object is always allowed.
func FuzzReview(f *testing.F) {
	for _, text := range []string{
		pod("one", "x", wants+"10.0.0.10"), pod("two", "x", `ovn.kubernetes.io/ip_pool: "10.1.0.5..10.1.0.9"`), deployment("web", wants+`"10.0.0.20,fd00::20"`),
		subnetText("main", `cidrBlock: "10.0.0.0/24,fd00::/64", natOutgoing: true`), namespaceText("new", `logical_switch: made, ovn.kubernetes.io/cidr: 10.9.0.0/24`),
		`{apiVersion: kubeovn.io/v1, kind: IP, metadata: {name: p.two}, spec: {subnet: b, v4IpAddress: 10.2.0.10}}`,
		`{apiVersion: kubeovn.io/v1, kind: IPPool, metadata: {name: p}, spec: {subnet: a, ips: [10.1.0.0/28, 10.1.0.20..10.1.0.30]}}`,
		`{apiVersion: kubeovn.io/v1, kind: Vpc, metadata: {name: a}, spec: {defaultSubnet: a}}`,
		policyText("network_policy_for: a/b", "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]"), clusterPolicyText("{a: '-', b: '-'}"),
	} {
		data, o := raw(f, text)
		f.Add(o.GetKind(), data)
	}
	c, kinds := testCluster(), kube.AllKinds()
	reviewed := slices.Collect(maps.Keys(workloads))
	for _, k := range kinds {
		reviewed = append(reviewed, k.GVK.GroupKind())
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		for _, gk := range reviewed {
			k, ok := validatorOf(kinds, gk)
			if gk.Kind != name || !ok {
				continue
			}
			before, err := k.problems(data, "one", c)
			if err != nil {
				return
			}
			r := &Reviewer{Kinds: kinds, Cluster: c, Log: testr.New(t)}
			request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Kind: metav1.GroupVersionKind{Group: gk.Group, Kind: gk.Kind}, Operation: admissionv1.Update, Namespace: "one", Name: "x",
			}}
			request.Object.Raw, request.OldObject.Raw = data, data
			if got := r.Handle(t.Context(), request); !got.Allowed {
				t.Errorf("an unchanged object with %v is refused: %v", before, got.Result)
			}
		}
	})
}

// The index of addresses follows IP objects that change, are deleted, or have the same address.
func TestHolders(t *testing.T) {
	c := NewCluster(model.PlacementRules{DefaultSubnet: "main"}, model.InfrastructureConfig{})
	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	expect := func(subnet string, addr netip.Addr, want string) {
		t.Helper()
		got := ""
		if ip, ok := c.Holder(subnet, addr); ok {
			got = ip.Name
		}
		if got != want {
			t.Errorf("%s of %s is held by %q, want %q", addr, subnet, got, want)
		}
	}
	record(c, "a.n", "s", model.Addrs{V4: one}, false)
	expect("s", one, "a.n")
	expect("other", one, "")
	record(c, "a.n", "s", model.Addrs{V4: two}, false)
	expect("s", one, "")
	expect("s", two, "a.n")
	record(c, "b.n", "s", model.Addrs{V4: two}, false) // two IP objects with one address
	c.Apply(model.Ref{Kind: model.KindIP, Name: "a.n"}, nil)
	expect("s", two, "b.n")
	record(c, "b.n", "t", model.Addrs{V4: two}, false)
	expect("s", two, "")
	expect("t", two, "b.n")
	c.Apply(model.Ref{Kind: model.KindIP, Name: "b.n"}, nil)
	expect("t", two, "")
	if len(c.holders)+c.ips.Len() > 0 {
		t.Errorf("left over: %v, %v", c.holders, c.ips.All())
	}
}

// BenchmarkReview reviews a pod with a fixed address in a cluster with 100,000 addresses in use.
func BenchmarkReview(b *testing.B) {
	c := testCluster()
	addr := netip.MustParseAddr("10.64.0.0")
	for i := range 100_000 {
		addr = addr.Next()
		record(c, fmt.Sprintf("p%d.one", i), "main", model.Addrs{V4: addr}, false)
	}
	r := &Reviewer{Kinds: kube.AllKinds(), Cluster: c, Log: logr.Discard()}
	req := request(b, admissionv1.Create, "", pod("one", "x", wants+"10.0.0.77"))
	for b.Loop() {
		if got := r.Handle(b.Context(), req); !got.Allowed {
			b.Fatal(got)
		}
	}
}
