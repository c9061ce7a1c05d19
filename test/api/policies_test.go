// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// adminPolicyCRD is the part of a v1alpha1 CRD that this test needs; later releases of network-policy-api have the
// types, but not the CRDs.
const adminPolicyCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s.policy.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/network-policy-api"}
spec:
  group: policy.networking.k8s.io
  scope: Cluster
  names: {plural: %[1]s, singular: %[2]s, kind: %[3]s}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// clusterPolicyCRD is the CRD in the module of the types.
func clusterPolicyCRD(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, filepath.Join(string(bytes.TrimSpace(dir)), "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml"))[0]
}

// policies are a policy of each kind and its expected projection.
var policies = map[model.Kind]struct {
	text string
	want func(*model.Policy) bool
}{
	model.KindNetworkPolicy: {
		"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: default, name: p}, spec: {podSelector: {matchLabels: {app: db}}}}",
		func(p *model.Policy) bool {
			return p.Tier == model.TierDefault && p.Subject.Pods == "app=db" && p.Ingress.Isolated
		},
	},
	model.KindAdminNetworkPolicy: {
		"{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: p}, spec: {priority: 5, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]}}",
		func(p *model.Policy) bool {
			return p.Tier == model.TierAdmin && p.Priority == 5 && len(p.Egress.Rules) == 1
		},
	},
	model.KindBaselineAdminNetworkPolicy: {
		"{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: {subject: {namespaces: {}}}}",
		func(p *model.Policy) bool {
			return p.Tier == model.TierBaseline && p.Priority == model.LowestPolicyPriority
		},
	},
	model.KindClusterNetworkPolicy: {
		"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Baseline, priority: 7, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}}",
		func(p *model.Policy) bool {
			return p.Tier == model.TierBaseline && p.Priority == 7 && p.Ingress.Rules[0].Ports[0].First == 80
		},
	},
}

// createLate creates an object of a kind that may not be served yet, and returns a client that knows the kind.
func createLate(t *testing.T, s *Server, c client.Client, o client.Object) client.Client {
	t.Helper()
	Eventually(t, o.GetName()+" is created", startTime, func(ctx context.Context) error {
		err := c.Create(ctx, o)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			c = s.Client(Admin) // which learns the new kind
			return err
		} else if err != nil {
			t.Fatal(err)
		}
		return nil
	})
	return c
}

// Policies that exist at the start are known before anything is written, and the optional kinds may be installed and
// removed at any time.
func TestPolicies(t *testing.T) {
	s := Start(t)
	s.Install()
	c := s.Client(Admin)
	create := func(o client.Object) {
		t.Helper()
		c = createLate(t, s, c, o)
	}
	create(clusterPolicyCRD(t))
	create(object(t, policies[model.KindClusterNetworkPolicy].text))
	create(object(t, policies[model.KindNetworkPolicy].text))

	e := startEdges(t, s)
	known := func(kind model.Kind) error {
		o := object(t, policies[kind].text)
		got, ok := e.object(kind, o.GetNamespace(), o.GetName()).(*model.Policy)
		if !ok || !policies[kind].want(got) {
			return fmt.Errorf("%s is %+v", kind, got)
		}
		return nil
	}
	if err := errors.Join(known(model.KindClusterNetworkPolicy), known(model.KindNetworkPolicy)); err != nil {
		t.Error("when all caches are synced, ", err)
	}

	admin := object(t, fmt.Sprintf(adminPolicyCRD, "adminnetworkpolicies", "adminnetworkpolicy", "AdminNetworkPolicy"))
	create(object(t, fmt.Sprintf(adminPolicyCRD, "baselineadminnetworkpolicies", "baselineadminnetworkpolicy", "BaselineAdminNetworkPolicy")))
	create(object(t, policies[model.KindBaselineAdminNetworkPolicy].text))
	Eventually(t, "the baseline is known", startTime, func(context.Context) error { return known(model.KindBaselineAdminNetworkPolicy) })
	for range 2 {
		create(admin.DeepCopy())
		create(object(t, policies[model.KindAdminNetworkPolicy].text))
		Eventually(t, "the administrator's policy is known", startTime, func(context.Context) error { return known(model.KindAdminNetworkPolicy) })
		if err := c.Delete(t.Context(), admin.DeepCopy()); err != nil {
			t.Fatal(err)
		}
		Eventually(t, "it is gone with its kind", startTime, func(ctx context.Context) error {
			if now := e.object(model.KindAdminNetworkPolicy, "", "p"); now != nil {
				return fmt.Errorf("it is %+v", now)
			}
			return gone(ctx, c, admin)
		})
	}
	for kind := range policies {
		if kind == model.KindAdminNetworkPolicy {
			continue
		}
		o := object(t, policies[kind].text)
		if err := c.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		Eventually(t, string(kind)+" is gone", startTime, func(context.Context) error {
			if now := e.object(kind, o.GetNamespace(), o.GetName()); now != nil {
				return fmt.Errorf("it is %+v", now)
			}
			return nil
		})
	}
	t.Run("problems", e.testPolicyProblems)
}

func gone(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	err := c.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy())
	if apierrors.IsNotFound(err) {
		return nil
	}
	return errors.Join(err, errors.New("it is still there"))
}

// testPolicyProblems checks that a policy that the API server accepts but that is invalid gets an event.
func (e *edges) testPolicyProblems(t *testing.T) {
	o := object(t, `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: wrong},
		spec: {tier: Admin, priority: 1, subject: {namespaces: {matchExpressions: [{key: a, operator: Is}]}}}}`)
	if err := e.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ref := model.Ref{Kind: model.KindClusterNetworkPolicy, Name: "wrong"}
	var change engine.Change
	Eventually(t, "the policy is known to be wrong", startTime, func(context.Context) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if change = e.last[ref]; !model.Fatal(change.Problems) || change.Object != nil {
			return fmt.Errorf("it is %+v", change)
		}
		return nil
	})
	e.status.Lead(true)
	e.status.Report(engine.Report{Ref: ref, Problems: change.Problems})
	want := `Warning ValidateNetworkPolicyFailed spec.subject.namespaces: it is not a label selector: "Is" is not a valid label selector operator`
	if diff := cmp.Diff(want, <-e.events.Events); diff != "" {
		t.Error(diff)
	}
}

// rulesOf lists the ACLs of a policy in the northbound database, without those that match no IP traffic.
func (b *rows) rulesOf(ref model.Ref) (out []string) {
	for _, uuid := range b.db.UUIDs(nb.ACLTable) {
		if acl, ok := b.db.Row(nb.ACLTable, uuid).(*nb.ACL); ok && acl.ExternalIDs["policy"] == ref.String() && acl.ExternalIDs["rule"] != "" {
			out = append(out, fmt.Sprintf("%d %s %s", acl.Tier, acl.ExternalIDs["rule"], acl.Action))
		}
	}
	slices.Sort(out)
	return out
}

func (b *rows) awaitRules(t *testing.T, ref model.Ref, want ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%s has %d rules", ref, len(want)), startTime, func(context.Context) error {
		if got := b.rulesOf(ref); !slices.Equal(got, want) {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

// Policies become ACLs with the controller's own RBAC rules. A policy that becomes invalid gets an event and keeps its
// ACLs. ACLs are removed with their kind.
func TestPolicyRows(t *testing.T) {
	b := &rows{harness: newHarness(t)}
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	controller := b.start(t)
	ready(t, b.client)
	b.db = b.nb.Client(t)

	b.create(t, object(t, policies[model.KindNetworkPolicy].text))
	b.awaitRules(t, model.Ref{Kind: model.KindNetworkPolicy, Namespace: "default", Name: "p"}, "1 ingress/isolation drop")

	crd, cnp := clusterPolicyCRD(t), object(t, policies[model.KindClusterNetworkPolicy].text)
	ref := model.Ref{Kind: model.KindClusterNetworkPolicy, Name: "p"}
	b.create(t, crd)
	b.client = createLate(t, b.server, b.client, cnp)
	b.awaitRules(t, ref, "2 ingress/0 allow-related")

	wrong := []byte(`{"spec": {"subject": {"namespaces": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}}`)
	if err := b.client.Patch(t.Context(), cnp, client.RawPatch(types.MergePatchType, wrong)); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the policy gets an event", startTime, func(ctx context.Context) error {
		list := &corev1.EventList{}
		if err := b.client.List(ctx, list); err != nil {
			return err
		}
		for i := range list.Items {
			if e := &list.Items[i]; e.InvolvedObject.UID == cnp.GetUID() && e.Reason == model.ReasonPolicyInvalid {
				return nil
			}
		}
		return fmt.Errorf("none of %d events is about it", len(list.Items))
	})
	b.awaitRules(t, ref, "2 ingress/0 allow-related")
	controller.Kill()
	b.start(t)
	b.create(t, object(t, strings.ReplaceAll(policies[model.KindNetworkPolicy].text, "name: p", "name: q")))
	b.awaitRules(t, model.Ref{Kind: model.KindNetworkPolicy, Namespace: "default", Name: "q"}, "1 ingress/isolation drop")
	b.awaitRules(t, ref, "2 ingress/0 allow-related") // paused, not swept
	if err := b.client.Delete(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	b.awaitRules(t, ref)
}
