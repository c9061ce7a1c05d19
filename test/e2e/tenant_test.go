// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const defaultSubnet = "ovn-default"

// tenant is a user with the ClusterRole edit in one namespace, who may also change that Namespace itself.
type tenant struct {
	*test
	namespace string
	as        client.Client
}

// tenant creates a namespace and a user with rights in it only.
func (t *test) tenant(namespace string) *tenant {
	t.Helper()
	t.namespace(namespace, nil)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tenant"}}
	t.must(t.api.Create(t.Context(), account), "create the user")
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}}
	own := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "namespace-" + namespace}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{namespace}, Verbs: []string{"get", "update", "patch"},
	}}}
	t.create(own)
	t.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: own.Name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: own.Name}, Subjects: subjects})
	t.must(t.api.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "tenant"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "edit"}, Subjects: subjects,
	}), "bind the ClusterRole edit")
	token, err := t.kube.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	t.must(err, "create a token")
	admin, err := t.cluster.RESTConfig()
	t.must(err, "read the administrator's configuration")
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = token.Status.Token
	scheme, err := check.Scheme()
	t.must(err, "scheme")
	api, err := client.New(config, client.Options{Scheme: scheme})
	t.must(err, "connect as tenant")
	return &tenant{test: t, namespace: namespace, as: api}
}

// runs creates a pod as the tenant and waits until it is ready.
func (n *tenant) runs(name, node string, set map[string]string) *corev1.Pod {
	n.Helper()
	n.makes(name, node, set)
	return n.becomes(n.namespace, name, 40*time.Second)
}

// makes creates a pod as the tenant.
func (n *tenant) makes(name, node string, set map[string]string) {
	n.Helper()
	pod := n.newPod(n.namespace, name, node, set)
	pod.Labels["app"] = name
	n.must(n.as.Create(n.Context(), pod), "create pod %s as tenant", name)
	n.made = append(n.made, pod) // the kubelet ends a pod without addresses late
}

// sets changes annotations of a pod as the tenant.
func (n *tenant) sets(pod *corev1.Pod, set map[string]string) {
	n.Helper()
	n.must(n.as.Patch(n.Context(), pod.DeepCopy(), client.RawPatch(types.MergePatchType, annotationPatch(set))), "annotate pod %s as tenant", pod.Name)
}

func annotationPatch(set map[string]string) []byte {
	var list []string
	for key, value := range set {
		list = append(list, fmt.Sprintf("%q:%q", key, value))
	}
	return []byte(`{"metadata":{"annotations":{` + strings.Join(list, ",") + `}}}`)
}

// record is what the controller writes on a pod with the addresses of another one.
func record(provider string, victim *corev1.Pod, subnet string) map[string]string {
	set := map[string]string{}
	for suffix, value := range map[string]string{
		annotations.SuffixAllocated: "true", annotations.SuffixRouted: "true", annotations.SuffixLogicalSwitch: subnet,
		annotations.SuffixIPAddress: victim.Annotations[annotations.IPAddress], annotations.SuffixMACAddress: mac(victim),
		annotations.SuffixCIDR: victim.Annotations[annotations.CIDR], annotations.SuffixGateway: victim.Annotations[annotations.Gateway],
	} {
		set[provider+annotations.ProviderDomain+"/"+suffix] = value
	}
	return set
}

// forgedRecords writes what only the controller writes, as a tenant: on a pod at its creation and while it runs.
func (t *test) forgedRecords() {
	green := t.tenant("records-green")
	red := t.tenant("records-red")
	t.refused("a tenant creates an IP object", red.as.Create(t.Context(), &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "forged.records-red"}}))
	t.refused("a tenant creates a Subnet", red.as.Create(t.Context(), subnet("forged", "10.99.0.0/24")))
	t.refused("a tenant changes a Subnet", annotateAs(t.Context(), red.as, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: defaultSubnet}}, annotations.PortSecurity, "false"))
	victim, neighbour := green.runs("victim", "n1", nil), green.runs("neighbour", "n2", nil)

	gateway := record("ovn", victim, defaultSubnet)
	gateway[annotations.IPAddress], gateway[annotations.MACAddress] = gateway[annotations.Gateway], t.routerMAC(defaultSubnet)
	macOnly := record("ovn", victim, defaultSubnet)
	delete(macOnly, annotations.IPAddress)
	forged := map[string]map[string]string{
		"twin": record("ovn", victim, defaultSubnet), "gateway": gateway, "mac": macOnly,
		"other": record("evil", victim, defaultSubnet), "routed": {annotations.Routed: "true", annotations.Allocated: "true"},
	}
	red.reservedKeys(victim, forged)
	red.withoutPolicy()
	for name, set := range forged {
		red.makes(name, "n2", set)
	}
	for name := range forged {
		t.hasItsOwn(t.becomes(red.namespace, name, 60*time.Second), victim)
	}
	changed := t.becomes(red.namespace, "routed", time.Second)
	red.sets(changed, record("ovn", victim, defaultSubnet))
	t.wait(20*time.Second, "the record of a running pod is written again", func(ctx context.Context) string {
		now := &corev1.Pod{}
		t.must(t.api.Get(ctx, client.ObjectKeyFromObject(changed), now), "read the pod")
		if now.Annotations[annotations.IPAddress] != changed.Annotations[annotations.IPAddress] || mac(now) != mac(changed) {
			return fmt.Sprint(now.Annotations)
		}
		return ""
	})
	t.hasItsOwn(t.becomes(red.namespace, "routed", time.Second), victim)
	t.pairs([]corev1.Pod{*victim, *neighbour})
	t.consistent(10 * time.Second)
}

// hasItsOwn checks that a pod has the address and MAC address of its record, and none of a victim's.
func (t *test) hasItsOwn(pod, victim *corev1.Pod) {
	t.Helper()
	ip := &v1.IP{}
	t.must(t.api.Get(t.Context(), client.ObjectKey{Name: pod.Name + "." + pod.Namespace}, ip), "read the IP object of %s", pod.Name)
	var addresses []string
	for _, a := range pod.Status.PodIPs {
		addresses = append(addresses, a.IP)
	}
	inside, err := t.inPod(t.Context(), pod, "sh", "-c", "cat /sys/class/net/eth0/address; ip address show eth0")
	t.must(err, "read the interface of pod %s", pod.Name)
	if joined := strings.Join(addresses, ","); ip.Spec.IPAddress != joined || ip.Spec.MacAddress != mac(pod) || joined != pod.Annotations[annotations.IPAddress] {
		t.Errorf("pod %s has %s in its status, %s %s in its annotations, %s %s in its record", pod.Name, joined, pod.Annotations[annotations.IPAddress], mac(pod), ip.Spec.IPAddress, ip.Spec.MacAddress)
	}
	if !strings.Contains(inside, ip.Spec.MacAddress) || !containsAll(inside, addresses) || mac(pod) == mac(victim) {
		t.Errorf("pod %s has another address than that of its record, %s %s:\n%s", pod.Name, ip.Spec.IPAddress, ip.Spec.MacAddress, inside)
	}
	t.say("pod %s, which claimed the addresses of another one, has %s %s", pod.Name, ip.Spec.IPAddress, ip.Spec.MacAddress)
}

// steeredEgress annotates a tenant's pod with the addresses of others for a Subnet whose pods leave by an egress
// gateway: nodes must not route by it.
func (t *test) steeredEgress() {
	ext := subnet("ext", "10.81.0.0/24,fd00:10:81::/112", "ext")
	ext.Spec.NatOutgoing, ext.Spec.ExternalEgressGateway = false, "192.168.77.254,fd00:77::fe"
	ext.Spec.PolicyRoutingTableID, ext.Spec.PolicyRoutingPriority = 1000, 1500
	t.create(ext)
	t.namespace("ext", nil)
	red := t.tenant("steer-red")
	t.namespace("steer-green", nil)
	t.create(t.newPod("steer-green", "victim", "n1", nil))
	victim := t.becomes("steer-green", "victim", 40*time.Second)
	join := map[string]string{annotations.IPAddress: "100.64.0.2,fd00:100:64::2"}
	node := map[string]string{annotations.IPAddress: sandbox.NodeAddr(1, false).String() + "," + sandbox.NodeAddr(1, true).String()}
	api := map[string]string{annotations.IPAddress: sandbox.ControlAddr().String() + ",fd00:77::1"}
	red.withoutPolicy()
	claims := map[string]string{victim.Annotations[annotations.IPAddress]: ""}
	for i, claimed := range []map[string]string{victim.Annotations, node, api, join} {
		claims[claimed[annotations.IPAddress]] = ""
		pod := red.runs(fmt.Sprint("a", i), "n1", nil)
		forged := record("evil", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: claimed}}, ext.Name)
		maps.Copy(forged, record("ext.default.ovn", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: claimed}}, ext.Name))
		red.sets(pod, forged)
	}
	t.create(t.newPod("ext", "true", "n1", nil))
	honest := t.becomes("ext", "true", 40*time.Second)
	rules := func(ctx context.Context) string {
		out, err := t.cluster.NodeExec(ctx, 1, "sh", "-c", "ip rule; ip -6 rule")
		t.must(err, "read the rules of n1")
		return out
	}
	t.wait(20*time.Second, "rules of the pod in the Subnet", func(ctx context.Context) string {
		if out := rules(ctx); !strings.Contains(out, "from "+address(honest, false).String()) || !strings.Contains(out, "from "+address(honest, true).String()) {
			return out
		}
		return ""
	})
	now := rules(t.Context())
	for claimed := range claims {
		for a := range strings.SplitSeq(claimed, ",") {
			if strings.Contains(now, "from "+a+" ") {
				t.Errorf("an annotation of a tenant made a rule for %s:\n%s", a, now)
			}
		}
	}
	t.say("annotations claimed %d pairs of addresses for an egress gateway; the rules of n1 are those of pod %s only", len(claims), address(honest, false))
	t.nodesReady(1)
	answers, err := t.ask(t.Context(), victim, []wire.Target{{How: wire.Hello, Address: hostPort(sandbox.OutsideAddr(false).String(), sandbox.OutsideEchoPort)}})
	t.must(err, "ask the outside host from the victim")
	for _, a := range answers {
		if a.Error != "" || a.SeenAs != sandbox.NodeAddr(1, false).String() {
			t.Errorf("the victim's egress: %+v, want the address of its node", a)
		}
	}
}

// nodesReady checks that nodes are Ready.
func (t *test) nodesReady(numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		t.wait(30*time.Second, sandbox.NodeName(n)+" is Ready", func(ctx context.Context) string {
			var node corev1.Node
			t.must(t.api.Get(ctx, client.ObjectKey{Name: sandbox.NodeName(n)}, &node), "read Node")
			for _, c := range node.Status.Conditions {
				if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
					return ""
				}
			}
			return "it is not"
		})
	}
}

// quarantine checks that policies reach pods whatever a tenant writes on pods and namespace.
func (t *test) quarantine() {
	red := t.tenant("quarantined")
	a, b := red.runs("a", "n1", nil), red.runs("b", "n2", nil)
	t.namespace("watch", nil)
	t.create(t.newPod("watch", "client", "n2", nil))
	watch := t.becomes("watch", "client", 40*time.Second)
	deny := func(name string, labels map[string]string) {
		t.create(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: red.namespace, Name: name}, Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: labels}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		}})
	}
	deny("quarantine", map[string]string{"quarantine": "true"})
	t.asks(watch, a, true)
	garbage := map[string]string{}
	for _, key := range []string{
		annotations.NorthGateway, annotations.Routes, annotations.PortSecurity, annotations.IPPool,
	} {
		garbage[key] = "~garbage~"
	}
	red.sets(a, garbage)
	garbage = map[string]string{annotations.LogicalSwitch: "Bad_Name!", annotations.CIDR: "garbage", annotations.ExcludeIPs: "garbage", annotations.PortSecurity: "garbage"}
	t.must(red.as.Patch(t.Context(), namespaceObject(red.namespace), patchOf(annotationPatch(garbage))), "annotate the namespace as tenant")
	for _, pod := range []*corev1.Pod{a, b} {
		t.must(t.api.Patch(t.Context(), pod.DeepCopy(), patchOf([]byte(`{"metadata":{"labels":{"quarantine":"true"}}}`))), "label pod %s", pod.Name)
		t.wait(20*time.Second, "the policy reaches pod "+pod.Name, func(ctx context.Context) string { return t.answersNot(ctx, watch, pod) })
		t.say("the policy for quarantine=true reaches pod %s", pod.Name)
	}
	t.consistent(10 * time.Second)
}

func namespaceObject(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func patchOf(text []byte) client.Patch { return client.RawPatch(types.MergePatchType, text) }

// answersNot reports what a pod still answers to another one.
func (t *test) answersNot(ctx context.Context, from, to *corev1.Pod) string {
	var targets []wire.Target
	for _, ip := range to.Status.PodIPs {
		targets = append(targets, wire.Target{How: wire.Hello, Address: hostPort(ip.IP, wire.HelloPort), Silent: true})
	}
	answers, err := t.ask(ctx, from, targets)
	if err != nil {
		return err.Error()
	}
	for _, a := range answers {
		if a.Error != "" {
			return a.Address + ": " + a.Error
		}
	}
	return ""
}
