// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// describedSubnets describes Subnets by annotations of a namespace: outside of the ranges that the sandbox's controller
// permits with --namespace-subnet-cidrs, and inside.
func (t *test) describedSubnets() {
	for name, cidr := range map[string]string{
		"thief-hosts": "192.168.77.252/30", "thief-hosts6": "fd00:77::fc/126", "thief-wide": "10.74.0.0/15",
		"thief-pair": "10.74.9.0/24,fd00:10:99::/112", "thief-services": "10.96.9.0/24",
	} {
		red := t.tenant(name)
		t.must(red.as.Patch(t.Context(), namespaceObject(name), patchOf(annotationPatch(map[string]string{
			annotations.LogicalSwitch: name, annotations.CIDR: cidr,
		}))), "annotate namespace %s as tenant", name)
		red.makes("waits", "n1", nil)
		t.warning(20*time.Second, metav1.NamespaceDefault, name, model.ReasonSubnetNotPermitted, cidr[strings.Index(cidr, ",")+1:])
		t.noSubnet(name)
		t.noAddress(name, "waits")
	}
	red := t.tenant("lab")
	t.must(red.as.Patch(t.Context(), namespaceObject("lab"), patchOf(annotationPatch(map[string]string{
		annotations.LogicalSwitch: "lab", annotations.CIDR: "10.74.1.0/24", annotations.Gateway: "10.74.1.254",
	}))), "annotate namespace lab as tenant")
	pod := red.runs("a", "n1", nil)
	t.placed(pod, map[string]string{"lab/a": "10.74.1.0/24"})
	t.say("a range that --namespace-subnet-cidrs permits: pod a has %s", pod.Status.PodIP)
	t.must(t.api.Delete(t.Context(), namespaceObject("lab"), client.GracePeriodSeconds(0)), "delete namespace lab")
	t.wait(60*time.Second, "the Subnet goes with its namespace", func(ctx context.Context) string {
		if err := t.api.Get(ctx, client.ObjectKey{Name: "lab"}, &v1.Subnet{}); client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Sprint("it is there: ", err)
		}
		return ""
	})
}

// noSubnet checks that there is neither a Subnet nor its switch.
func (t *test) noSubnet(name string) {
	t.Helper()
	out, err := t.cluster.NBCtl(t.Context(), "--bare", "--columns=name", "find", "Logical_Switch", "name="+name)
	t.must(err, "find the switch")
	if err := t.api.Get(t.Context(), client.ObjectKey{Name: name}, &v1.Subnet{}); client.IgnoreNotFound(err) != nil || err == nil || strings.TrimSpace(out) != "" {
		t.Errorf("there is a Subnet %s (error %v) or a switch %q", name, err, out)
	}
}

// noAddress checks that a pod has no address.
func (t *test) noAddress(namespace, name string) {
	t.Helper()
	pod := &corev1.Pod{}
	t.must(t.api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, pod), "read pod %s", name)
	err := t.api.Get(t.Context(), client.ObjectKey{Name: name + "." + namespace}, &v1.IP{})
	if pod.Status.PodIP != "" || pod.Annotations[annotations.Allocated] == "true" || client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("pod %s/%s has address %q, annotations %v, or a record (error %v)", namespace, name, pod.Status.PodIP, pod.Annotations, err)
	}
}

// placements puts a tenant's pods into the nodes' Subnet and into Subnets of others.
func (t *test) placements() {
	green, red := t.tenant("vault-green"), t.tenant("vault-red")
	vault := subnet("vault", "10.82.0.0/24,fd00:10:82::/112", green.namespace)
	vault.Spec.Private = true
	t.create(vault)
	t.create(&v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "vault-pool"}, Spec: v1.IPPoolSpec{Subnet: vault.Name, IPs: []string{"10.82.0.100..10.82.0.110", "fd00:10:82::100..fd00:10:82::110"}}})
	safe := green.runs("safe", "n1", nil)
	t.placed(safe, map[string]string{green.namespace + "/safe": "10.82.0.0/24"})

	intruders := map[string]map[string]string{
		"join":        {annotations.LogicalSwitch: "join"},
		"joinaddress": {annotations.LogicalSwitch: "join", annotations.IPAddress: "100.64.0.77,fd00:100:64::77"},
		"vault":       {annotations.LogicalSwitch: vault.Name},
		"pool":        {annotations.IPPool: "vault-pool"},
		"mixed":       {annotations.LogicalSwitch: vault.Name, annotations.IPAddress: "10.82.0.99,fd00:10:82::99"},
	}
	for name, set := range intruders {
		red.makes(name, "n2", set)
	}
	for name := range intruders {
		t.warning(20*time.Second, red.namespace, name, model.ReasonSubnetNotPermitted)
		t.noAddress(red.namespace, name)
	}
	outsider := red.runs("outsider", "n2", nil)
	t.must(t.flowsInstalled(), "wait for the flows")
	if text := t.answersNot(t.Context(), outsider, safe); text != "" {
		t.Errorf("a pod outside of the private Subnet reaches one inside: %s", text)
	}
	// A namespace chooses Subnets for its pods, too, and tenants may have the right to annotate it.
	for _, choice := range []string{"join", vault.Name} {
		t.must(red.as.Patch(t.Context(), namespaceObject(red.namespace), patchOf(annotationPatch(map[string]string{annotations.LogicalSwitch: choice}))), "annotate the namespace")
		red.makes("by-namespace-"+choice, "n1", nil)
		t.neverIn(red.namespace, "by-namespace-"+choice, choice)
	}
	t.annotate(namespaceObject(red.namespace), annotations.LogicalSwitch, "")

	t.annotate(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: vault.Name}}, annotations.AllowedNamespaces, red.namespace)
	invited := t.becomes(red.namespace, "vault", 60*time.Second)
	t.placed(invited, map[string]string{red.namespace + "/vault": "10.82.0.0/24"})
	t.asks(invited, safe, true)
	t.noAddress(red.namespace, "join")
	t.say("a namespace that the Subnet invites: its pods get addresses; none gets one of the nodes' Subnet")
}

// neverIn checks that a pod waits, with an event, or lives in another Subnet.
func (t *test) neverIn(namespace, name, subnet string) {
	t.Helper()
	t.wait(40*time.Second, "the controller decides where pod "+name+" lives", func(ctx context.Context) string {
		pod := &corev1.Pod{}
		t.must(t.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod), "read pod %s", name)
		if now := pod.Annotations[annotations.LogicalSwitch]; pod.Annotations[annotations.Allocated] == "true" {
			if now == subnet {
				t.Errorf("pod %s lives in Subnet %s", name, subnet)
			}
			t.say("pod %s, whose namespace chose Subnet %s, lives in %s", name, subnet, now)
			return ""
		}
		var events corev1.EventList
		t.must(t.api.List(ctx, &events), "list events")
		for _, e := range events.Items {
			if e.Reason == model.ReasonSubnetNotPermitted && (e.InvolvedObject.Name == name || e.InvolvedObject.Name == namespace && strings.Contains(e.Message, subnet)) {
				t.say("pod %s, whose namespace chose Subnet %s, waits: %s", name, subnet, e.Message)
				return ""
			}
		}
		return "no address and no event"
	})
}

// reservedSubnets creates Subnets over the addresses of others, as an administrator does by mistake.
func (t *test) reservedSubnets() {
	t.create(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "reserved-vpc"}})
	for name, cidr := range map[string]string{
		"over-hosts6": "fd69:254:64::/112", "over-services": "10.96.128.0/17", "over-services6": "fd00:10:96::/120",
		"over-join": "100.64.5.0/24", "over-nodes": "192.168.77.0/25", "over-nodes6": "fd00:77::/120", "over-all": "10.64.0.0/10",
	} {
		for _, vpc := range []string{"", "reserved-vpc"} {
			if vpc != "" && strings.HasPrefix(name, "over-nodes") {
				continue // in other Vpcs these addresses are not the nodes'
			}
			s := subnet(name+strings.TrimPrefix(vpc, "reserved"), cidr)
			s.Spec.Vpc, s.Spec.NatOutgoing = vpc, vpc == ""
			t.create(s)
			t.condition(s.Name, 20*time.Second, "Validated=False", model.ReasonSubnetInvalid, cidr)
			out, err := t.cluster.NBCtl(t.Context(), "--bare", "--columns=name", "find", "Logical_Switch", "name="+s.Name)
			t.must(err, "find the switch")
			if strings.TrimSpace(out) != "" {
				t.Errorf("Subnet %s has a switch", s.Name)
			}
		}
	}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, []wire.Target{{How: wire.Connect, Address: t.apiService()}})
		t.must(err, "ask the API server's Service from node %d", n)
		if answers[0].Error != "" {
			t.Errorf("node %d → API server by its Service: %s", n, answers[0].Error)
		}
	}
}
