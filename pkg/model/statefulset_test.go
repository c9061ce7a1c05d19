// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
)

func TestStatefulSetFrom(t *testing.T) {
	o := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u"}}
	s, problems := StatefulSetFrom(o)
	if len(problems) > 0 || s.Replicas != 1 || s.Start != 0 || s.UID != "u" || s.Subnet != "" {
		t.Errorf("by default it is %+v, %v", s, problems)
	}
	replicas := int32(3)
	o.Spec.Replicas = &replicas
	o.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 2}
	o.Spec.Template.Annotations = map[string]string{annotations.LogicalSwitch: "blue", annotations.IPPool: "front"}
	s, _ = StatefulSetFrom(o)
	if s.Replicas != 3 || s.Start != 2 || s.Subnet != "blue" || s.Pool != "front" {
		t.Errorf("it is %+v", s)
	}
	for ordinal, want := range map[int]bool{0: false, 1: false, 2: true, 4: true, 5: false} {
		if s.Makes(ordinal) != want {
			t.Errorf("of pod %d it says %v", ordinal, !want)
		}
	}
	before := s
	o.Status.ReadyReplicas = 3
	if s, _ = StatefulSetFrom(o); !Equal(s, before) {
		t.Error("a status changes the projection")
	}
}

func TestOrdinalOf(t *testing.T) {
	for pod, want := range map[string]struct {
		set     string
		ordinal int
	}{"web-0": {"web", 0}, "a-b-17": {"a-b", 17}, "web-2147483647": {"web", 2147483647}} {
		set, ordinal, ok := OrdinalOf(pod)
		if !ok || set != want.set || ordinal != want.ordinal {
			t.Errorf("%s is %s, %d, %v", pod, set, ordinal, ok)
		}
	}
	for _, pod := range []string{"", "web", "-1", "web-", "web-01", "web-+1", "web-1x", "web-2147483648", "web-99999999999999999999"} {
		if set, ordinal, ok := OrdinalOf(pod); ok {
			t.Errorf("%s is %s, %d", pod, set, ordinal)
		}
	}
}

func FuzzOrdinalOf(f *testing.F) {
	f.Add("web-0")
	f.Add("web--1")
	f.Fuzz(func(t *testing.T, pod string) {
		set, ordinal, ok := OrdinalOf(pod)
		if ok && (ordinal < 0 || set == "" || set+"-"+strconv.Itoa(ordinal) != pod) {
			t.Errorf("%q is %q, %d", pod, set, ordinal)
		}
	})
}
