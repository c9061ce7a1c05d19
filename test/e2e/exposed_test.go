// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

const (
	apiPort      = 6443
	databasePort = 6642 // sandbox.SBPort
)

// takenAddresses gives Services of a tenant the addresses of the API server, OVN's databases, nodes, other Services and
// reserved ranges as external addresses.
func (t *test) takenAddresses() {
	green, red := t.tenant("taken-green"), t.tenant("taken-red")
	victim := green.runs("victim", "n2", nil)
	thief := red.runs("thief", "n1", nil)
	clusterIPs := t.service(green.namespace, "victim", map[string]string{"app": "victim"}, nil)
	t.balanced(green.namespace, "victim", clusterIPs[0], 1)
	free := []string{"203.0.113.9", "2001:db8:9::9"} // of nobody
	attacks := map[string]struct {
		port    int32
		targets []string
	}{
		"api":      {apiPort, []string{sandbox.ControlAddr().String()}},
		"database": {databasePort, []string{sandbox.ControlAddr().String()}},
		"kubelet":  {kubeletPort, []string{sandbox.NodeAddr(1, false).String(), sandbox.NodeAddr(2, true).String()}},
		"geneve":   {genevePort, []string{sandbox.NodeAddr(2, false).String(), sandbox.NodeAddr(1, true).String()}},
		"service":  {servicePort, clusterIPs},
		"join":     {servicePort, []string{"100.64.0.2", "fd00:100:64::3"}},
		"hosts":    {servicePort, []string{"fd69:254:64::1"}},
		"pod":      {servicePort, []string{victim.Status.PodIPs[0].IP, victim.Status.PodIPs[1].IP}},
		"api-ip":   {443, []string{strings.TrimSuffix(t.apiService(), ":443")}},
	}
	for name, a := range attacks {
		red.exposes(name, a.port, append(slices.Clone(a.targets), free...))
	}
	for name, a := range attacks {
		for _, target := range a.targets {
			t.warning(20*time.Second, red.namespace, name, model.ReasonAddressConflict, target, "is not programmed")
		}
	}
	for name, a := range attacks {
		t.notProgrammed("service/"+red.namespace+"/"+name, a.targets)
	}
	var reached []wire.Target
	for _, a := range attacks {
		for _, address := range free {
			reached = append(reached, wire.Target{How: wire.Hello, Address: hostPort(address, int(a.port))})
		}
	}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, reached)
		t.must(err, "ask external addresses from node %d", n)
		for _, a := range answers {
			if a.Error != "" {
				t.Errorf("node %d → %s, an address that the tenant may have: %s", n, a.Address, a.Error)
			}
		}
	}
	t.say("%d Services of a tenant are programmed with the addresses that nobody has", len(attacks))
	t.stillTheirs(clusterIPs, victim)
	t.must(t.cluster.Restart(t.Context(), "cniserver", 1), "restart cniserver")
	t.stillTheirs(clusterIPs, victim)
	for _, pod := range []*corev1.Pod{victim, thief} {
		out, err := t.inPod(t.Context(), pod, "hostname")
		if err != nil || strings.TrimSpace(out) != pod.Name {
			t.Errorf("kubectl exec in pod %s on %s: %q %v", pod.Name, pod.Spec.NodeName, out, err)
		}
	}
	t.nodesReady(1, 2)
	t.consistent(20 * time.Second)
}

// notProgrammed checks that the load balancers of a Service have none of these addresses.
func (t *test) notProgrammed(name string, addresses []string) {
	t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		out, err := t.cluster.NBCtl(t.Context(), "--bare", "--columns=vips", "find", "Load_Balancer", "name="+name+"/"+protocol)
		t.must(err, "read load balancer %s", name)
		for _, a := range addresses {
			if strings.Contains(out, a+":") || strings.Contains(out, "["+a+"]") {
				t.Errorf("load balancer %s/%s has %s: %s", name, protocol, a, out)
			}
		}
	}
}

// exposes creates a Service with external addresses as the tenant.
func (n *tenant) exposes(name string, port int32, addresses []string) {
	n.Helper()
	policy := corev1.IPFamilyPolicyPreferDualStack
	n.must(n.as.Create(n.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.namespace, Name: name},
		Spec: corev1.ServiceSpec{
			IPFamilyPolicy: &policy, ExternalIPs: addresses, Selector: map[string]string{"app": "thief"},
			Ports: []corev1.ServicePort{
				{Name: "tcp", Port: port, TargetPort: intstr.FromInt32(wire.HelloPort)},
				{Name: "udp", Port: port, TargetPort: intstr.FromInt32(wire.HelloPort), Protocol: corev1.ProtocolUDP},
			},
		},
	}), "create Service %s as tenant", name)
}

// stillTheirs checks from nodes, pods and the outside host that addresses lead to their owners. The thief's program
// says hello at once; an API server, a kubelet and a database wait for TLS.
func (t *test) stillTheirs(clusterIPs []string, victim *corev1.Pod) {
	t.Helper()
	infrastructure := []wire.Target{}
	for _, target := range []string{
		hostPort(sandbox.ControlAddr().String(), apiPort), t.apiService(), hostPort(sandbox.ControlAddr().String(), databasePort),
		hostPort(sandbox.NodeAddr(1, false).String(), kubeletPort), hostPort(sandbox.NodeAddr(2, true).String(), kubeletPort),
	} {
		infrastructure = append(infrastructure, wire.Target{How: wire.Connect, Address: target}, wire.Target{How: wire.Hello, Address: target, Silent: true})
	}
	var services []wire.Target
	for _, ip := range clusterIPs {
		services = append(services, wire.Target{How: wire.Send, Address: hostPort(ip, servicePort)})
	}
	verdict := func(who string, answers []wire.Answer, err error) {
		t.must(err, "ask from %s", who)
		for _, a := range answers {
			switch {
			case a.Error != "":
				t.Errorf("%s → %s %s: %s", who, a.How, a.Address, a.Error)
			case a.How == wire.Send && a.By != victim.Name:
				t.Errorf("%s → %s is answered by %s", who, a.Address, a.By)
			}
		}
	}
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, append(slices.Clone(infrastructure), services...))
		verdict(sandbox.NodeName(n), answers, err)
	}
	answers, err := t.ask(t.Context(), victim, append(slices.Clone(infrastructure), services...))
	verdict("pod "+victim.Name, answers, err)
	t.say("API server, database, kubelets and Service answer for their own addresses, to nodes and pods")
}

// manyExceptions measures what a policy with many exceptions costs: it must grow with their number.
func (t *test) manyExceptions() {
	const small, large = 750, 1500
	red := t.tenant("exceptions")
	web, friend := red.runs("web", "n1", nil), red.runs("friend", "n2", nil)
	flows := func() (count int) {
		t.must(t.flowsInstalled(), "wait for the flows")
		out, err := t.cluster.NodeExec(t.Context(), 1, "ovs-ofctl", "dump-flows", "br-int")
		t.must(err, "list flows of n1")
		return strings.Count(out, "\n")
	}
	policy := func(exceptions int) *networkingv1.NetworkPolicy {
		blocks := map[string]*networkingv1.IPBlock{"0.0.0.0/0": {CIDR: "0.0.0.0/0"}, "::/0": {CIDR: "::/0"}}
		for i := range uint32(exceptions) { //nolint:gosec // not negative
			x := i*2654435761 | 1<<30 // spread over the addresses (Knuth's multiplicative hash)
			v4 := netip.AddrFrom4([4]byte{byte(x>>24)%100 + 20, byte(x >> 16), byte(x >> 8), byte(x)})
			v6 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x), 15: 1})
			blocks["0.0.0.0/0"].Except = append(blocks["0.0.0.0/0"].Except, v4.String()+"/32")
			blocks["::/0"].Except = append(blocks["::/0"].Except, v6.String()+"/128")
		}
		blocks["0.0.0.0/0"].Except = append(blocks["0.0.0.0/0"].Except, address(friend, false).String()+"/32")
		return &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: red.namespace, Name: fmt.Sprint("except-", exceptions)},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
				Ingress: []networkingv1.NetworkPolicyIngressRule{from(networkingv1.NetworkPolicyPeer{IPBlock: blocks["0.0.0.0/0"]}, networkingv1.NetworkPolicyPeer{IPBlock: blocks["::/0"]})},
			},
		}
	}
	s := &shop{test: t, namespace: red.namespace}
	var more []int
	for _, exceptions := range []int{small, large} {
		before := flows()
		p := policy(exceptions)
		t.must(red.as.Create(t.Context(), p), "create a policy as tenant")
		t.applied(s, p)
		more = append(more, flows()-before)
		if exceptions == large {
			t.onlyExcepted(friend, web)
		}
		t.must(red.as.Delete(t.Context(), p), "delete the policy")
		t.dropped(s, p)
	}
	t.say("a policy with %d exceptions in each family: %d flows more on n1; with %d: %d", small, more[0], large, more[1])
	if perException := 2 * 3; more[0] > small*perException || more[1] > large*perException {
		t.Errorf("%v flows for %d and %d exceptions, want at most %d for each", more, small, large, perException)
	}
}

// applied waits until a policy is in the northbound database.
func (t *test) applied(s *shop, p *networkingv1.NetworkPolicy) {
	t.Helper()
	t.wait(20*time.Second, "policy "+p.Name+" is in the northbound database", func(ctx context.Context) string {
		return s.inDatabase(ctx, "NetworkPolicy/"+p.Namespace+"/"+p.Name)
	})
}

// dropped waits until a policy has left the northbound database.
func (t *test) dropped(s *shop, p *networkingv1.NetworkPolicy) {
	t.Helper()
	t.wait(20*time.Second, "policy "+p.Name+" has left the northbound database", func(ctx context.Context) string {
		if s.inDatabase(ctx, "NetworkPolicy/"+p.Namespace+"/"+p.Name) == "" {
			return "it is there"
		}
		return ""
	})
}

// onlyExcepted checks that a pod, whose IPv4 address a policy excepts, reaches another one by IPv6 only.
func (t *test) onlyExcepted(from, to *corev1.Pod) {
	t.Helper()
	var targets []wire.Target
	for _, v6 := range both {
		targets = append(targets, wire.Target{How: wire.Hello, Address: hostPort(address(to, v6).String(), wire.HelloPort), Silent: !v6})
	}
	answers, err := t.ask(t.Context(), from, targets)
	t.must(err, "ask pod %s", to.Name)
	for _, a := range answers {
		if a.Error != "" {
			t.Errorf("%s → %s: %s", from.Name, a.Address, a.Error)
		}
	}
}
