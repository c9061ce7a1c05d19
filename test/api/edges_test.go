// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

// world replaces the engine: it keeps the last change of each object.
type world struct {
	mu     sync.Mutex
	last   map[model.Ref]engine.Change
	synced chan struct{}
	writes map[string]int
}

func newWorld() *world {
	return &world{last: map[model.Ref]engine.Change{}, synced: make(chan struct{}), writes: map[string]int{}}
}

func (w *world) Apply(changes ...engine.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		w.last[c.Ref] = c
	}
}

func (w *world) KubeSynced() { close(w.synced) }

func (w *world) Wrote(kind, verb, result string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[kind+" "+verb+" "+result]++
}
func (w *world) SubnetUsed(string, string, string, float64, float64) {}
func (w *world) SubnetGone(string)                                   {}

func (w *world) object(kind model.Kind, namespace, name string) any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[model.Ref{Kind: kind, Namespace: namespace, Name: name}].Object
}

func (w *world) count(write string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes[write]
}

// edges is all of pkg/kube on a real API server, with a world as its engine.
type edges struct {
	*world
	server       *Server
	client       client.Client // of the admin
	writer       *kube.Writer
	status       *kube.Status
	bootstrapper *kube.Bootstrapper
	events       *record.FakeRecorder
}

var plans = kube.Defaults{
	Names:   kube.Names{ClusterRouter: "ovn-cluster", DefaultSubnet: "ovn-default", NodeSwitch: "join"},
	Default: kube.SubnetPlan{CIDR: "10.16.0.0/16"}, Join: kube.SubnetPlan{CIDR: "100.64.0.0/16"},
}

// startEdges runs with the RBAC rules of config/rbac/controller.yaml.
func startEdges(t *testing.T, s *Server) *edges {
	t.Helper()
	e := &edges{world: newWorld(), server: s, client: s.Client(Admin), events: record.NewFakeRecorder(100)}
	config, log, clk := s.Config(Controller), testr.New(t), clock.RealClock{}
	outage := &apihealth.Reporter{Server: config.Host, Log: log, Clock: clk}
	options := kube.CacheOptions(kube.AllKinds(), outage)
	c := s.Client(Controller)
	options.Scheme = c.Scheme()
	informers, err := cache.New(config, options)
	if err != nil {
		t.Fatal(err)
	}
	in := kube.NewIntake(e, informers, func(context.Context) error { return nil }, outage, clk)
	e.status = kube.NewStatus(c, in, e.events, e, plans.Names, outage, clk, log)
	e.writer = kube.NewWriter(c, in, e.status, e, 4)
	e.bootstrapper = kube.NewBootstrapper(c, in, e, plans, outage, clk, log)
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	heartbeats, err := kube.NewHeartbeats(clientset, model.HeartbeatNamespace, in, outage, log)
	if err != nil {
		t.Fatal(err)
	}
	e.writer.ExplainBy(heartbeats.Lost)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, start := range []func(context.Context) error{informers.Start, in.Start, e.status.Start, e.writer.Start, e.bootstrapper.Start, heartbeats.Start} {
		running.Go(func() {
			if err := start(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	select {
	case <-e.synced:
	case <-time.After(startTime):
		t.Fatal("the caches are not synced")
	}
	return e
}

// finished waits for the end of one write and returns its error.
func finished(t *testing.T, start func(done func(error))) error {
	t.Helper()
	end := make(chan error, 1)
	start(func(err error) { end <- err })
	select {
	case err := <-end:
		return err
	case <-time.After(startTime):
		t.Fatal("the write does not end")
		return nil
	}
}

func (e *edges) createIP(t *testing.T, pod, address string) error {
	t.Helper()
	claim := compile.Claim{Request: ipam.Request{Owner: model.Ref{Kind: model.KindIP, Name: pod + ".default"}}, For: model.Ref{Kind: model.KindPod, Namespace: "default", Name: pod}, NodeName: "n1", Provider: "ovn"}
	claim.Allocation = ipam.Allocation{Subnet: "ovn-default", Owner: claim.Target(), MAC: "02:00:00:00:00:01", Addrs: model.Addrs{V4: netip.MustParseAddr(address)}}
	return finished(t, func(done func(error)) { e.writer.Write(claim, done) })
}

func (e *edges) createPod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod := Pod("default", name, "n1")
	if err := e.client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the pod is known", startTime, func(context.Context) error {
		if e.object(model.KindPod, "default", name) == nil {
			return fmt.Errorf("pod %s is not there", name)
		}
		return nil
	})
	return pod
}
