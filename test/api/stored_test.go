// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// Objects that are older than the schema's rules may violate them. They can be edited while the violation does not
// change, and they can be corrected.
func TestStoredObjectsStayEditable(t *testing.T) {
	s := Start(t)
	strict := s.installWithoutRules(t)
	c := s.Client(Admin)
	for name, spec := range map[string]string{
		"several": `cidrBlock: 10.0.0.0/16, gateway: 10.1.0.1, natOutgoing: true, externalEgressGateway: 192.168.0.1`,
		"one":     `cidrBlock: 10.0.0.0/16, gateway: nonsense, gatewayType: central, mtu: 20, excludeIps: [x], policyRoutingTableID: 7`,
		"vpc":     `cidrBlock: 10.0.0.0/16, vpc: vpc`,
		"ipv6":    `cidrBlock: "FD00::/64", mtu: 1000`,
		"rules":   `cidrBlock: 10.0.0.0/16, acls: [{action: drop, priority: 1300}]`,
	} {
		Eventually(t, "subnet "+name+" is created", startTime, func(ctx context.Context) error {
			return client.IgnoreAlreadyExists(c.Create(ctx, object(t, networkText("Subnet", name, spec))))
		})
	}
	if err := c.Update(t.Context(), strict); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the rules hold", startTime, func(ctx context.Context) error {
		err := c.Create(ctx, object(t, networkText("Subnet", "bad", `cidrBlock: nonsense`)), client.DryRunAll)
		if !apierrors.IsInvalid(err) {
			return fmt.Errorf("error is %w", errors.Join(err, errors.New("not that it is invalid")))
		}
		return nil
	})
	patch := func(name, text string) error {
		o := &v1.Subnet{}
		o.SetName(name)
		return c.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(text)))
	}
	for _, name := range []string{"several", "one", "vpc", "ipv6", "rules"} {
		for _, edit := range []string{`{"metadata":{"labels":{"a":"b"}}}`, `{"spec":{"private":true,"namespaces":["x"]}}`} {
			if err := patch(name, edit); err != nil {
				t.Errorf("%s %s: %v", name, edit, err)
			}
		}
		subnet := &v1.Subnet{}
		subnet.SetName(name)
		if err := c.Status().Patch(t.Context(), subnet, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"v4usingIPs":3}}`))); err != nil {
			t.Errorf("%s, status: %v", name, err)
		}
	}
	for _, edit := range []struct{ name, text, want string }{
		{"several", `{"spec":{"gateway":"10.1.0.2"}}`, "spec.gateway must be inside spec.cidrBlock"},
		{"one", `{"spec":{"gateway":"more nonsense"}}`, "gateway must be an address"},
		{"rules", `{"spec":{"acls":[{"action":"drop","priority":1301}]}}`, "spec.acls[0].direction: Required value"},
		{"vpc", `{"spec":{"vpc":"other"}}`, "spec.vpc cannot be changed"},
	} {
		if err := patch(edit.name, edit.text); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), edit.want) {
			t.Errorf("%s %s: %v", edit.name, edit.text, err)
		}
	}
	for name, edit := range map[string]string{
		"several": `{"spec":{"gateway":"10.0.0.1","externalEgressGateway":""}}`,
		"one":     `{"spec":{"gateway":"10.0.0.1","gatewayType":"","mtu":0,"excludeIps":null}}`,
		"ipv6":    `{"spec":{"cidrBlock":"fd00::/64","mtu":1280}}`,
		"rules":   `{"spec":{"acls":[{"action":"drop","priority":1300,"direction":"to-lport","match":"tcp"}]}}`,
	} {
		if err := patch(name, edit); err != nil {
			t.Errorf("%s cannot be corrected: %v", name, err)
		}
	}
}

// installWithoutRules installs the CRD of Subnet without rules, and returns the complete CRD.
func (s *Server) installWithoutRules(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	root, err := sandbox.FindSource()
	if err != nil {
		t.Fatal(err)
	}
	strict := decode(t, filepath.Join(root, "config/crd/kubeovn.io_subnets.yaml"))[0]
	lax := strict.DeepCopy()
	versions, _, err := unstructured.NestedSlice(lax.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	version, ok := versions[0].(map[string]any)
	if !ok {
		t.Fatalf("version is %v", versions[0])
	}
	version["schema"] = map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
	if err := unstructured.SetNestedSlice(lax.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	c := s.Client(Admin)
	if err := c.Create(t.Context(), lax); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(lax), lax); err != nil {
		t.Fatal(err)
	}
	strict.SetResourceVersion("")
	Eventually(t, "subnets are served", startTime, func(ctx context.Context) error {
		return c.List(ctx, &v1.SubnetList{})
	})
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(lax), lax); err != nil {
		t.Fatal(err)
	}
	strict.SetResourceVersion(lax.GetResourceVersion())
	return strict
}

// The NAT rules in the status of a Subnet follow those in its spec.
func TestNATRulesInStatus(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	b.start(t)
	ready(t, b.client)
	subnet := &v1.Subnet{}
	subnet.SetName("red")
	if err := b.client.Create(t.Context(), object(t, networkText("Subnet", "red", `cidrBlock: 10.20.0.0/24, natOutgoing: true, natOutgoingPolicyRules: [
		{match: {srcIPs: 10.20.0.0/28}, action: forward}, {match: {srcIPs: 10.20.0.0/28, dstIPs: "fd00::/64"}, action: nat}, {match: {dstIPs: 192.168.0.0/16}, action: nat}]`))); err != nil {
		t.Fatal(err)
	}
	awaitRules := func(what string, actions ...v1.NATAction) {
		t.Helper()
		Eventually(t, what, startTime, func(ctx context.Context) error {
			if err := b.client.Get(ctx, client.ObjectKeyFromObject(subnet), subnet); err != nil {
				return err
			}
			rules := subnet.Status.NatOutgoingPolicyRules
			for i := range rules {
				if i >= len(actions) || rules[i].Action != actions[i] || len(rules[i].RuleID) != 12 {
					return fmt.Errorf("rules are %+v", rules)
				}
			}
			if len(rules) != len(actions) {
				return fmt.Errorf("rules are %+v", rules)
			}
			return nil
		})
	}
	patch := func(spec string) {
		t.Helper()
		if err := b.client.Patch(t.Context(), subnet, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
			t.Fatal(err)
		}
	}
	awaitRules("two rules are in force", v1.NATActionForward, v1.NATActionNAT)
	patch(`{"natOutgoingPolicyRules":[{"match":{"dstIPs":"192.168.0.0/16"},"action":"nat"}]}`)
	awaitRules("one is left", v1.NATActionNAT)
	patch(`{"natOutgoing":false}`)
	awaitRules("without natOutgoing there is none")
}
