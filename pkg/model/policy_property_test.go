// SPDX-License-Identifier: Apache-2.0

package model

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

func anySelector(t *rapid.T, label string) metav1.LabelSelector {
	key, value := rapid.SampledFrom([]string{"a", "b", "x.io/c"}), rapid.SampledFrom([]string{"1", "2", ""})
	expression := rapid.Custom(func(t *rapid.T) metav1.LabelSelectorRequirement {
		r := metav1.LabelSelectorRequirement{
			Key:      key.Draw(t, "key"),
			Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator"),
		}
		if r.Operator == "In" || r.Operator == "NotIn" {
			r.Values = rapid.SliceOfN(value, 1, 3).Draw(t, "values")
		}
		return r
	})
	return metav1.LabelSelector{
		MatchLabels:      rapid.MapOfN(key, value, 0, 2).Draw(t, label+" labels"),
		MatchExpressions: rapid.SliceOfN(expression, 0, 3).Draw(t, label+" expressions"),
	}
}

// TestNormalSelectors: the normal form selects what the selector selects, and does not
// depend on the order in which it is written.
func TestNormalSelectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySelector(t, "s")
		text, err := selectorText(&s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := labels.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		of := labels.Set(rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "x.io/c"}), rapid.SampledFrom([]string{"1", "2", "3", ""})).Draw(t, "of"))
		if got.Matches(of) != want.Matches(of) {
			t.Fatalf("%q selects %v: %t, %q: %t", text, of, got.Matches(of), want, want.Matches(of))
		}
		other := metav1.LabelSelector{MatchLabels: s.MatchLabels, MatchExpressions: rapid.Permutation(s.MatchExpressions).Draw(t, "order")}
		if again, err := selectorText(&other); again != text || err != nil {
			t.Fatalf("%q, and in another order %q, %v", text, again, err)
		}
	})
}

// TestOrderOfPeersDoesNotMatter: a rule with its peers and ports in another order is the same rule.
func TestOrderOfPeersDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		peer := rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPeer {
			s := anySelector(t, "peer")
			return rapid.SampledFrom([]networkingv1.NetworkPolicyPeer{
				{PodSelector: &s},
				{NamespaceSelector: &s},
				{PodSelector: &s, NamespaceSelector: &s},
				{IPBlock: &networkingv1.IPBlock{CIDR: "x"}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.2.0.0/16", "10.1.0.0/16"}}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "fd00::/8"}},
			}).Draw(t, "form")
		})
		port := rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPort {
			number := rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(80), intstr.FromInt32(0), intstr.FromString("http"), intstr.FromInt32(53)}).Draw(t, "number")
			return networkingv1.NetworkPolicyPort{Port: &number}
		})
		rule := networkingv1.NetworkPolicyIngressRule{From: rapid.SliceOfN(peer, 0, 5).Draw(t, "from"), Ports: rapid.SliceOfN(port, 0, 5).Draw(t, "ports")}
		other := networkingv1.NetworkPolicyIngressRule{From: rapid.Permutation(rule.From).Draw(t, "other from"), Ports: rapid.Permutation(rule.Ports).Draw(t, "other ports")}
		read := func(r networkingv1.NetworkPolicyIngressRule) Policy {
			p, _ := NetworkPolicyFrom(&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{r}}})
			return p
		}
		if diff := cmp.Diff(read(rule), read(other), compareNetip); diff != "" {
			t.Fatal(diff)
		}
	})
}
