// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var kubeVirt = schema.GroupVersion{Group: "kubevirt.io", Version: "v1"}

// define creates a minimal CRD of a KubeVirt kind.
func (t *test) define(kind, plural string) {
	t.Helper()
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + kubeVirt.Group},
		"spec": map[string]any{
			"group": kubeVirt.Group, "scope": "Namespaced",
			"names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{
				"name": kubeVirt.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
	t.create(crd)
	probe := &unstructured.UnstructuredList{}
	probe.SetGroupVersionKind(kubeVirt.WithKind(kind + "List"))
	t.wait(20*time.Second, kind+" is served", func(ctx context.Context) string {
		if err := t.api.List(ctx, probe); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (t *test) virtual(kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kubeVirt.WithKind(kind))
	o.SetNamespace(namespace)
	o.SetName(name)
	t.must(t.api.Create(t.Context(), o), "create %s %s", kind, name)
	return o
}

// The pods that run a KubeVirt VM, in sequence and on different nodes, have the VM's address; a stopped VM keeps it.
func TestVirtualMachine(t *testing.T) {
	te := begin(t, shared)
	te.define("VirtualMachine", "virtualmachines")
	te.define("VirtualMachineInstance", "virtualmachineinstances")
	ns := te.namespace("virtual", nil)
	te.create(te.newPod(ns, "watcher", "n1", nil))
	watcher := te.becomes(ns, "watcher", 40*time.Second)
	vm := te.virtual("VirtualMachine", ns, "db")
	launch := func(name, node string) *corev1.Pod {
		instance, yes := te.virtual("VirtualMachineInstance", ns, "db"), true
		pod := te.newPod(ns, name, node, nil)
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: kubeVirt.String(), Kind: "VirtualMachineInstance", Name: "db", UID: instance.GetUID(), Controller: &yes,
		}}
		te.create(pod)
		now := te.becomes(ns, name, 40*time.Second)
		te.asks(watcher, now, true)
		te.asks(now, watcher, true)
		return now
	}
	stop := func(pod *corev1.Pod) {
		instance := &unstructured.Unstructured{}
		instance.SetGroupVersionKind(kubeVirt.WithKind("VirtualMachineInstance"))
		instance.SetNamespace(ns)
		instance.SetName("db")
		te.must(te.api.Delete(t.Context(), instance), "stop the VM")
		te.remove(pod)
	}
	first := launch("virt-launcher-db-1", "n1")
	stop(first)
	te.consistent(10 * time.Second)
	second := launch("virt-launcher-db-2", "n2")
	if first.Status.PodIP != second.Status.PodIP {
		t.Errorf("the VM had %s and has %s", first.Status.PodIP, second.Status.PodIP)
	}
	te.say("VM db, stopped on n1 and started on n2, has %s", second.Status.PodIP)
	te.consistent(10 * time.Second)
	stop(second)
	te.must(te.api.Delete(t.Context(), vm), "delete the VM")
	te.wait(10*time.Second, "the address of the VM is free", func(ctx context.Context) string {
		out, err := te.cluster.Kubectl(ctx, "get", "ips.kubeovn.io", "db."+ns, "--ignore-not-found", "-o", "name")
		if err != nil || out != "" {
			return out
		}
		return ""
	})
}

// Namespace annotations that describe a Subnet, the interface before the kind Subnet existed, work from the first pod
// on.
func TestNamespaceDescribesItsSubnet(t *testing.T) {
	te := begin(t, shared)
	ns := te.namespace("legacy", map[string]string{
		"ovn.kubernetes.io/logical_switch": "legacy", "ovn.kubernetes.io/cidr": "10.74.0.0/24",
		"ovn.kubernetes.io/gateway": "10.74.0.254", "ovn.kubernetes.io/exclude_ips": "10.74.0.1..10.74.0.9",
		"ovn.kubernetes.io/gateway_type": "centralized", "ovn.kubernetes.io/gateway_node": "n2",
	})
	te.create(te.newPod(ns, "a", "n1", nil))
	te.create(te.newPod(ns, "b", "n2", nil))
	pods := te.ready(ns, 2, 40*time.Second)
	te.pairs(pods)
	te.leavesAs(pods, 2)
	te.say("pods %s and %s of the Subnet that the namespace describes", pods[0].Status.PodIP, pods[1].Status.PodIP)
	te.consistent(10 * time.Second)
	legacy := subnet("legacy", "10.74.0.0/24")
	te.must(client.IgnoreNotFound(te.api.Delete(t.Context(), legacy)), "delete the Subnet")
}
