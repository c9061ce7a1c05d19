// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/wovensdn/woven/pkg/events"
)

// Problems of one object with the same reason have an event each, and so has a problem that comes later.
func TestEventsWithTheSameReason(t *testing.T) {
	s, _, _ := troubled(t)
	client := fake.NewClientset()
	writer := events.NewWriter(client, "test")
	s.events = writer
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := writer.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	s.Report(report("web", "10.0.0.1 is taken", "fd00::1 is taken"))
	s.Report(report("web", "10.0.0.2 is taken"))
	want := []string{"ValidatePodNetworkFailed: 10.0.0.1 is taken", "ValidatePodNetworkFailed: 10.0.0.2 is taken", "ValidatePodNetworkFailed: fd00::1 is taken"}
	var got []string
	for deadline := time.Now().Add(10 * time.Second); len(got) < len(want) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		list, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range list.Items {
			got = append(got, fmt.Sprintf("%s: %s", e.Reason, e.Message))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("events are %q, want %q", got, want)
	}
}
