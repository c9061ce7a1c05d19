// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// shop is a namespace with pods that policies select.
type shop struct {
	*test
	namespace           string
	web, client, other  *corev1.Pod // on n1, n2, n2
	webAddress, service string
}

// policy creates or changes a NetworkPolicy for the pods with app=web.
func (s *shop) policy(name string, change func(*networkingv1.NetworkPolicySpec)) {
	s.Helper()
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	spec := networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
	}
	change(&spec)
	err := s.api.Get(s.Context(), client.ObjectKeyFromObject(p), p)
	p.Spec = spec
	if err != nil {
		s.create(p)
		return
	}
	s.must(s.api.Update(s.Context(), p), "change policy %s", name)
}

func from(peers ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers}
}

func app(name string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}}
}

func ports(of ...intstr.IntOrString) (out []networkingv1.NetworkPolicyPort) {
	for _, p := range of {
		out = append(out, networkingv1.NetworkPolicyPort{Port: &p})
	}
	return out
}

// pod creates a pod of an app with a named port.
func (s *shop) pod(app, node string, change func(*corev1.Pod)) *corev1.Pod {
	s.Helper()
	pod := s.newPod(s.namespace, app, node, nil)
	pod.Labels = map[string]string{"app": app}
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "hello", ContainerPort: wire.HelloPort}}
	if change != nil {
		change(pod)
	}
	s.create(pod)
	return s.becomes(s.namespace, app, 40*time.Second)
}

// seen connects from pods and nodes concurrently, and compares which of them the web pod replies to.
func (s *shop) seen(what string, targets []wire.Target, want map[string]bool) {
	s.Helper()
	s.must(s.flowsInstalled(), "wait for the flows")
	for who, through := range want {
		asked := targets
		if !through {
			asked = silently(targets)
		}
		var answers []wire.Answer
		var err error
		switch who {
		case "client", "other", "web":
			answers, err = s.ask(s.Context(), map[string]*corev1.Pod{"client": s.client, "other": s.other, "web": s.web}[who], asked)
		default:
			answers, err = s.askNode(s.Context(), nodeNumber(who), asked)
		}
		s.must(err, "ask from %s", who)
		for _, a := range answers {
			if a.Error != "" {
				s.Errorf("%s: %s → %s %s: %q, should get through: %v", what, who, a.How, a.Address, a.Error, through)
			}
		}
	}
	s.say("%s: who gets through is %v", what, want)
}

// NetworkPolicies by pods, Services, ports, named ports and nodes.
func TestNetworkPolicy(t *testing.T) {
	te := begin(t, shared)
	s := &shop{test: te, namespace: te.namespace("shop", nil)}
	s.web, s.client, s.other = s.pod("web", "n1", openAtNode), s.pod("client", "n2", nil), s.pod("other", "n2", nil)
	s.webAddress = s.web.Status.PodIP
	s.service = te.service(s.namespace, "web", map[string]string{"app": "web"}, nil)[0]
	te.balanced(s.namespace, "web", s.service, 1)
	all := []wire.Target{
		{How: wire.Connect, Address: hostPort(s.webAddress, wire.HelloPort)}, {How: wire.Connect, Address: hostPort(s.service, servicePort)},
	}
	behind := s.behindNode()
	s.policy("web", func(*networkingv1.NetworkPolicySpec) {})
	te.wait(10*time.Second, "the policy is in the northbound database", func(ctx context.Context) string { return s.inDatabase(ctx, "web") })
	s.seen("default deny", all, map[string]bool{"client": false, "web": true, "n2": false})
	s.seen("default deny, from the pod's own node", all[:1], map[string]bool{"n1": true})
	s.seen("default deny, from the pod's own node through a Service", all[1:], map[string]bool{"n1": false})
	s.closedBehindNode(behind)
	s.policy("web", func(p *networkingv1.NetworkPolicySpec) {
		rule := from(app("client"))
		rule.Ports = ports(intstr.FromString("hello"))
		p.Ingress = []networkingv1.NetworkPolicyIngressRule{rule, from(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: sandbox.NodeAddr(2, false).String() + "/32"}})}
	})
	te.wait(10*time.Second, "the rules are in the northbound database", func(ctx context.Context) string { return s.inDatabase(ctx, fmt.Sprint("tcp.dst == ", wire.HelloPort)) })
	s.seen("a peer and a node, and a port by its name", all, map[string]bool{"client": true, "other": false, "web": true, "n2": true})
	s.rulesChange()
	s.fromTheFirstPacketOn()
	te.remove(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}})
	te.wait(10*time.Second, "the policy is gone", func(ctx context.Context) string {
		if missing := s.inDatabase(ctx, "NetworkPolicy/"+s.namespace+"/web"); missing == "" {
			return "it is still there"
		}
		return ""
	})
	s.seen("no policy", all, map[string]bool{"client": true, "other": true, "n2": true})
	te.consistent(10 * time.Second)
}

// openAtNode adds a hostPort to a pod.
func openAtNode(p *corev1.Pod) {
	p.Spec.Containers[0].Ports[0].HostPort = hostPortNumber
}

// behindNode returns ways to the web pod on which its node masquerades the client: a NodePort with affinity, where the
// node chooses the backend, and a hostPort. Without a policy all are open.
func (s *shop) behindNode() map[string][]wire.Target {
	s.Helper()
	sticky := s.published(s.namespace, "sticky", map[string]string{"app": "web"}, func(spec *corev1.ServiceSpec) {
		nodePort(spec)
		spec.SessionAffinity = corev1.ServiceAffinityClientIP
	})
	s.chosenByNodes(sticky, 1)
	ways := map[string][]wire.Target{
		"outside": s.atNodes(sticky, nil, 1, 2),
		"pods":    {{How: wire.Hello, Address: hostPort(sandbox.NodeAddr(1, false).String(), hostPortNumber)}},
	}
	s.fromOutside("no policy, a NodePort with affinity", ways["outside"], itsError)
	s.seen("no policy, a hostPort", ways["pods"], map[string]bool{"client": true, "web": true, "n1": true, "n2": true})
	return ways
}

// closedBehindNode checks that the rule that lets a node reach its own pods admits no other client.
func (s *shop) closedBehindNode(ways map[string][]wire.Target) {
	s.Helper()
	s.silent("default deny, a NodePort with affinity", ways["outside"])
	s.seen("default deny, a hostPort", ways["pods"], map[string]bool{"client": false, "other": false, "n1": true, "n2": false})
}

// inDatabase searches the ACLs of the northbound database for a text.
func (s *shop) inDatabase(ctx context.Context, text string) string {
	out, err := s.cluster.NBCtl(ctx, "--columns=match,external_ids", "list", "ACL")
	if err != nil || !strings.Contains(out, text) {
		return fmt.Sprint("no rule with ", text, " ", err)
	}
	return ""
}

// rulesChange checks that equivalent policies never block the client or admit the other pod.
func (s *shop) rulesChange() {
	s.Helper()
	client := func(p *networkingv1.NetworkPolicySpec) {
		p.Ingress = []networkingv1.NetworkPolicyIngressRule{from(app("client"))}
	}
	var changes []func()
	for _, change := range []func(*networkingv1.NetworkPolicySpec){
		client,
		func(p *networkingv1.NetworkPolicySpec) {
			p.Ingress = []networkingv1.NetworkPolicyIngressRule{from(app("web"), app("client"))}
		},
		func(p *networkingv1.NetworkPolicySpec) {
			p.Ingress = []networkingv1.NetworkPolicyIngressRule{from(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{
				CIDR: "10.0.0.0/8", Except: []string{s.other.Status.PodIP + "/32"},
			}})}
		},
		func(p *networkingv1.NetworkPolicySpec) {
			p.Ingress = []networkingv1.NetworkPolicyIngressRule{from(networkingv1.NetworkPolicyPeer{
				PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"other"}}}},
			})}
			p.PodSelector = metav1.LabelSelector{}
		},
		client,
	} {
		changes = append(changes, func() { s.policy("web", change) })
	}
	extra := func() { s.policy("also", client) }
	gone := func() {
		s.remove(&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "also"}})
	}
	s.policy("web", client)
	s.wait(10*time.Second, "the rules are in the northbound database", func(ctx context.Context) string {
		if missing := s.inDatabase(ctx, "ingress/1"); missing == "" {
			return "the former rules are still there"
		}
		return ""
	})
	s.must(s.flowsInstalled(), "wait for the flows")
	s.whileRulesChange(s.client, s.other, s.web, append(changes, extra, gone, extra, gone)...)
}

// fromTheFirstPacketOn checks that a new pod that policies select is never open, and that its first packets do not get
// out.
func (s *shop) fromTheFirstPacketOn() {
	s.Helper()
	const address = "10.16.77.77"
	s.policy("late", func(p *networkingv1.NetworkPolicySpec) {
		p.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "late"}}
		p.PolicyTypes = append(p.PolicyTypes, networkingv1.PolicyTypeEgress)
		p.Ingress = []networkingv1.NetworkPolicyIngressRule{from(app("client"))}
	})
	may, mayNot := s.streamTo(s.client, hostPort(address, wire.HelloPort)), s.streamTo(s.other, hostPort(address, wire.HelloPort))
	late := s.pod("late", "n1", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"ovn.kubernetes.io/ip_address": address}
		chatter := *p.Spec.Containers[0].DeepCopy()
		chatter.Name, chatter.ReadinessProbe, chatter.Ports = "chatter", nil, nil
		chatter.Command = []string{"/e2e/peer", "stream", hostPort(s.other.Status.PodIP, wire.HelloPort)}
		p.Spec.Containers = append(p.Spec.Containers, chatter)
	})
	s.wait(20*time.Second, "the client reaches the new pod", func(context.Context) string {
		if may.answered() < 20 {
			return fmt.Sprint(may.answered(), " answers")
		}
		return ""
	})
	out, err := s.cluster.Kubectl(s.Context(), "-n", s.namespace, "logs", late.Name, "-c", "chatter")
	s.must(err, "read what the new pod got out")
	if mayNot.answered() > 0 || strings.Contains(out, "number") {
		s.Errorf("a new pod answered %d datagrams of whom it must not, and got answers: %s", mayNot.answered(), out)
	}
	s.say("a new pod with policies: %d answers to whom it may, %d to whom it must not, %d bytes of answers to what it sent", may.answered(), mayNot.answered(), len(out))
}
