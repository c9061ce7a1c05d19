// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// kubeVirt is the part of KubeVirt's CRD that this test needs.
const kubeVirt = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: virtualmachines.kubevirt.io}
spec:
  group: kubevirt.io
  scope: Namespaced
  names: {plural: virtualmachines, singular: virtualmachine, kind: VirtualMachine}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// KubeVirt is installed while the controller runs. A VM keeps its address while it is stopped and over a restart of the
// controller, and its deletion releases the address.
func TestVirtualMachines(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	controller := b.start(t)
	ready(t, b.client)
	b.create(t, object(t, kubeVirt))
	vm := object(t, "{apiVersion: kubevirt.io/v1, kind: VirtualMachine, metadata: {name: db, namespace: default}}")
	Eventually(t, "VirtualMachines can be created", startTime, func(ctx context.Context) error {
		if err := b.client.Create(ctx, vm); meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			b.client = b.server.Client(Admin) // a new client discovers the new kind
			return err
		} else if err != nil {
			t.Fatal(err)
		}
		return nil
	})
	launch := func(name string) {
		yes := true
		pod := Pod("default", name, "n1")
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "kubevirt.io/v1", Kind: "VirtualMachineInstance", Name: "db", UID: "instance-of-" + vm.GetUID(), Controller: &yes}}
		b.create(t, pod)
		b.awaitAddresses(t)
	}
	stop := func(name string) {
		if err := b.client.Delete(t.Context(), Pod("default", name, ""), client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	launch("virt-launcher-db-1")
	was := b.annotation(t, "virt-launcher-db-1", annotations.IPAddress) + b.annotation(t, "virt-launcher-db-1", annotations.MACAddress)
	if got := b.annotation(t, "virt-launcher-db-1", "ovn.kubernetes.io/virtualmachine"); got != "db" {
		t.Errorf("the pod's annotation names the VM %q", got)
	}
	stop("virt-launcher-db-1")
	controller.Kill()
	b.start(t)
	b.create(t, Pod("default", "other", "n1"))
	b.awaitAddresses(t)
	launch("virt-launcher-db-2")
	if now := b.annotation(t, "virt-launcher-db-2", annotations.IPAddress) + b.annotation(t, "virt-launcher-db-2", annotations.MACAddress); now != was {
		t.Errorf("the VM has %s, it had %s", now, was)
	}
	stop("virt-launcher-db-2")
	if err := b.client.Delete(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the address is free", startTime, func(ctx context.Context) error {
		ip := &v1.IP{}
		err := b.client.Get(ctx, client.ObjectKey{Name: "db.default"}, ip)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("the record is %+v", ip.Spec))
	})
}

// Namespaces get annotations with the subnet of their pods. A namespace that describes a Subnet gets it, with the
// controller's own RBAC rules.
func TestNamespaceAnnotations(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	b.start(t)
	ready(t, b.client)
	b.create(t, object(t, `{apiVersion: v1, kind: Namespace, metadata: {name: lab, annotations: {
		ovn.kubernetes.io/logical_switch: lab, ovn.kubernetes.io/cidr: 10.44.0.0/24, ovn.kubernetes.io/gateway: 10.44.0.254}}}`))
	b.create(t, Pod("lab", "a", "n1"))
	b.awaitAddresses(t)
	has := func(namespace, key, want string) {
		t.Helper()
		Eventually(t, "namespace "+namespace+" has "+key, startTime, func(ctx context.Context) error {
			o := &corev1.Namespace{}
			if err := b.client.Get(ctx, client.ObjectKey{Name: namespace}, o); err != nil {
				return err
			}
			if got, there := o.Annotations[key]; got != want || want == "" && there {
				return fmt.Errorf("it is %q, not %q", got, want)
			}
			return nil
		})
	}
	has("lab", annotations.CIDR, "10.44.0.0/24")
	has("lab", annotations.ExcludeIPs, "10.44.0.254")
	has("default", annotations.LogicalSwitch, "ovn-default")
	pool := &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "front"}, Spec: v1.IPPoolSpec{Subnet: "lab", IPs: []string{"10.44.0.10"}, Namespaces: []string{"lab"}}}
	b.create(t, pool)
	has("lab", annotations.IPPool, "front")
	if err := b.client.Delete(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	has("lab", annotations.IPPool, "")
}
