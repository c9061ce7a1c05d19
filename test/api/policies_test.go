package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

// adminPolicyCRD is as much of a definition as a kind of version v1alpha1 needs here;
// later releases of network-policy-api have the types, but not the definitions.
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

// clusterPolicyCRD is the definition in the module that the types are from.
func clusterPolicyCRD(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, filepath.Join(string(bytes.TrimSpace(dir)), "config/crd/experimental/policy.networking.k8s.io_clusternetworkpolicies.yaml"))[0]
}

// policies are a policy of each kind, and what is to be known of it.
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

// TestPolicies: those that are there at the start are known before anything is written,
// and the optional kinds may come, go and come again.
func TestPolicies(t *testing.T) {
	s := Start(t)
	s.Install()
	c := s.Client(Admin)
	create := func(o client.Object) {
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

// testPolicyProblems: what the API server lets pass and cannot be understood is told as an event of the policy.
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
