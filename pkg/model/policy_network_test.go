// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/api/annotations"
)

// networkPolicy reads a policy "shop/web" with this spec, in YAML.
func networkPolicy(t testing.TB, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	o := &networkingv1.NetworkPolicy{}
	if err := yaml.UnmarshalStrict([]byte(spec), &o.Spec); err != nil {
		t.Fatal(err)
	}
	o.Namespace, o.Name = "shop", "web"
	return o
}

func block(cidr string, except ...string) IPBlock {
	b := IPBlock{CIDR: netip.MustParsePrefix(cidr)}
	for _, text := range except {
		b.Except = append(b.Except, netip.MustParsePrefix(text))
	}
	return b
}

func allow(change func(*PolicyRule)) PolicyRule {
	r := PolicyRule{Action: PolicyAllow}
	change(&r)
	return r
}

func ingressOf(rules ...PolicyRule) Policy {
	return Policy{Ingress: PolicySide{Isolated: true, Rules: rules}, Subject: Group{Namespace: "shop"}}
}

func TestNetworkPolicyFrom(t *testing.T) {
	everyone := allow(func(r *PolicyRule) { r.Everyone = true })
	http := allow(func(r *PolicyRule) { r.Everyone, r.Ports = true, []PolicyPort{{Protocol: TCP, First: 80, Last: 80}} })
	isolated := PolicySide{Isolated: true}
	here := Group{Namespace: "shop"}
	for name, tc := range map[string]struct {
		spec string
		want Policy
	}{
		"nothing said isolates ingress":     {"{}", ingressOf()},
		"subject":                           {"podSelector: {matchLabels: {app: web}}", Policy{Subject: Group{Namespace: "shop", Pods: "app=web"}, Ingress: isolated}},
		"egress rules are for egress":       {"egress: [{}]", Policy{Subject: here, Ingress: isolated, Egress: PolicySide{Isolated: true, Rules: []PolicyRule{everyone}}}},
		"egress listed":                     {"policyTypes: [Egress]", Policy{Subject: here, Egress: isolated}},
		"both listed":                       {"policyTypes: [Ingress, Egress]", Policy{Subject: here, Ingress: isolated, Egress: isolated}},
		"ingress listed":                    {"{policyTypes: [Ingress], egress: [{}]}", ingressOf()},
		"rules of the direction not listed": {"{policyTypes: [Egress], ingress: [{}]}", Policy{Subject: here, Egress: isolated}},
		"empty from":                        {"ingress: [{from: []}]", ingressOf(everyone)},
		"empty ports":                       {"ingress: [{ports: []}]", ingressOf(everyone)},
		"port":                              {"ingress: [{ports: [{port: 80}]}]", ingressOf(http)},
		"all ports of a protocol": {
			"ingress: [{ports: [{protocol: SCTP}]}]",
			ingressOf(allow(func(r *PolicyRule) { r.Everyone, r.Ports = true, []PolicyPort{{Protocol: SCTP}} })),
		},
		"ports in any order, twice": {
			"ingress: [{ports: [{port: dns, protocol: UDP}, {port: 90, endPort: 99}, {port: 80}, {port: 80, protocol: TCP}, {port: 53, protocol: UDP}]}]",
			ingressOf(allow(func(r *PolicyRule) {
				r.Everyone, r.Ports = true, []PolicyPort{
					{Protocol: TCP, First: 80, Last: 80},
					{Protocol: TCP, First: 90, Last: 99},
					{Protocol: UDP, First: 53, Last: 53},
					{Protocol: UDP, Name: "dns"},
				}
			})),
		},
		"pods here": {
			"ingress: [{from: [{podSelector: {matchLabels: {app: db}}}, {podSelector: {}}]}]",
			ingressOf(allow(func(r *PolicyRule) { r.Groups = []Group{here, {Namespace: "shop", Pods: "app=db"}} })),
		},
		"namespaces": {
			"ingress: [{from: [{namespaceSelector: {}}, {namespaceSelector: {matchLabels: {team: a}}}]}]",
			ingressOf(allow(func(r *PolicyRule) { r.Groups = []Group{{}, {Namespaces: "team=a"}} })),
		},
		"pods of namespaces": {
			"egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]}]",
			Policy{Subject: here, Ingress: isolated, Egress: PolicySide{Isolated: true, Rules: []PolicyRule{
				allow(func(r *PolicyRule) { r.Groups = []Group{{Pods: "app=db"}} }),
			}}},
		},
		"blocks": {
			"ingress: [{from: [{ipBlock: {cidr: 10.0.0.7/8, except: [10.2.0.0/16, 10.1.0.9/16, 10.1.0.0/16]}}, {ipBlock: {cidr: 'fd00::/64'}}, {ipBlock: {cidr: 9.9.9.9/32}}, {ipBlock: {cidr: 9.9.9.9/32}}]}]",
			ingressOf(allow(func(r *PolicyRule) {
				r.Blocks = []IPBlock{block("9.9.9.9/32"), block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"), block("fd00::/64")}
			})),
		},
		"rules keep their places": {
			"ingress: [{ports: [{port: 80}]}, {from: [{podSelector: {}}]}, {}]",
			ingressOf(http, allow(func(r *PolicyRule) { r.Groups = []Group{here} }), everyone),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := NetworkPolicyFrom(networkPolicy(t, tc.spec))
			tc.want.Meta, tc.want.Kind, tc.want.Tier = Meta{Namespace: "shop", Name: "web"}, KindNetworkPolicy, TierDefault
			if diff := cmp.Diff(tc.want, got, compareNetip); diff != "" || len(problems) > 0 {
				t.Error(diff, problems)
			}
		})
	}
}

// TestNetworkPolicyNeverWidens: what cannot be read of a rule never makes it allow more.
func TestNetworkPolicyNeverWidens(t *testing.T) {
	nothing := allow(func(*PolicyRule) {})
	for name, tc := range map[string]struct {
		rule, problem string
		want          PolicyRule
	}{
		"no selector": {
			"from: [{podSelector: {matchExpressions: [{key: a, operator: Is}]}}]", "spec.ingress[0].from[0].podSelector: it is not a label selector", nothing,
		},
		"one bad peer": {
			"from: [{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}, {podSelector: {}}]", "spec.ingress[0].from[0].namespaceSelector: it is not",
			allow(func(r *PolicyRule) { r.Groups = []Group{{Namespace: "shop"}} }),
		},
		"half a peer": {
			"from: [{podSelector: {}, namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}]", "spec.ingress[0].from[0].namespaceSelector: it is not", nothing,
		},
		"unknown peer": {"from: [{}]", "spec.ingress[0].from[0]: it says no peer", nothing},
		"block and selector": {
			"from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]", "spec.ingress[0].from[0]: an ipBlock stands alone", nothing,
		},
		"no CIDR":             {"from: [{ipBlock: {cidr: 10.0.0.0}}]", `spec.ingress[0].from[0].ipBlock: "10.0.0.0" is not a CIDR`, nothing},
		"a hexadecimal CIDR":  {"from: [{ipBlock: {cidr: 0xa.0.0.0/8}}]", `spec.ingress[0].from[0].ipBlock: "0xa.0.0.0/8" is not a CIDR`, nothing},
		"no exception":        {"from: [{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}]", `spec.ingress[0].from[0].ipBlock: an exception cannot be read: "x" is not`, nothing},
		"everything excepted": {"from: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.0.0.0/8]}}]", "spec.ingress[0].from[0].ipBlock: the exception 10.0.0.0/8 leaves nothing of 10.1.0.0/16", nothing},
		"exception outside": {
			"from: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.2.0.0/24, 'fd00::/8']}}]", "spec.ingress[0].from[0].ipBlock: the exception 10.2.0.0/24 is outside of 10.1.0.0/16",
			allow(func(r *PolicyRule) { r.Blocks = []IPBlock{block("10.1.0.0/16")} }),
		},
		"unknown protocol": {"ports: [{port: 80, protocol: ICMP}]", `spec.ingress[0].ports[0]: protocol "ICMP" is none of`, nothing},
		"one bad port": {
			"ports: [{port: 0}, {port: 80}]", "spec.ingress[0].ports[0]: port 0 is not between",
			allow(func(r *PolicyRule) { r.Everyone, r.Ports = true, []PolicyPort{{Protocol: TCP, First: 80, Last: 80}} }),
		},
		"great port":           {"ports: [{port: 65536}]", "spec.ingress[0].ports[0]: ports 65536 to 65536", nothing},
		"negative port":        {"ports: [{port: -1}]", "spec.ingress[0].ports[0]: ports -1 to -1", nothing},
		"empty name":           {"ports: [{port: ''}]", "spec.ingress[0].ports[0]: the name of a port is empty", nothing},
		"range ends too early": {"ports: [{port: 80, endPort: 79}]", "spec.ingress[0].ports[0]: it ends at port 79", nothing},
		"range of 0":           {"ports: [{port: 80, endPort: 0}]", "spec.ingress[0].ports[0]: it ends at port 0", nothing},
		"range ends too late":  {"ports: [{port: 80, endPort: 70000}]", "spec.ingress[0].ports[0]: ports 80 to 70000", nothing},
		"range of a name":      {"ports: [{port: http, endPort: 90}]", "spec.ingress[0].ports[0]: endPort needs", nothing},
		"range of nothing":     {"ports: [{endPort: 90}]", "spec.ingress[0].ports[0]: endPort needs", nothing},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := NetworkPolicyFrom(networkPolicy(t, "ingress: [{"+tc.rule+"}]"))
			if diff := cmp.Diff([]PolicyRule{tc.want}, got.Ingress.Rules, compareNetip); diff != "" || !got.Ingress.Isolated {
				t.Error(diff)
			}
			if len(problems) == 0 || Fatal(problems) || !strings.HasPrefix(problems[0].Error(), tc.problem) {
				t.Errorf("got %v, want %s", problems, tc.problem)
			}
		})
	}
}

func TestNetworkPolicySubjectMustBeReadable(t *testing.T) {
	_, problems := NetworkPolicyFrom(networkPolicy(t, "podSelector: {matchExpressions: [{key: a, operator: Is}]}"))
	if len(problems) != 1 || !problems[0].Fatal || problems[0].Reason != ReasonPolicyInvalid || problems[0].Field != "spec.podSelector" {
		t.Error(problems)
	}
}

func TestNetworkPolicyAnnotations(t *testing.T) {
	for name, tc := range map[string]struct {
		ann      map[string]string
		want     Policy
		problems []string
	}{
		"none":             {},
		"not for networks": {ann: map[string]string{"other": "x"}},
		"denials are logged by default": {
			ann:  map[string]string{annotations.EnableLog: "true"},
			want: Policy{Log: PolicyLog{Deny: true}},
		},
		"actions without enable_log": {ann: map[string]string{annotations.LogACLActions: "allow", annotations.ACLLogMeterRate: "5", annotations.EnableLog: "false"}},
		"all actions": {
			ann:  map[string]string{annotations.EnableLog: "true", annotations.LogACLActions: "allow, drop,pass", annotations.ACLLogMeterRate: "50"},
			want: Policy{Log: PolicyLog{Allow: true, Deny: true, Pass: true, Rate: 50}},
		},
		"allow alone": {
			ann:  map[string]string{annotations.EnableLog: "true", annotations.LogACLActions: "allow"},
			want: Policy{Log: PolicyLog{Allow: true}},
		},
		"another word for drop": {
			ann:  map[string]string{annotations.EnableLog: "true", annotations.LogACLActions: "deny"},
			want: Policy{Log: PolicyLog{Deny: true}},
		},
		"bad log": {
			ann:  map[string]string{annotations.EnableLog: "true", annotations.LogACLActions: "allow,reject", annotations.ACLLogMeterRate: "many"},
			want: Policy{Log: PolicyLog{Allow: true}},
			problems: []string{
				`metadata.annotations[ovn.kubernetes.io/log_acl_actions]: "reject" is none of`,
				`metadata.annotations[ovn.kubernetes.io/acl_log_meter_rate]: "many" is not a number`,
			},
		},
		"bad rate": {
			ann: map[string]string{annotations.EnableLog: "true", annotations.ACLLogMeterRate: "0"}, want: Policy{Log: PolicyLog{Deny: true}},
			problems: []string{`metadata.annotations[ovn.kubernetes.io/acl_log_meter_rate]: "0" is not`},
		},
		"great rate": {
			ann: map[string]string{annotations.EnableLog: "true", annotations.ACLLogMeterRate: "99999999999"}, want: Policy{Log: PolicyLog{Deny: true}},
			problems: []string{`metadata.annotations[ovn.kubernetes.io/acl_log_meter_rate]: "99999999999" is not`},
		},
		"bad enable_log": {
			ann:      map[string]string{annotations.EnableLog: "yes"},
			problems: []string{`metadata.annotations[ovn.kubernetes.io/enable_log]: "yes" is neither`},
		},
		"standard": {ann: map[string]string{annotations.PolicyEnforcement: "standard"}},
		"lax":      {ann: map[string]string{annotations.PolicyEnforcement: "lax"}, want: Policy{Lax: true}},
		"bad enforcement": {
			ann:      map[string]string{annotations.PolicyEnforcement: "loose"},
			problems: []string{`metadata.annotations[ovn.kubernetes.io/network_policy_enforcement]: "loose" is neither`},
		},
		"providers": {
			ann:  map[string]string{annotations.PolicyFor: "shop/net1, ovn,ovn, a/b.c"},
			want: Policy{Providers: []Provider{"b.c.a.ovn", "net1.shop.ovn", "ovn"}},
		},
		"some providers": {
			ann:      map[string]string{annotations.PolicyFor: "ovn,net1.shop.ovn,"},
			want:     Policy{Providers: []Provider{"ovn"}},
			problems: []string{`metadata.annotations[ovn.kubernetes.io/network_policy_for]: "net1.shop.ovn" is neither ovn nor <namespace>/<name>`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := networkPolicy(t, "{}")
			o.Annotations = tc.ann
			got, problems := NetworkPolicyFrom(o)
			want := ingressOf()
			want.Meta, want.Kind, want.Tier = Meta{Namespace: "shop", Name: "web"}, KindNetworkPolicy, TierDefault
			want.Log, want.Lax, want.Providers = tc.want.Log, tc.want.Lax, tc.want.Providers
			if diff := cmp.Diff(want, got, compareNetip); diff != "" {
				t.Error(diff)
			}
			matchProblems(t, problems, tc.problems, false)
		})
	}
	for _, text := range []string{"/", "shop/", "a/b/c", "A/b", ",", "net1.shop.ovn"} {
		o := networkPolicy(t, "{}")
		o.Annotations = map[string]string{annotations.PolicyFor: text}
		if p, problems := NetworkPolicyFrom(o); len(problems) == 0 || Fatal(problems) || len(p.Providers) > 0 { // of all NICs
			t.Errorf("%q: got %v", text, problems)
		}
	}
}

func matchProblems(t *testing.T, got []Problem, want []string, fatal bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %q", got, want)
	}
	for i, p := range got {
		if !strings.HasPrefix(p.Error(), want[i]) || p.Fatal != fatal || p.Reason != ReasonPolicyInvalid {
			t.Errorf("got %+v, want %s", p, want[i])
		}
	}
}

func TestSelectorText(t *testing.T) {
	expression := func(key string, op metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: values}
	}
	for want, selectors := range map[string][]metav1.LabelSelector{
		"": {{}, {MatchLabels: map[string]string{}}},
		"a=1,b=2": {
			{MatchLabels: map[string]string{"b": "2", "a": "1"}},
			{MatchLabels: map[string]string{"a": "1"}, MatchExpressions: []metav1.LabelSelectorRequirement{expression("b", "In", "2"), expression("a", "In", "1", "1")}},
		},
		"a in (1,2)":    {{MatchExpressions: []metav1.LabelSelectorRequirement{expression("a", "In", "2", "1")}}},
		"a!=1,a!=2":     {{MatchExpressions: []metav1.LabelSelectorRequirement{expression("a", "NotIn", "2"), expression("a", "NotIn", "1")}}},
		"a notin (1,2)": {{MatchExpressions: []metav1.LabelSelectorRequirement{expression("a", "NotIn", "2", "1", "2")}}},
		"!b,a":          {{MatchExpressions: []metav1.LabelSelectorRequirement{expression("b", "DoesNotExist"), expression("a", "Exists")}}},
		"a=":            {{MatchLabels: map[string]string{"a": ""}}},
	} {
		for _, s := range selectors {
			got, err := selectorText(&s)
			if err != nil || got != want {
				t.Errorf("%+v: got %q, %v; want %q", s, got, err, want)
			}
			if _, err := labels.Parse(got); err != nil {
				t.Errorf("%q: %v", got, err)
			}
		}
	}
	if _, err := selectorText(nil); err == nil {
		t.Error("a missing selector selects something")
	}
}

func TestNamedPortsOfPods(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	port := func(name string, number int32, protocol corev1.Protocol) corev1.Container {
		return corev1.Container{Ports: []corev1.ContainerPort{{Name: name, ContainerPort: number, Protocol: protocol}}}
	}
	o := podObject(nil)
	o.Labels = map[string]string{"app": "db"}
	o.Spec.Containers = []corev1.Container{port("http", 8080, ""), port("", 9, ""), port("dns", 53, "UDP"), port("http", 8080, "TCP"), port("x", 70000, "TCP"), port("y", 1, "ICMP")}
	o.Spec.InitContainers = []corev1.Container{port("early", 1, "TCP"), port("side", 99, "SCTP")}
	o.Spec.InitContainers[1].RestartPolicy = &always
	want := []PolicyPort{{SCTP, 99, 99, "side"}, {TCP, 8080, 8080, "http"}, {UDP, 53, 53, "dns"}}
	if got, _ := PodFrom(o); cmp.Diff(want, got.Ports) != "" || got.Labels["app"] != "db" {
		t.Errorf("%s\n%v", cmp.Diff(want, got.Ports), got.Labels)
	}
	done, host := o.DeepCopy(), o.DeepCopy()
	done.Status.Phase, host.Spec.HostNetwork = corev1.PodSucceeded, true
	for _, o := range []*corev1.Pod{done, host} {
		if got, _ := PodFrom(o); got.Ports != nil || got.Labels != nil {
			t.Errorf("got %v, %v", got.Ports, got.Labels)
		}
	}
}

// FuzzNetworkPolicy: whatever is written, what comes out is in order, and never more than it says.
func FuzzNetworkPolicy(f *testing.F) {
	f.Add("10.0.0.0/8", "10.1.0.0/16", "http", int32(80), int32(90), "ovn,a/b", "lax", "allow,drop", "5")
	f.Add("fd00::/64", "fd00::/96", "", int32(0), int32(0), "a/b/c", "", "pass", "-1")
	f.Fuzz(func(t *testing.T, cidr, except, port string, number, end int32, policyFor, enforcement, actions, rate string) {
		name, value := intstr.FromString(port), intstr.FromInt32(number)
		o := networkPolicy(t, "{}")
		o.Annotations = map[string]string{
			annotations.PolicyFor: policyFor, annotations.PolicyEnforcement: enforcement, annotations.EnableLog: "true",
			annotations.LogACLActions: actions, annotations.ACLLogMeterRate: rate,
		}
		o.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: []string{except, except}}}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: &name}, {Port: &value, EndPort: &end}, {Port: &value}},
		}}
		got, problems := NetworkPolicyFrom(o)
		if Fatal(problems) || got.Log.Rate < 0 || len(got.Ingress.Rules) != 1 {
			t.Fatalf("%+v, %v", got, problems)
		}
		rule := got.Ingress.Rules[0]
		if rule.Everyone || len(rule.Blocks) > 0 && rule.Ports == nil {
			t.Fatalf("more than what is written: %+v", rule)
		}
		for _, b := range rule.Blocks {
			for _, e := range b.Except {
				if b.CIDR != b.CIDR.Masked() || e != e.Masked() || !b.CIDR.Contains(e.Addr()) || e.Bits() <= b.CIDR.Bits() {
					t.Fatalf("%+v", b)
				}
			}
		}
		for _, p := range rule.Ports {
			if p.Last < p.First || p.Name == "" && p.First == 0 {
				t.Fatalf("%+v", p)
			}
		}
	})
}
