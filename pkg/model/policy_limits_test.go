// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

func TestElements(t *testing.T) {
	tcp := func(first, last uint16) PolicyPort { return PolicyPort{Protocol: TCP, First: first, Last: last} }
	for _, tc := range []struct {
		name  string
		size  MatchSize
		ports []PolicyPort
		want  int
	}{
		{"no peers", MatchSize{}, []PolicyPort{tcp(80, 80)}, 0},
		{"addresses", MatchSize{V4: 3, V6: 2}, nil, 5},
		{"addresses and a port", MatchSize{V4: 3}, []PolicyPort{tcp(80, 80)}, 4},
		{"families and protocols multiply", MatchSize{V4: 3, V6: 2}, []PolicyPort{tcp(80, 80), {Protocol: UDP, First: 53, Last: 53}}, 14},
		{"everyone", MatchSize{Everyone: true}, []PolicyPort{tcp(80, 80)}, 2},
		{"a range is a few masks", MatchSize{Everyone: true}, []PolicyPort{tcp(1, 65535)}, 17},
		{"a protocol alone", MatchSize{V6: 1}, []PolicyPort{{Protocol: SCTP}}, 2},
		{"names do not count", MatchSize{V6: 1}, []PolicyPort{{Protocol: TCP, Name: "http"}}, 0},
	} {
		if got := tc.size.Elements(tc.ports); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// A policy that exceeds the limit isolates, and the rules from the first one that is too much allow nothing.
func TestPolicyLimit(t *testing.T) {
	const spec = `
policyTypes: [Ingress, Egress]
ingress:
- from: [{ipBlock: {cidr: 10.0.0.0/8}}]
- from: [{ipBlock: {cidr: "fd00::/8", except: ["fd00::1/128", "fd00::2/128"]}}]
egress:
- to: [{ipBlock: {cidr: 10.0.0.0/8}}]
- to: [{podSelector: {}}]
  ports: [{port: http}]
`
	for _, tc := range []struct {
		limit   int
		allowed int
		field   string
	}{
		{0, 4, ""}, {1000, 4, ""}, {48, 4, ""}, {47, 3, "spec.egress[1]"}, {4, 2, "spec.egress[0]"}, {3, 1, "spec.ingress[1]"}, {1, 1, "spec.ingress[1]"},
	} {
		p, problems := Limits{PolicyElements: tc.limit}.NetworkPolicy(networkPolicy(t, spec))
		allowed := 0
		for _, r := range append(p.Ingress.Rules, p.Egress.Rules...) {
			if len(r.Groups)+len(r.Blocks) > 0 {
				allowed++
			}
		}
		if allowed != tc.allowed || !p.Ingress.Isolated || !p.Egress.Isolated {
			t.Errorf("limit %d: %d rules allow", tc.limit, allowed)
		}
		switch {
		case tc.field == "" && len(problems) > 0, tc.field != "" && len(problems) != 1:
			t.Errorf("limit %d: problems %v", tc.limit, problems)
		case tc.field != "":
			if got := problems[0]; got.Field != tc.field || got.Reason != ReasonPolicyTooLarge || got.Fatal || !strings.Contains(got.Message, "are allowed") {
				t.Errorf("limit %d: %v", tc.limit, got)
			}
		}
	}
}

// What is left out costs nothing any longer: no selectors, which pods would be compared with.
func TestTooLargePolicySelectsOnlyItsSubject(t *testing.T) {
	var spec strings.Builder
	spec.WriteString("ingress: [{from: [")
	for range 100 {
		spec.WriteString("{namespaceSelector: {matchLabels: {a: b" + strings.Repeat("x", spec.Len()%50) + "}}},")
	}
	spec.WriteString("]}]")
	p, problems := Limits{PolicyElements: 100}.NetworkPolicy(networkPolicy(t, spec.String()))
	if n := len(p.Selections()); n != 1 || len(problems) != 1 {
		t.Errorf("%d selections, problems %v", n, problems)
	}
}

// Lists in annotations have a bound: what exceeds it is ignored and reported.
func TestListsInAnnotationsAreBounded(t *testing.T) {
	names := make([]string, maxSubnetsOfNamespace+1)
	for i := range names {
		names[i] = "s"
	}
	n, problems := NamespaceFrom(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotations.LogicalSwitch: strings.Join(names, ",")}}})
	if len(n.LogicalSwitches) != maxSubnetsOfNamespace || len(problems) != 1 {
		t.Errorf("%d Subnets, problems %v", len(n.LogicalSwitches), problems)
	}
	vips := make([]string, 0, maxPortVIPs+10)
	for i := range maxPortVIPs + 10 {
		vips = append(vips, numberedAddr(i%2 == 0, i).String())
	}
	pod, problems := PodFrom(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		DefaultProvider.Key(annotations.SuffixPortVIPs): strings.Join(vips, ","),
	}}})
	if len(pod.NICs[0].Security.VIPs) != maxPortVIPs || len(problems) != 1 || Fatal(problems) {
		t.Errorf("%d addresses, problems %v", len(pod.NICs[0].Security.VIPs), problems)
	}
}
