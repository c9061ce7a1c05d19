// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/test/nbtest"
)

// burst is how many pods are created at once.
const burst = 2000

// BenchmarkPodBurst creates pods as fast as the API server accepts them, once without a controller and once with one,
// until the last pod has its address. CPU times are per pod: on a busy machine they are more reliable than rates.
func BenchmarkPodBurst(b *testing.B) {
	program := Build(b, "cmd/controller")
	for range b.N {
		bare := measure(b, "")
		addressed := measure(b, program)
		b.ReportMetric(burst/bare.took.Seconds(), "bare-pods/s")
		b.ReportMetric(burst/addressed.took.Seconds(), "addressed-pods/s")
		b.ReportMetric(100*bare.took.Seconds()/addressed.took.Seconds(), "%-of-bare")
		b.ReportMetric(float64(bare.apiserver.Microseconds())/burst, "bare-apiserver-µs")
		b.ReportMetric(float64(addressed.apiserver.Microseconds())/burst, "addressed-apiserver-µs")
		b.ReportMetric(float64(addressed.controller.Microseconds())/burst, "controller-µs")
		b.ReportMetric(addressed.writes/burst, "writes/pod")
	}
}

type measured struct {
	took, apiserver, controller time.Duration
	writes                      float64
}

// measure runs one burst; without a program there is no controller.
func measure(b *testing.B, program string) (m measured) {
	b.Helper()
	s := Start(b)
	s.Install()
	s.AddNode("n1", "172.18.0.1")
	c := s.Client(Admin)
	var controller *ControllerProcess
	wait := func() {}
	if program != "" {
		controller = StartController(b, s, program, nbtest.Start(b).Endpoint())
		ready(b, c)
		m.writes = -writes(b, controller)
		m.controller = -controller.CPU()
		wait = watchAddresses(b, s, burst, startTime)
	}
	m.apiserver = -s.process.CPU()
	began := time.Now()
	create(b, c, burst)
	wait()
	m.took = time.Since(began)
	m.apiserver += s.process.CPU()
	if controller != nil {
		m.controller += controller.CPU()
		m.writes += writes(b, controller)
	}
	return m
}

// watchAddresses returns a function that waits until a number of pods have addresses.
func watchAddresses(b testing.TB, s *Server, pods int, limit time.Duration) func() {
	b.Helper()
	config := s.Config(Admin)
	config.ContentType = runtime.ContentTypeProtobuf // as kubelets do
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	b.Cleanup(cancel)
	done := make(chan struct{})
	seen := map[string]bool{}
	look := func(o any) {
		pod, ok := o.(*corev1.Pod)
		if !ok || pod.Annotations[annotations.Routed] != "true" || seen[pod.Name] {
			return
		}
		if seen[pod.Name] = true; len(seen) == pods {
			close(done)
		}
	}
	informer := informers.NewSharedInformerFactory(c, 0).Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, o any) { look(o) }}); err != nil {
		b.Fatal(err)
	}
	go informer.RunWithContext(ctx)
	return func() {
		b.Helper()
		select {
		case <-done:
		case <-ctx.Done():
			b.Fatalf("not all of %d pods have an address after %v", pods, limit)
		}
	}
}

// writes counts the controller's writes for addresses.
func writes(b *testing.B, c *ControllerProcess) float64 {
	b.Helper()
	total := 0.0
	for _, series := range []string{`woven_api_writes_total{kind="IP"`, `woven_api_writes_total{kind="Pod"`} {
		total += c.Metric(b, series)
	}
	return total
}

func create(b testing.TB, c client.Client, pods int) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(32)
	for i := range pods {
		g.Go(func() error { return c.Create(ctx, Pod("default", fmt.Sprintf("p%d", i), "n1")) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// ready waits for the first node's address, which comes after everything else.
func ready(t testing.TB, c client.Client) {
	t.Helper()
	Eventually(t, "node n1 has its address", startTime, func(ctx context.Context) error {
		node := &corev1.Node{}
		if err := c.Get(ctx, client.ObjectKey{Name: "n1"}, node); err != nil {
			return err
		}
		if node.Annotations[annotations.Allocated] != "true" {
			return fmt.Errorf("annotations are %v", node.Annotations)
		}
		return nil
	})
}
