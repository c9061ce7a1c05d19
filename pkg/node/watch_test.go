// SPDX-License-Identifier: Apache-2.0

package node

import (
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/node/projection"
)

// cached is what the cache of a node keeps of an object.
func cached[T client.Object](t *testing.T, node string, o T) T {
	t.Helper()
	for kind, settings := range projection.CacheByObject(node) {
		if reflect.TypeOf(kind) == reflect.TypeOf(client.Object(o)) {
			kept, err := settings.Transform(o.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			return kept.(T)
		}
	}
	t.Fatalf("%T is not cached", o)
	return o
}

// Only what a node reads of an object makes an event of a change.
func TestSame(t *testing.T) {
	before := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{annotations.IPAddress: "100.64.0.2"}}}
	before.Status.Conditions = []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{}}}
	subnet := &v1.Subnet{Spec: v1.SubnetSpec{CIDRBlock: "10.0.0.0/24"}}
	node := func(change func(n *corev1.Node)) *corev1.Node { n := before.DeepCopy(); change(n); return n }
	for _, c := range []struct {
		name          string
		self          string
		before, after client.Object
		same          bool
	}{
		{"heartbeat of a node", "n2", before, node(func(n *corev1.Node) {
			n.ResourceVersion = "2"
			for i := range n.Status.Conditions {
				n.Status.Conditions[i].LastHeartbeatTime = metav1.NewTime(time.Unix(2e9, 0))
			}
		}), true},
		{"label of another node", "n2", before, node(func(n *corev1.Node) { n.Labels = map[string]string{"zone": "a"} }), true},
		{"label of the own node", "n1", before, node(func(n *corev1.Node) { n.Labels = map[string]string{"zone": "a"} }), false},
		{"address", "n2", before, node(func(n *corev1.Node) { n.Annotations[annotations.IPAddress] = "100.64.0.9" }), false},
		{"label and spec of a pod", "n1", pod, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"x": "y"}},
			Spec:       corev1.PodSpec{NodeName: "n1"},
		}, true},
		{"status of a subnet", "n1", subnet, &v1.Subnet{Spec: subnet.Spec, Status: v1.SubnetStatus{U2OInterconnectionIP: "10.0.0.9"}}, true},
	} {
		var got bool
		switch a := c.before.(type) {
		case *corev1.Node:
			got = same(cached(t, c.self, a), cached(t, c.self, c.after.(*corev1.Node)))
		case *corev1.Pod:
			got = same(cached(t, c.self, a), cached(t, c.self, c.after.(*corev1.Pod)))
		case *v1.Subnet:
			got = same(cached(t, c.self, a), cached(t, c.self, c.after.(*v1.Subnet)))
		}
		if got != c.same {
			t.Errorf("%s: same is %t, want %t", c.name, got, c.same)
		}
	}
}
