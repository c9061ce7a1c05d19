// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// The addresses of load balancers and externalIPs. No interface has them; the outside host routes to them through a
// node.
const (
	ingressAddress, ingressAddress6   = "203.0.113.80", "2001:db8:80::80"
	externalAddress, externalAddress6 = "203.0.113.81", "2001:db8:80::81"
)

// On a dual-stack sandbox, Services are reached through NodePorts and external addresses from outside, from pods and
// from hosts.
func TestNodePorts(t *testing.T) {
	te := alone(t, sandbox.Options{Name: sandboxName("e2es"), DNS: true})
	before := te.inventory()
	namespace := te.namespace("nodeports", nil)
	te.spread(namespace, 4)
	pods := te.ready(namespace, 4, 60*time.Second)
	te.nodePorts(pods)
	te.localNodePorts(pods)
	te.nodePortsOfHosts(pods)
	te.externalAddresses(pods)
	te.loadBalancer(pods)
	te.nodePortAffinity(pods)
	te.localClusterIPs(pods)
	te.backendGoes(namespace)
	te.consistent(10 * time.Second)
	te.nothingLeft(before, namespace)
}

// published creates a Service and returns it as completed by the API server and the controller.
func (t *test) published(namespace, name string, selector map[string]string, change func(*corev1.ServiceSpec)) *corev1.Service {
	t.Helper()
	t.service(namespace, name, selector, change)
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	t.inVpc(s, func(vpc string) bool { return vpc != "" })
	return s
}

func nodePort(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }

// atNodes are the NodePorts of a Service on some nodes.
func (t *test) atNodes(s *corev1.Service, change func(*wire.Target), nodes ...int) (targets []wire.Target) {
	for _, n := range nodes {
		for i := range s.Spec.ClusterIPs {
			for _, p := range s.Spec.Ports {
				how := wire.Hello
				if p.Protocol == corev1.ProtocolUDP {
					how = wire.Send
				}
				v6 := strings.Contains(s.Spec.ClusterIPs[i], ":")
				target := wire.Target{How: how, Address: hostPort(sandbox.NodeAddr(n, v6).String(), int(p.NodePort))}
				if change != nil {
					change(&target)
				}
				targets = append(targets, target)
			}
		}
	}
	return targets
}

// fromOutside connects from the outside host and expects an empty verdict on each reply.
func (t *test) fromOutside(what string, targets []wire.Target, verdict func(a wire.Answer) string) {
	t.Helper()
	answers, err := t.askOutside(t.Context(), targets)
	t.must(err, "ask from outside")
	var wrong []string
	for _, a := range answers {
		if text := verdict(a); text != "" {
			wrong = append(wrong, fmt.Sprintf("outside → %s %s: %s", a.How, a.Address, text))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s: %d of %d failed:\n%s", what, len(wrong), len(answers), lines(wrong, 20))
		return
	}
	t.say("%s: %d answers to the host outside", what, len(answers))
}

func (t *test) askOutside(ctx context.Context, targets []wire.Target) ([]wire.Answer, error) {
	return answersOf(targets, func(questions string) (string, error) {
		return t.cluster.OutsideExec(ctx, t.peerPath(), "check", questions)
	})
}

func itsError(a wire.Answer) string { return a.Error }

// itself expects the outside host to be seen with its own address.
func itself(a wire.Answer) string {
	own := sandbox.OutsideAddr(strings.HasPrefix(a.Address, "["))
	if a.Error == "" && a.SeenAs != own.String() {
		return "seen as " + a.SeenAs + ", want " + own.String()
	}
	return a.Error
}

func (t *test) nodePorts(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "ports", map[string]string{"app": "peer"}, nodePort)
	t.balanced(s.Namespace, s.Name, s.Spec.ClusterIPs[0], len(pods))
	targets := t.atNodes(s, nil, 1, 2)
	t.fromOutside("NodePorts", slices.Repeat(targets, 3), itsError)
	t.everybody("NodePorts", pods, targets, answered)
}

// localNodePorts checks that with externalTrafficPolicy Local a node uses only its own pods as backends, which see the
// client's address, except for clients that are its own pods or itself: those reach all backends.
func (t *test) localNodePorts(pods []corev1.Pod) {
	t.Helper()
	here := pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == sandbox.NodeName(1) })]
	t.must(t.api.Patch(t.Context(), &here, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"at":"n1"}}}`))), "label pod")
	s := t.published(here.Namespace, "local", map[string]string{"at": "n1"}, func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	t.balanced(s.Namespace, s.Name, s.Spec.ClusterIPs[0], 1)
	t.silent("a local NodePort where no backend is", t.atNodes(s, nil, 2))
	t.fromOutside("a local NodePort where its backend is", slices.Repeat(t.atNodes(s, nil, 1), 3), itself)
	asked, wrong := t.mesh(pods, func(from *corev1.Pod) []wire.Target {
		if from.Spec.NodeName == sandbox.NodeName(2) {
			return t.atNodes(s, nil, 1, 2)
		}
		return append(t.atNodes(s, nil, 1), t.atNodes(s, func(t *wire.Target) { t.Silent = true }, 2)...)
	}, answered)
	if len(wrong) > 0 {
		t.Errorf("pods → local NodePorts, %d of %d failed:\n%s", len(wrong), asked, lines(wrong, 20))
	}
	for n, at := range map[int][]wire.Target{1: t.atNodes(s, nil, 1), 2: t.atNodes(s, nil, 1, 2)} {
		answers, err := t.askNode(t.Context(), n, at)
		t.must(err, "ask from node %d", n)
		for _, a := range answers {
			if a.Error != "" {
				t.Errorf("node %d → %s %s: %s", n, a.How, a.Address, a.Error)
			}
		}
	}
	t.say("pods and hosts reach a local NodePort where there is a backend, and at their own node (%d answers)", asked)
}

// nodePortsOfHosts tests NodePorts whose backend is a node's kubelet.
func (t *test) nodePortsOfHosts(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "kubelet-port", nil, nodePort)
	for i := range s.Spec.ClusterIPs {
		v6 := strings.Contains(s.Spec.ClusterIPs[i], ":")
		t.create(endpointsOn(s.Namespace, s.Name, sandbox.NodeAddr(1, v6).String(), v6))
	}
	var targets []wire.Target
	for _, target := range t.atNodes(s, nil, 1, 2) {
		if target.How == wire.Hello {
			target.How = wire.Connect
			targets = append(targets, target)
		}
	}
	t.fromOutside("NodePorts of a host", targets, itsError)
	t.everybody("NodePorts of a host", pods, targets, answered)
}

// reachedBy adds routes to addresses through a node on the outside host.
func (t *test) reachedBy(node int, addresses ...string) {
	for _, a := range addresses {
		t.way("", netip.MustParseAddr(a), node)
	}
}

// ofService returns the addresses of the IP families of a Service.
func ofService(s *corev1.Service, v4, v6 string) (out []string) {
	for _, ip := range s.Spec.ClusterIPs {
		if strings.Contains(ip, ":") {
			out = append(out, v6)
		} else {
			out = append(out, v4)
		}
	}
	return out
}

func (t *test) externalAddresses(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "external", map[string]string{"app": "peer"}, func(s *corev1.ServiceSpec) {
		s.ExternalIPs = []string{externalAddress, externalAddress6}
	})
	addresses := ofService(s, externalAddress, externalAddress6)
	t.balanced(s.Namespace, s.Name, s.Spec.ClusterIPs[0], len(pods))
	t.forwardedByNodes(addresses)
	for n := 1; n <= t.cluster.Nodes(); n++ {
		t.reachedBy(n, addresses...)
		t.fromOutside("externalIPs at "+sandbox.NodeName(n), toServices(addresses, wire.Hello, wire.Send), itsError)
	}
	t.everybody("externalIPs", pods, toServices(addresses, wire.Hello, wire.Send), answered)
}

// loadBalancer tests a Service of type LoadBalancer with policy Local: its address, its source ranges, and its health
// check port.
func (t *test) loadBalancer(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "balancer", map[string]string{"at": "n1"}, func(s *corev1.ServiceSpec) {
		s.Type, s.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
	})
	addresses := ofService(s, ingressAddress, ingressAddress6)
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	t.must(t.api.Status().Update(t.Context(), s), "write the addresses of the load balancer")
	t.balanced(s.Namespace, s.Name, addresses[0], 1)
	t.forwardedByNodes(addresses)
	t.reachedBy(1, addresses...)
	targets := toServices(addresses, wire.Hello, wire.Send)
	t.fromOutside("a load balancer's addresses", targets, itself)
	t.everybody("a load balancer's addresses", pods, targets, answered)
	t.healthPort(s)

	// Only other sources are allowed: not the outside host, and not pods and nodes that are not listed.
	s.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24", "2001:db8:99::/64", sandbox.NodeAddr(1, false).String() + "/32", sandbox.NodeAddr(1, true).String() + "/128"}
	t.must(t.api.Update(t.Context(), s), "set the source ranges")
	t.silent("strangers", targets)
	t.fromOutside("NodePorts are for all", t.atNodes(s, nil, 1), itself)
	s.Spec.LoadBalancerSourceRanges = append(s.Spec.LoadBalancerSourceRanges, sandbox.OutsideAddr(false).String()+"/32", sandbox.OutsideAddr(true).String()+"/128")
	t.must(t.api.Update(t.Context(), s), "set the source ranges")
	t.fromOutside("those that are named may ask", targets, itself)
}

// silently are the same targets, from which no reply is expected.
func silently(targets []wire.Target) []wire.Target {
	targets = slices.Clone(targets)
	for i := range targets {
		targets[i].Silent = true
	}
	return targets
}

// silent waits until the outside host gets neither a reply nor a refusal.
func (t *test) silent(what string, targets []wire.Target) {
	t.Helper()
	targets = silently(targets)
	t.wait(20*time.Second, what+": silence", func(ctx context.Context) string {
		answers, err := t.askOutside(ctx, targets)
		if err != nil {
			return err.Error()
		}
		for _, a := range answers {
			if a.Error != "" {
				return a.Address + ": " + a.Error
			}
		}
		return ""
	})
}

// healthPort checks the healthCheckNodePort, which reports to load balancers which nodes have a backend.
func (t *test) healthPort(s *corev1.Service) {
	t.Helper()
	for n, want := range map[int]string{
		1: `200 1 {"service":{"namespace":"` + s.Namespace + `","name":"balancer"},"localEndpoints":1,"serviceProxyHealthy":true}`,
		2: `503 0 {"service":{"namespace":"` + s.Namespace + `","name":"balancer"},"localEndpoints":0,"serviceProxyHealthy":true}`,
	} {
		target := wire.Target{How: wire.Get, Address: hostPort(sandbox.NodeAddr(n, false).String(), int(s.Spec.HealthCheckNodePort))}
		t.wait(20*time.Second, "healthCheckNodePort of "+sandbox.NodeName(n), func(ctx context.Context) string {
			answers, err := t.askOutside(ctx, []wire.Target{target})
			if err != nil {
				return err.Error()
			}
			if a := answers[0]; a.Error != "" || a.Body != want {
				return "it says " + a.Error + a.Body + ", want " + want
			}
			return ""
		})
	}
	t.say("the health ports say which node has a backend")
}

// forwardedByNodes waits until each node forwards these addresses to a Service. Before that it routes them away, and
// may send the outside host an ICMP redirect, which that one caches.
func (t *test) forwardedByNodes(addresses []string) {
	t.Helper()
	for n := 1; n <= t.cluster.Nodes(); n++ {
		t.wait(20*time.Second, "addresses on "+sandbox.NodeName(n), func(ctx context.Context) string {
			out, err := t.cluster.NodeExec(ctx, n, "nft", "list", "table", "inet", "woven-services")
			if err != nil {
				return err.Error()
			}
			for _, a := range addresses {
				if !strings.Contains(out, a+" . tcp . ") {
					return a + " is not there"
				}
			}
			return ""
		})
	}
}

// chosenByNodes waits until each node has this number of backends for a TCP NodePort.
func (t *test) chosenByNodes(s *corev1.Service, backends int) {
	t.Helper()
	key := fmt.Sprintf(" . %d . ", s.Spec.Ports[0].NodePort)
	for n := 1; n <= t.cluster.Nodes(); n++ {
		t.wait(20*time.Second, "backends of "+s.Name+" on "+sandbox.NodeName(n), func(ctx context.Context) string {
			out, err := t.cluster.NodeExec(ctx, n, "nft", "list", "map", "inet", "woven-services", "backends4")
			if err != nil {
				return err.Error()
			}
			seen := map[string]bool{}
			for line := range strings.FieldsFuncSeq(out, func(r rune) bool { return r == ',' || r == '\n' }) {
				if where, backend, ok := strings.Cut(line, " : "); ok && strings.Contains(where, key) && strings.Contains(where, "tcp") {
					seen[backend] = true
				}
			}
			if len(seen) != backends {
				return fmt.Sprint(len(seen), " backends: ", seen)
			}
			return ""
		})
	}
}

// nodePortAffinity checks that each client keeps its backend, and that clients have different ones.
func (t *test) nodePortAffinity(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "sticky-port", map[string]string{"app": "peer"}, func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.SessionAffinity = corev1.ServiceAffinityClientIP
	})
	t.balanced(s.Namespace, s.Name, s.Spec.ClusterIPs[0], len(pods))
	t.chosenByNodes(s, len(pods))
	by := map[string]map[string]bool{} // by client
	const clients = 8
	for i := range clients {
		address := fmt.Sprintf("198.51.100.%d", i+1)
		t.outside("", "address", "replace", address+"/32", "dev", "lo")
		defer func() { // the routes of nodes are counted later on
			_, _ = t.cluster.OutsideExec(context.Background(), "ip", "address", "del", address+"/32", "dev", "lo")
		}()
		for n := 1; n <= t.cluster.Nodes(); n++ {
			_, err := t.cluster.NodeExec(t.Context(), n, "ip", "route", "replace", address, "via", sandbox.OutsideAddr(false).String())
			t.must(err, "route to a client")
			defer func() { _, _ = t.cluster.NodeExec(context.Background(), n, "ip", "route", "del", address) }()
		}
		by[address] = map[string]bool{}
	}
	var targets []wire.Target
	for address := range by {
		for _, target := range t.atNodes(s, func(t *wire.Target) { t.Source = address }, 1) {
			if target.How == wire.Hello && !strings.HasPrefix(target.Address, "[") {
				targets = append(targets, target)
			}
		}
	}
	for range 4 { // one after the other: two first connections at once may go two ways
		t.fromOutside("a NodePort with affinity", targets, func(a wire.Answer) string {
			by[a.Source][a.By] = true
			return a.Error
		})
	}
	all := map[string]bool{}
	for client, backends := range by {
		for b := range backends {
			all[b] = true
		}
		if len(backends) != 1 {
			t.Errorf("client %s was answered by %v", client, backends)
		}
	}
	if len(all) < 2 {
		t.Errorf("%d clients were all answered by %v", clients, all)
	}
}

// localClusterIPs checks that with internalTrafficPolicy Local a ClusterIP has only the backends on the client's node,
// while a NodePort of the same Service has all.
func (t *test) localClusterIPs(pods []corev1.Pod) {
	t.Helper()
	s := t.published(pods[0].Namespace, "inner", map[string]string{"at": "n1"}, func(s *corev1.ServiceSpec) {
		nodePort(s)
		local := corev1.ServiceInternalTrafficPolicyLocal
		s.InternalTrafficPolicy = &local
	})
	targets := toServices(s.Spec.ClusterIPs, wire.Hello, wire.Send)
	silent := slices.Clone(targets)
	for i := range silent {
		silent[i].Silent = true
	}
	at := func(node string) []wire.Target {
		if node == sandbox.NodeName(1) {
			return targets
		}
		return silent
	}
	t.wait(20*time.Second, "internalTrafficPolicy Local is kept", func(context.Context) string {
		asked, wrong := t.mesh(pods, func(from *corev1.Pod) []wire.Target { return at(from.Spec.NodeName) }, answered)
		if len(wrong) > 0 {
			return fmt.Sprintf("%d of %d failed:\n%s", len(wrong), asked, lines(wrong, 20))
		}
		return ""
	})
	for n := 1; n <= t.cluster.Nodes(); n++ {
		answers, err := t.askNode(t.Context(), n, at(sandbox.NodeName(n)))
		t.must(err, "ask from node %d", n)
		for _, a := range answers {
			if a.Error != "" {
				t.Errorf("host %d → %s %s: %s", n, a.How, a.Address, a.Error)
			}
		}
	}
	t.say("a ClusterIP has only the backends on the client's node")
	t.fromOutside("a NodePort of a Service that is local inside", t.atNodes(s, nil, 1, 2), itsError)
	t.everybody("a NodePort of a Service that is local inside", pods, t.atNodes(s, nil, 1, 2), answered)
}
