// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// policed is a healthy cluster with a policy of each kind: web-0 is the subject of a NetworkPolicy, and both pods have
// a port of the same name with different numbers.
func policed(t *testing.T) *State {
	t.Helper()
	s := healthy(t)
	for i, number := range []int32{8080, 9090} {
		s.Objects.Pods[i].Labels = map[string]string{"app": s.Objects.Pods[i].Name}
		s.Objects.Pods[i].Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", Protocol: corev1.ProtocolTCP, ContainerPort: number}}}}
	}
	http := intstr.FromString("http")
	everywhere := v1alpha1.AdminNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}}
	s.Objects.Others = append(s.Objects.Others, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web-0"}},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &http}}}},
		},
	})
	s.Objects.Others = append(s.Objects.Others, &v1alpha1.AdminNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "first"},
		Spec: v1alpha1.AdminNetworkPolicySpec{Priority: 3, Subject: everywhere, Ingress: []v1alpha1.AdminNetworkPolicyIngressRule{{
			Action: v1alpha1.AdminNetworkPolicyRuleActionPass, From: []v1alpha1.AdminNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}},
		}}},
	})
	s.Objects.Others = append(s.Objects.Others, &v1alpha1.BaselineAdminNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.BaselineAdminNetworkPolicySpec{Subject: everywhere},
	})
	s.Objects.Others = append(s.Objects.Others, &v1alpha2.ClusterNetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster"},
		Spec: v1alpha2.ClusterNetworkPolicySpec{
			Tier: v1alpha2.BaselineTier, Subject: v1alpha2.ClusterNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}},
		},
	})
	writePolicies(t, s)
	return s
}

// writePolicies fills the northbound database with the results of the compile functions for policies, and with the port
// groups of pods.
func writePolicies(t *testing.T, s *State) {
	t.Helper()
	c := comparisonOf(t, s)
	w := c.world
	var all fact.Set
	refs := []model.Ref{{Kind: model.KindPod, Namespace: "default", Name: "web-0"}, {Kind: model.KindPod, Namespace: "default", Name: "web-1"}}
	for _, kind := range model.PolicyKinds() {
		refs = append(refs, c.world.Refs(kind)...)
	}
	for _, ref := range refs {
		var result compile.Result
		w.Read(ref, func(v *world.View) { result = compile.Functions(DefaultNames)[ref.Kind](ref, v) })
		all.Members = append(all.Members, result.Members...)
		for _, row := range result.Rows {
			if ref.Kind != model.KindPod && s.NB[row.Table][row.UUID] == nil {
				addRow(t, s.NB, ref, row)
				all.Rows = append(all.Rows, row)
			}
		}
	}
	for _, row := range all.Rows {
		if row.Parent.UUID != "" {
			appendTo(s.NB, row.Parent, fact.TableOf(row.Table).ParentColumn(row.Parent.Table), row.UUID)
		}
	}
	for _, m := range all.Members {
		if m.Table == nb.PortGroupTable {
			appendTo(s.NB, m.Ref, m.Column, m.Value)
		}
	}
}

// groupOf returns the port group of a selection by its description.
func groupOf(t *testing.T, s *State, group string) *nb.PortGroup {
	t.Helper()
	for _, row := range rowsOf[nb.PortGroup](s.NB, nb.PortGroupTable) {
		if row.ExternalIDs["group"] == group {
			return row
		}
	}
	t.Fatalf("there is no port group %q", group)
	return nil
}

func TestComparePolicies(t *testing.T) {
	const subject, number = "namespace=default pods=app=web-0", "namespace=default pods=app=web-0 port=http/tcp/8080"
	tests := map[string]struct {
		harm func(*testing.T, *State)
		want func(*State) []string
	}{
		"nothing": {func(*testing.T, *State) {}, func(*State) []string { return nil }},
		"a rule is gone, one is another": {
			func(_ *testing.T, s *State) {
				for _, acl := range rowsOf[nb.ACL](s.NB, nb.ACLTable) {
					switch {
					case acl.ExternalIDs["policy"] == "NetworkPolicy/default/web" && acl.Action == nb.ACLActionDrop:
						deleteRow(s, nb.ACLTable, acl.UUID)
					case acl.Tier == 0 && acl.Action == nb.ACLActionPass && acl.ExternalIDs["policy"] == "AdminNetworkPolicy//first":
						acl.Action = nb.ACLActionDrop
					}
				}
			},
			func(s *State) []string {
				return []string{
					`nb: AdminNetworkPolicy first: NB ACL 32670 to-lport "outport == @` + everyone(s) + ` && (ip4.src == $` + everyone(s) + `_ip4 || ip6.src == $` + everyone(s) + `_ip6)": column action is drop, not pass`,
					`nb: NetworkPolicy default/web: NB ACL 2000 to-lport "outport == @` + nameOf(s, subject) + ` && ip" is missing`,
				}
			},
		},
		"too few and too many in groups": {
			func(t *testing.T, s *State) {
				groupOf(t, s, subject).Ports = nil
				g := groupOf(t, s, number)
				g.Ports = append(g.Ports, portOf(s, "web-1.default").UUID)
			},
			func(s *State) []string {
				return []string{
					"nb: NB port web-1.default is in NB Port Group " + nameOf(s, number) + " (" + number + "), which does not select it",
					"nb: pod default/web-0: NB port web-0.default is not in NB Port Group " + nameOf(s, subject) + " (" + subject + ")",
				}
			},
		},
		"a pod that is being deleted may be in a group or not; others put in what they like": {
			func(t *testing.T, s *State) {
				s.Objects.Pods[0].DeletionTimestamp = &metav1.Time{}
				g := groupOf(t, s, subject)
				g.Ports = []string{"by-hand"}
				s.NB.Add(nb.LogicalSwitchPortTable, &nb.LogicalSwitchPort{UUID: "by-hand", Name: "by-hand"})
			},
			func(*State) []string { return nil },
		},
		"a policy that is gone has left its rules": {
			func(_ *testing.T, s *State) {
				s.Objects.Others = slices.DeleteFunc(s.Objects.Others, func(o kube.Object) bool {
					_, is := o.(*v1alpha1.BaselineAdminNetworkPolicy)
					return is
				})
				for _, acl := range rowsOf[nb.ACL](s.NB, nb.ACLTable) {
					if acl.ExternalIDs["policy"] == "AdminNetworkPolicy//first" && acl.Tier == 0 {
						acl.ExternalIDs[fact.OwnerKey] = "BaselineAdminNetworkPolicy//default"
						break
					}
				}
			},
			func(s *State) []string {
				return []string{
					`nb: NB ACL 32670 to-lport "outport == @` + everyone(s) + ` && (ip4.src == $` + everyone(s) + `_ip4 || ip6.src == $` + everyone(s) + `_ip6)" is owned by BaselineAdminNetworkPolicy default, which does not exist`,
				}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := policed(t)
			test.harm(t, s)
			var found []string
			for _, d := range compared(t, s) {
				found = append(found, d.String())
			}
			if diff := cmp.Diff(test.want(s), found); diff != "" {
				t.Errorf("differences (-want +found):\n%s", diff)
			}
		})
	}
}

func everyone(s *State) string { return nameOf(s, "all") }

func nameOf(s *State, group string) string {
	for _, row := range rowsOf[nb.PortGroup](s.NB, nb.PortGroupTable) {
		if row.ExternalIDs["group"] == group {
			return row.Name
		}
	}
	return ""
}
