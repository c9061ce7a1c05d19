// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// On a real API server and with the controller's own RBAC rules, a new pod of a StatefulSet keeps the address of its
// predecessor, and an IPPool has its finalizer, counters and conditions.
func TestRetainedAddresses(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	b.server.AddNode("n2", "172.18.0.2")
	b.start(t)
	ready(t, b.client)

	pool := &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: "front"}, Spec: v1.IPPoolSpec{Subnet: "ovn-default", IPs: []string{"10.16.3.0..10.16.3.1"}}}
	b.create(t, pool)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	labels := map[string]string{"app": "web"}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "none"}}
	b.create(t, set)

	b.create(t, b.member(set, "n1"))
	b.awaitAddresses(t)
	was := b.annotation(t, "web-0", annotations.IPAddress) + b.annotation(t, "web-0", annotations.MACAddress)
	if was[:len("10.16.3.")] != "10.16.3." {
		t.Errorf("it has %s, which is not of the pool", was)
	}
	Eventually(t, "the pool says that one address is in use", startTime, func(ctx context.Context) error {
		if err := b.client.Get(ctx, client.ObjectKeyFromObject(pool), pool); err != nil {
			return err
		}
		c := v1.FindCondition(pool.Status.Conditions, v1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionTrue || pool.Status.V4UsingIPs.String() != "1" || pool.Status.V4AvailableIPs.String() != "1" || len(pool.Finalizers) != 1 {
			return fmt.Errorf("%v %+v", pool.Finalizers, pool.Status)
		}
		return nil
	})

	if err := b.client.Delete(t.Context(), Pod("default", "web-0", ""), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	b.create(t, b.member(set, "n2"))
	b.awaitAddresses(t)
	if now := b.annotation(t, "web-0", annotations.IPAddress) + b.annotation(t, "web-0", annotations.MACAddress); now != was {
		t.Errorf("it has %s, it had %s", now, was)
	}
	Eventually(t, "the record says where the pod is", startTime, func(ctx context.Context) error {
		ip := &v1.IP{}
		if err := b.client.Get(ctx, client.ObjectKey{Name: "web-0.default"}, ip); err != nil {
			return err
		}
		if ip.Spec.NodeName != "n2" || ip.Labels[annotations.LabelNodeName] != "n2" || ip.Annotations[annotations.OwnerUID] != string(set.UID) {
			return fmt.Errorf("%+v", ip)
		}
		return nil
	})

	for _, o := range []client.Object{set, pool} {
		if err := b.client.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.client.Delete(t.Context(), Pod("default", "web-0", ""), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "record and pool are gone", startTime, func(ctx context.Context) error {
		ips, pools := &v1.IPList{}, &v1.IPPoolList{}
		if err := b.client.List(ctx, ips); err != nil {
			return err
		}
		if err := b.client.List(ctx, pools); err != nil {
			return err
		}
		if len(ips.Items) != 2 || len(pools.Items) > 0 { // the nodes' records stay
			return fmt.Errorf("%d IPs, %d pools", len(ips.Items), len(pools.Items))
		}
		return nil
	})
}

// member creates the first pod of a StatefulSet, with the pool "front" in its annotation.
func (b *harness) member(set *appsv1.StatefulSet, node string) *corev1.Pod {
	yes := true
	pod := Pod(set.Namespace, set.Name+"-0", node)
	pod.Annotations = map[string]string{annotations.IPPool: "front"}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID, Controller: &yes}}
	return pod
}

func (b *harness) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := b.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (b *harness) annotation(t *testing.T, pod, key string) string {
	t.Helper()
	o := &corev1.Pod{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: pod}, o); err != nil {
		t.Fatal(err)
	}
	return o.Annotations[key]
}
