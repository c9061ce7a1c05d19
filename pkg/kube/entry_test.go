// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/model"
)

func TestEntries(t *testing.T) {
	transform := CacheOptions(AllKinds(), &apihealth.Reporter{}).DefaultTransform
	o, err := transform(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "12",
		Annotations: map[string]string{"ovn.kubernetes.io/ip_address": "nonsense"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e, ok := o.(*entry)
	if !ok || e.rv != 12 || e.GetResourceVersion() != "12" || e.uid != "u" || e.object != nil {
		t.Fatalf("%+v", o)
	}
	if key, err := toolscache.MetaNamespaceKeyFunc(e); err != nil || key != "ns/p" {
		t.Errorf("key is %q, %v", key, err)
	}
	if pod, ok := e.change.Object.(*model.Pod); !ok || !pod.NICs[0].Invalid || len(e.change.Problems) != 1 {
		t.Errorf("a pod with an invalid annotation is %+v", e.change)
	}
	if again, err := transform(e); err != nil || again != o {
		t.Errorf("the second transform returns %v, %v", again, err)
	}
	kept, err := transform(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "v", ManagedFields: []metav1.ManagedFieldsEntry{{}}}})
	if e, ok := kept.(*entry); err != nil || !ok || e.object == nil || e.object.GetManagedFields() != nil {
		t.Errorf("a Vpc is %+v, %v", kept, err)
	}
}

type discard struct{}

func (discard) Apply(...engine.Change) {}
func (discard) KubeSynced()            {}

// BenchmarkStoredPod measures the memory that a pod needs besides the world's projection.
func BenchmarkStoredPod(b *testing.B) {
	transform := CacheOptions(AllKinds(), &apihealth.Reporter{}).DefaultTransform
	in := NewIntake(discard{}, nil, nil, nil, nil)
	h := &handler{in: in, kind: model.KindPod}
	store := make([]any, 0, b.N)
	before := heap()
	b.ResetTimer()
	for i := range b.N {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("pod-%d", i), UID: types.UID(fmt.Sprintf("uid-%032d", i)), ResourceVersion: "12"},
			Spec:       corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "x"}}},
		}
		o, err := transform(pod)
		if err != nil {
			b.Fatal(err)
		}
		store = append(store, o)
		h.OnAdd(o, true)
		in.flush()
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/float64(b.N), "stored-B/pod")
	runtime.KeepAlive(store)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
