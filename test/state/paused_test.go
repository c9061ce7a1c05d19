// SPDX-License-Identifier: Apache-2.0

package state

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/test/nbtest"
)

// invalidate makes an object invalid, as its projection does. It is not stored: a restart does not see it.
func (b *harness) invalidate(r model.Ref) {
	b.t.Helper()
	delete(b.objects, r)
	if err := b.core.Apply(engine.Change{Ref: r, Problems: []model.Problem{{Reason: "Invalid", Message: "it is invalid", Fatal: true}}}); err != nil {
		b.t.Fatal(err)
	}
}

// parsedPod is a pod as the controller reads it.
func parsedPod(name string, annotations map[string]string) (*model.Pod, []model.Problem) {
	p, problems := model.PodFrom(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "pod-default-x", Annotations: annotations},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	})
	return &p, problems
}

// What a tenant creates, changes and deletes is never an occasion to compare the whole database, whatever it is.
func TestTenantsCauseNoFullComparison(t *testing.T) {
	b := harnessIn(t, "pods")
	b.invalidate(ref(model.KindSubnet, "", "broken"))
	b.invalidate(ref(model.KindIPPool, "", "broken"))
	b.converge()
	if b.compared != 1 {
		t.Fatalf("%d full comparisons at the start", b.compared)
	}
	for key, value := range map[string]string{
		annotations.MACAddress:    "garbage",
		annotations.IPAddress:     "garbage",
		annotations.NorthGateway:  "garbage",
		annotations.LogicalSwitch: "broken",
		annotations.IPPool:        "broken",
	} {
		r := ref(model.KindPod, "default", "x")
		p, problems := parsedPod("x", map[string]string{key: value})
		b.parsed[r] = problems
		for range 2 {
			b.set(r, p)
			b.converge()
			b.set(r, nil)
			b.converge()
		}
		delete(b.parsed, r)
		if b.compared != 1 {
			t.Errorf("%s=%s: %d full comparisons", key, value, b.compared)
		}
	}
	b.compare("afterwards")
}

// An object that was invalid at the start is compared alone when it becomes valid: its rows, and the elements that its
// facts might have explained.
func TestObjectThatWasInvalidAtTheStartIsComparedAlone(t *testing.T) {
	b := harnessIn(t, "raw ACLs")
	before := dump(b.db)
	blue, router := ref(model.KindSubnet, "", "blue"), ref(model.KindVpc, "", "ovn-cluster")
	// While they are invalid they lose rows (ACLs), and elements of sets in the rows of others.
	valid := central(changed(b.objects[blue].(*model.Subnet), func(s *model.Subnet) { s.ACLs, s.AllowEWTraffic = nil, false }), model.Gateways{})
	vpc := b.objects[router]
	delete(b.objects, blue)
	delete(b.objects, router)
	b.start()
	for _, r := range sortedRefs(b.objects) {
		b.apply(r, b.objects[r])
	}
	b.invalidate(blue)
	b.invalidate(router)
	b.core.KubeSynced()
	b.lead()
	b.converge()
	if after := dump(b.db); after != before {
		t.Errorf("rows of paused objects changed:\n%s", nbtest.Diff(before, after))
	}
	compared := b.compared
	b.set(blue, valid)
	b.converge()
	b.set(router, vpc)
	b.converge()
	if b.compared != compared {
		t.Errorf("%d further full comparisons", b.compared-compared)
	}
	b.compare("valid again")
}
