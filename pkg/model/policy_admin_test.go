// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/wovensdn/woven/api/annotations"
)

// adminFrom reads a policy of any of the kinds for administrators from the YAML of its spec.
func adminFrom(t testing.TB, kind Kind, spec string, ann map[string]string) (Policy, []Problem) {
	t.Helper()
	read := func(into any) {
		if err := yaml.UnmarshalStrict([]byte(spec), into); err != nil {
			t.Fatal(err)
		}
	}
	meta := metav1.ObjectMeta{Name: "default", Annotations: ann}
	switch kind {
	case KindAdminNetworkPolicy:
		o := &v1alpha1.AdminNetworkPolicy{ObjectMeta: meta}
		read(&o.Spec)
		return AdminNetworkPolicyFrom(o)
	case KindBaselineAdminNetworkPolicy:
		o := &v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: meta}
		read(&o.Spec)
		return BaselineAdminNetworkPolicyFrom(o)
	default:
		o := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: meta}
		read(&o.Spec)
		return ClusterNetworkPolicyFrom(o)
	}
}

// everyPeer is said alike in all kinds.
const (
	everyPeer = `
- namespaces: {}
- namespaces: {matchLabels: {team: a}}
- pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: db}}}
- pods: {namespaceSelector: {}, podSelector: {}}
`
	outerPeers = `
- nodes: {}
- nodes: {matchLabels: {zone: b}}
- networks: [10.0.0.7/8, 'fd00::/8']
- networks: [10.0.0.0/8]
`
)

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

var (
	everyGroup = []Group{{}, {Pods: "app=db", Namespaces: "team=a"}, {Namespaces: "team=a"}}
	// adminPorts are what both ways to write them mean.
	adminPorts = []PolicyPort{
		{SCTP, 0, 0, "web"}, {SCTP, 5, 5, ""}, {TCP, 0, 0, "web"}, {TCP, 80, 80, ""}, {TCP, 90, 99, ""}, {UDP, 0, 0, "web"}, {UDP, 53, 53, ""},
	}
)

func TestAdminPolicies(t *testing.T) {
	groups := sorted(append([]Group(nil), everyGroup...), func(a, b Group) int { return strings.Compare(a.Key(), b.Key()) })
	ports := append([]PolicyPort(nil), adminPorts...)
	ports = sorted(ports, comparePolicyPorts)
	ingress := []PolicyRule{
		{Name: "in", Action: PolicyAllow, Groups: groups, Ports: ports},
		{Action: PolicyDeny, Groups: []Group{{}}},
	}
	egress := []PolicyRule{{
		Name: "out", Action: PolicyDeny, Groups: groups, Nodes: []string{"", "zone=b"},
		Blocks: []IPBlock{block("10.0.0.0/8"), block("fd00::/8")},
	}}
	passing := PolicyRule{Action: PolicyPass, Groups: []Group{{}}}
	rules := func(allow, portsText string) string {
		return "ingress:\n- name: in\n  action: " + allow + "\n  from:" + indent(everyPeer) + "\n  " + portsText + "\n- {action: Deny, from: [{namespaces: {}}]}\n" +
			"egress:\n- name: out\n  action: Deny\n  to:" + indent(everyPeer+outerPeers[1:]) + "\n"
	}
	old := "ports: [{portNumber: {port: 80}}, {portNumber: {port: 53, protocol: UDP}}, {portRange: {start: 90, end: 99}}, {portRange: {start: 5, end: 5, protocol: SCTP}}, {namedPort: web}]"
	modern := "protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {range: {start: 90, end: 99}}}}, {sctp: {destinationPort: {number: 5}}}, {destinationNamedPort: web}]"
	pass := "- {action: Pass, to: [{namespaces: {}}]}\n"
	subject := Group{Namespaces: "team=a"}
	for name, tc := range map[string]struct {
		kind Kind
		spec string
		want Policy
	}{
		"AdminNetworkPolicy": {
			KindAdminNetworkPolicy, "priority: 7\nsubject: {namespaces: {matchLabels: {team: a}}}\n" + rules("Allow", old) + pass,
			Policy{Tier: TierAdmin, Priority: 7, Subject: subject, Ingress: PolicySide{Rules: ingress}, Egress: PolicySide{Rules: append(egress[:1:1], passing)}},
		},
		"BaselineAdminNetworkPolicy": {
			KindBaselineAdminNetworkPolicy, "subject: {namespaces: {matchLabels: {team: a}}}\n" + rules("Allow", old),
			Policy{Tier: TierBaseline, Priority: LowestPolicyPriority, Subject: subject, Ingress: PolicySide{Rules: ingress}, Egress: PolicySide{Rules: egress}},
		},
		"ClusterNetworkPolicy": {
			KindClusterNetworkPolicy, "tier: Admin\npriority: 1000\nsubject: {namespaces: {matchLabels: {team: a}}}\n" + rules("Accept", modern) + pass,
			Policy{Tier: TierAdmin, Priority: 1000, Subject: subject, Ingress: PolicySide{Rules: ingress}, Egress: PolicySide{Rules: append(egress[:1:1], passing)}},
		},
		"ClusterNetworkPolicy, baseline": {
			KindClusterNetworkPolicy, "tier: Baseline\npriority: 0\nsubject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}\n",
			Policy{Tier: TierBaseline, Subject: Group{Pods: "app=db"}},
		},
		"all pods": {
			KindAdminNetworkPolicy, "priority: 0\nsubject: {namespaces: {}}\n",
			Policy{Tier: TierAdmin},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := adminFrom(t, tc.kind, tc.spec, nil)
			tc.want.Meta, tc.want.Kind = Meta{Name: "default"}, tc.kind
			if diff := cmp.Diff(tc.want, got, compareNetip); diff != "" || len(problems) > 0 {
				t.Error(diff, problems)
			}
		})
	}
}

// TestAdminPoliciesThatAreWrong: a policy of which a part is wrong is wrong as a whole.
func TestAdminPoliciesThatAreWrong(t *testing.T) {
	const anp, banp, cnp = KindAdminNetworkPolicy, KindBaselineAdminNetworkPolicy, KindClusterNetworkPolicy
	rule := func(text string) string { return "{subject: {namespaces: {}}, ingress: [" + text + "]}" }
	out := func(text string) string { return "{subject: {namespaces: {}}, egress: [" + text + "]}" }
	cluster := func(text string) string {
		return "{tier: Admin, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [" + text + "]}]}"
	}
	ports := func(text string) string {
		return rule("{action: Allow, from: [{namespaces: {}}], ports: [" + text + "]}")
	}
	for _, tc := range []struct {
		kind       Kind
		spec, want string
	}{
		{anp, "{priority: 1001, subject: {namespaces: {}}}", "spec.priority: 1001 is not between 0 and 1000"},
		{cnp, "{tier: Admin, priority: -1, subject: {namespaces: {}}}", "spec.priority: -1 is not"},
		{cnp, "{tier: Default, subject: {namespaces: {}}}", `spec.tier: "Default" is neither`},
		{anp, "{}", "spec.subject: it has no known subject"},
		{anp, "{subject: {namespaces: {}, pods: {}}}", "spec.subject: it has 2 kinds"},
		{cnp, "{tier: Admin, subject: {pods: {podSelector: {matchExpressions: [{key: a, operator: Is}]}}}}", "spec.subject.pods.podSelector: it is not a label selector"},
		{anp, rule("{action: Log, from: [{namespaces: {}}]}"), `spec.ingress[0].action: "Log" is not known`},
		{banp, rule("{action: Pass, from: [{namespaces: {}}]}"), "spec.ingress[0].action: there is no later tier to pass to"},
		{anp, rule("{action: Deny, from: []}"), "spec.ingress[0]: it has no peers"},
		{anp, rule("{action: Deny, from: [{namespaces: {matchLabels: {a: '-'}}}]}"), "spec.ingress[0].from[0].namespaces: it is not a label selector"},
		{anp, rule("{action: Deny, from: [{namespaces: {}, pods: {}}]}"), "spec.ingress[0].from[0]: it has 2 kinds of peers"},
		{anp, out("{action: Deny, to: [{nodes: {matchLabels: {a: '-'}}}]}"), "spec.egress[0].to[0].nodes: it is not a label selector"},
		{banp, out("{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0]}]}"), `spec.egress[0].to[0].networks[1]: "10.0.0.0" is not a CIDR`},
		{anp, out("{action: Deny, to: [{domainNames: [example.org]}]}"), "spec.egress[0].to[0].domainNames: only rules with the action Allow"},
		{anp, ports(""), "spec.ingress[0].ports: the list is empty"},
		{anp, ports("{}"), "spec.ingress[0].ports[0]: exactly one of portNumber"},
		{anp, ports("{portNumber: {port: 80}, namedPort: web}"), "spec.ingress[0].ports[0]: exactly one of portNumber"},
		{anp, ports("{portNumber: {port: 0}}"), "spec.ingress[0].ports[0]: port 0"},
		{anp, ports("{portNumber: {port: 80, protocol: ICMP}}"), `spec.ingress[0].ports[0]: protocol "ICMP"`},
		{anp, ports("{portRange: {start: 90, end: 80}}"), "spec.ingress[0].ports[0]: it ends at port 80"},
		{cnp, cluster("{}"), "spec.ingress[0].protocols[0]: exactly one of tcp"},
		{cnp, cluster("{tcp: {}}"), "spec.ingress[0].protocols[0]: destinationPort is missing"},
		{cnp, cluster("{udp: {destinationPort: {}}}"), "spec.ingress[0].protocols[0]: exactly one of number and range"},
		{cnp, cluster("{sctp: {destinationPort: {number: 8, range: {start: 1, end: 2}}}}"), "spec.ingress[0].protocols[0]: exactly one of number and range"},
		{cnp, cluster("{tcp: {destinationPort: {range: {start: 0, end: 0}}}}"), "spec.ingress[0].protocols[0]: port 0"},
	} {
		_, problems := adminFrom(t, tc.kind, tc.spec, nil)
		if !Fatal(problems) || !strings.HasPrefix(problems[0].Error(), tc.want) || problems[0].Reason != ReasonPolicyInvalid {
			t.Errorf("%s %s:\ngot  %v\nwant %s", tc.kind, tc.spec, problems, tc.want)
		}
	}
	o := &v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
	o.Spec.Subject.Namespaces = &metav1.LabelSelector{}
	if _, problems := BaselineAdminNetworkPolicyFrom(o); len(problems) != 1 || !problems[0].Fatal || problems[0].Field != "metadata.name" {
		t.Error(problems)
	}
}

// TestAdminRulesFailClosed: a peer of a kind that is not known here closes its rule, as
// the API demands; a peer by domain names, which is known but not supported, is left out.
func TestAdminRulesFailClosed(t *testing.T) {
	for _, tc := range []struct {
		rule, problem string
		want          PolicyRule
	}{
		{
			"{name: x, action: Allow, to: [{namespaces: {}}, {}], ports: [{portNumber: {port: 80}}]}", "spec.egress[0].to[1]: it has no known peer; the rule matches nothing",
			PolicyRule{Name: "x", Action: PolicyAllow},
		},
		{
			"{name: x, action: Deny, to: [{}, {nodes: {}}], ports: [{portNumber: {port: 80}}]}", "spec.egress[0].to[0]: it has no known peer; the rule denies everything",
			PolicyRule{Name: "x", Action: PolicyDeny, Everyone: true},
		},
		{
			"{action: Pass, to: [{networks: []}]}", "spec.egress[0].to[0]: it has no known peer; the rule denies everything",
			PolicyRule{Action: PolicyDeny, Everyone: true},
		},
		{
			"{action: Allow, to: [{domainNames: [example.org]}, {namespaces: {}}]}", "spec.egress[0].to[0].domainNames: domain names are not supported; this peer matches nothing",
			PolicyRule{Action: PolicyAllow, Groups: []Group{{}}},
		},
		{
			"{action: Allow, to: [{domainNames: [example.org]}]}", "spec.egress[0].to[0].domainNames: domain names are not supported",
			PolicyRule{Action: PolicyAllow},
		},
	} {
		got, problems := adminFrom(t, KindAdminNetworkPolicy, "{subject: {namespaces: {}}, egress: ["+tc.rule+"]}", nil)
		if diff := cmp.Diff([]PolicyRule{tc.want}, got.Egress.Rules, compareNetip); diff != "" {
			t.Errorf("%s: %s", tc.rule, diff)
		}
		matchProblems(t, problems, []string{tc.problem}, false)
	}
}

func TestAdminPolicyAnnotations(t *testing.T) {
	all := map[string]string{annotations.LogACLActions: "pass,drop", annotations.ACLLogMeterRate: "9", annotations.PolicyFor: "net/a", annotations.PolicyEnforcement: "lax"}
	for _, kind := range PolicyKinds()[1:] {
		tier := ""
		if kind == KindClusterNetworkPolicy {
			tier = "tier: Admin, "
		}
		spec := "{" + tier + "subject: {namespaces: {}}}"
		got, problems := adminFrom(t, kind, spec, all)
		if got.Log != (PolicyLog{Deny: true, Pass: true, Rate: 9}) || got.Providers != nil || got.Lax || len(problems) > 0 {
			t.Errorf("%s: %+v, %v", kind, got, problems)
		}
		if got, _ := adminFrom(t, kind, spec, map[string]string{annotations.EnableLog: "true"}); got.Log != (PolicyLog{}) {
			t.Errorf("%s logs without actions: %+v", kind, got.Log)
		}
		if got.Ref() != (Ref{Kind: kind, Name: "default"}) {
			t.Errorf("it is %s", got.Ref())
		}
	}
}

func TestActionsThatAlternateTooOften(t *testing.T) {
	o := &v1alpha2.ClusterNetworkPolicy{}
	o.Name, o.Spec.Tier = "p", v1alpha2.AdminTier
	o.Spec.Subject.Namespaces = &metav1.LabelSelector{}
	peers := []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}}
	for i := range 2 * PolicyLevels {
		action := v1alpha2.ClusterNetworkPolicyRuleActionAccept
		if i/2%2 == 1 {
			action = v1alpha2.ClusterNetworkPolicyRuleActionDeny
		}
		o.Spec.Ingress = append(o.Spec.Ingress, v1alpha2.ClusterNetworkPolicyIngressRule{Action: action, From: peers})
	}
	if _, problems := ClusterNetworkPolicyFrom(o); len(problems) != 0 {
		t.Errorf("%d levels: %v", PolicyLevels, problems)
	}
	o.Spec.Ingress = append(o.Spec.Ingress, v1alpha2.ClusterNetworkPolicyIngressRule{Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept, From: peers})
	if _, problems := ClusterNetworkPolicyFrom(o); !Fatal(problems) || problems[0].Field != "spec.ingress" {
		t.Errorf("one more: %v", problems)
	}
}
