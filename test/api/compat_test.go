// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// securityGroups is a definition of Kube-OVN that is still in the cluster.
const securityGroups = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: security-groups.kubeovn.io}
spec:
  group: kubeovn.io
  scope: Cluster
  names: {plural: security-groups, singular: security-group, kind: SecurityGroup, listKind: SecurityGroupList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// TestNothingIsIgnoredInSilence: objects that set what has no effect get an event and, if their kind has conditions, a
// condition; also when it is set by an update, and after a restart of the controller. They work otherwise.
func TestNothingIsIgnoredInSilence(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	c := b.start(t)
	ready(t, b.client)
	b.create(t, object(t, securityGroups))
	for _, text := range []string{
		networkText("Vpc", "routed", `staticRoutes: [{cidr: 0.0.0.0/0, nextHopIP: 10.25.0.1}], vpcPeerings: [{remoteVpc: a, localConnectIP: 169.254.0.1/30}]`),
		networkText("Subnet", "blue", `cidrBlock: 10.25.0.0/24`),
		networkText("Vlan", "v1", `id: 5, provider: physical`),
		networkText("ProviderNetwork", "physical", `defaultInterface: eth1`),
		networkText("SecurityGroup", "group", `tier: 0`),
		podText("limited", `ovn.kubernetes.io/ingress_rate: "3"`),
	} {
		o := object(t, text)
		Eventually(t, text+" is created", startTime, func(ctx context.Context) error {
			err := b.client.Create(ctx, o)
			if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
				b.client = b.server.Client(Admin) // a new client discovers the new kind
			}
			return err
		})
	}
	awaitConditions(t, b, "Subnet", "blue", "Ready=True")
	patch := func(kind, name, spec string) {
		t.Helper()
		o := networkObject(kind, name)
		if err := b.client.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+spec+`}`))); err != nil {
			t.Fatal(err)
		}
	}
	patch("Subnet", "blue", `{"routeTable":"red","enableMulticastSnoop":true}`)
	awaitEvent(t, b, "Vpc", "routed", "spec.staticRoutes: it is not supported yet")
	awaitEvent(t, b, "Vpc", "routed", "spec.vpcPeerings: it is not supported yet")
	awaitEvent(t, b, "Subnet", "blue", "spec.routeTable: it is not supported yet")
	awaitEvent(t, b, "Subnet", "blue", "spec.enableMulticastSnoop: it is not supported yet")
	awaitEvent(t, b, "Vlan", "v1", "objects of kind Vlan are not supported yet")
	awaitEvent(t, b, "ProviderNetwork", "physical", "objects of kind ProviderNetwork are not supported yet")
	awaitEvent(t, b, "SecurityGroup", "group", "objects of kind SecurityGroup are not supported yet")
	awaitEvent(t, b, "Pod", "limited", "metadata.annotations[ovn.kubernetes.io/ingress_rate]: it is not supported yet")
	awaitConditions(t, b, "Vpc", "routed", "Ready=True", "Validated=True", "Supported=False: spec.staticRoutes")
	awaitConditions(t, b, "Subnet", "blue", "Ready=True", "Validated=True", "Supported=False: spec.enableMulticastSnoop")
	awaitConditions(t, b, "Vlan", "v1", "Ready=False: objects of kind Vlan")
	awaitConditions(t, b, "ProviderNetwork", "physical", "Ready=False: objects of kind ProviderNetwork")

	patch("Subnet", "blue", `{"routeTable":"","enableMulticastSnoop":false}`)
	awaitConditions(t, b, "Subnet", "blue", "Ready=True", "Supported=True")
	c.Kill()
	b.start(t)
	patch("Subnet", "blue", `{"nodeNetwork":"storage"}`)
	awaitConditions(t, b, "Subnet", "blue", "Ready=True", "Supported=False: spec.nodeNetwork")
	awaitConditions(t, b, "Vpc", "routed", "Ready=True", "Supported=False: spec.staticRoutes")
}

func networkObject(kind, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("kubeovn.io/v1")
	o.SetKind(kind)
	o.SetName(name)
	return o
}

func awaitEvent(t *testing.T, b *harness, kind, name, text string) {
	t.Helper()
	Eventually(t, kind+" "+name+" has an event: "+text, startTime, func(ctx context.Context) error {
		events := &corev1.EventList{}
		err := b.client.List(ctx, events)
		for i := range events.Items {
			e := &events.Items[i]
			if e.InvolvedObject.Kind == kind && e.InvolvedObject.Name == name && e.Reason == "NotSupported" && strings.Contains(e.Message, text) {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("none of %d events", len(events.Items)))
	})
}

// awaitConditions waits for conditions "Type=Status" or "Type=Status: beginning of the message".
func awaitConditions(t *testing.T, b *harness, kind, name string, want ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%s %s has the conditions %q", kind, name, want), startTime, func(ctx context.Context) error {
		o := networkObject(kind, name)
		if err := b.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
		have := ""
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok {
				message, _ := c["message"].(string)
				have += fmt.Sprintf("\n%s=%s: %s", c["type"], c["status"], message)
			}
		}
		for _, text := range want {
			if !strings.Contains(have, "\n"+text) {
				return errors.Join(err, fmt.Errorf("conditions are %s", have))
			}
		}
		return err
	})
}
