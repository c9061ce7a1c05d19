// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestSetCondition(t *testing.T) {
	start := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	later := metav1.NewTime(start.Add(time.Minute))
	last := metav1.NewTime(start.Add(time.Hour))
	var conditions []v1.Condition
	want := v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Wait", Message: "spec.vpc: no such Vpc"}

	if !v1.SetCondition(&conditions, want, start) || len(conditions) != 1 {
		t.Fatal("a new condition is not added")
	}
	if v1.SetCondition(&conditions, want, later) {
		t.Error("an equal condition counts as a change")
	}
	want.Message = "spec.vpc: still no such Vpc"
	if !v1.SetCondition(&conditions, want, later) {
		t.Error("another message does not count as a change")
	}
	got := v1.FindCondition(conditions, v1.ConditionReady)
	if !got.LastTransitionTime.Equal(&start) || !got.LastUpdateTime.Equal(&later) {
		t.Errorf("times after another message: %v, %v", got.LastTransitionTime, got.LastUpdateTime)
	}
	want.Status = metav1.ConditionTrue
	if !v1.SetCondition(&conditions, want, last) || !v1.IsConditionTrue(conditions, v1.ConditionReady) {
		t.Error("the status did not become True")
	}
	if got := v1.FindCondition(conditions, v1.ConditionReady); !got.LastTransitionTime.Equal(&last) {
		t.Errorf("transition time after another status: %v", got.LastTransitionTime)
	}
	if v1.FindCondition(conditions, v1.ConditionError) != nil {
		t.Error("found a condition that was never set")
	}
}

func TestConditionWithoutTimesHasNoNulls(t *testing.T) {
	text, err := json.Marshal(v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"Ready","status":"True"}`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}
