// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard()) // no output from libraries
	os.Exit(m.Run())
}

// harness is an API server, a northbound database and the program under test.
type harness struct {
	server  *Server
	nb      *nbtest.Server
	program string
	client  client.Client
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	s := Start(t)
	return &harness{server: s, nb: nbtest.Start(t), program: Build(t, "cmd/controller"), client: s.Client(Admin)}
}

func (b *harness) start(t *testing.T, flags ...string) *ControllerProcess {
	t.Helper()
	return StartController(t, b.server, b.program, b.nb.Endpoint(), flags...)
}

func (b *harness) createPods(t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		if err := b.client.Create(t.Context(), Pod("default", fmt.Sprintf("%s%d", prefix, i), "n1")); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitAddresses waits until all pods have addresses, and checks that they are distinct.
func (b *harness) awaitAddresses(t *testing.T) {
	t.Helper()
	pods := &corev1.PodList{}
	Eventually(t, "all pods have addresses", startTime, func(ctx context.Context) error {
		if err := b.client.List(ctx, pods); err != nil {
			return err
		}
		for i := range pods.Items {
			if pods.Items[i].Annotations[annotations.Routed] != "true" {
				return fmt.Errorf("pod %s has none", pods.Items[i].Name)
			}
		}
		return nil
	})
	holders := map[string]string{}
	for i := range pods.Items {
		address := pods.Items[i].Annotations[annotations.IPAddress]
		if other := holders[address]; other != "" {
			t.Errorf("pods %s and %s both have address %s", other, pods.Items[i].Name, address)
		}
		holders[address] = pods.Items[i].Name
	}
}

func (b *harness) awaitNothingLeft(t *testing.T) {
	t.Helper()
	db := b.nb.Client(t)
	Eventually(t, "addresses and ports of the pods are gone", startTime, func(ctx context.Context) error {
		ips := &v1.IPList{}
		if err := b.client.List(ctx, ips); err != nil {
			return err
		}
		// What stays: the node's address; its port, and one to the router in each of the two subnets.
		if len(ips.Items) != 1 || db.Len(nb.LogicalSwitchPortTable) != 3 {
			return fmt.Errorf("%d IPs, %d ports", len(ips.Items), db.Len(nb.LogicalSwitchPortTable))
		}
		return nil
	})
}

func awaitPage(t *testing.T, c *ControllerProcess, path, text string) {
	t.Helper()
	Eventually(t, path+" says "+text, startTime, func(ctx context.Context) error {
		page, err := c.Get(ctx, path)
		if err == nil && !strings.Contains(page, text) {
			err = errors.New(page[:min(len(page), 200)])
		}
		return err
	})
}

func awaitLog(t *testing.T, c *ControllerProcess, texts ...string) {
	t.Helper()
	Eventually(t, "the log says why", startTime, func(context.Context) error {
		for line := range strings.Lines(c.Output()) {
			found := 0
			for _, text := range texts {
				if strings.Contains(line, text) {
					found++
				}
			}
			if found == len(texts) {
				return nil
			}
		}
		return fmt.Errorf("no line with %q", texts)
	})
}

// TestController runs one controller from a cluster without its CRDs to a graceful shutdown.
func TestController(t *testing.T) {
	b := newHarness(t)
	b.server.Apply("config/rbac/controller.yaml")
	c := b.start(t)
	awaitLog(t, c, "CustomResourceDefinitions are missing", "vpcs.kubeovn.io, subnets.kubeovn.io, ippools.kubeovn.io, ips.kubeovn.io")
	if page, err := c.Get(t.Context(), "/readyz"); err == nil {
		t.Errorf("ready without CustomResourceDefinitions: %s", page)
	}
	awaitPage(t, c, "/healthz", "ok")

	b.server.InstallCRDs()
	b.server.AddNode("n1", "172.18.0.1")
	ready(t, b.client)
	awaitPage(t, c, "/readyz", "ok")
	before := c.Metric(t, "woven_api_writes_total")
	b.createPods(t, "p", 20)
	b.awaitAddresses(t)
	if n := c.Metric(t, `woven_api_writes_total{kind="Pod"`) + c.Metric(t, `woven_api_writes_total{kind="IP"`); n > before+2*20 {
		t.Errorf("%v writes for 20 pods", n-before)
	}

	b.server.Stop()
	awaitLog(t, c, "API server cannot be reached", "connection refused", "https://127.0.0.1")
	b.nb.Stop()
	awaitPage(t, c, "/healthz", "ok")
	b.nb.Restart()
	b.server.Resume()
	b.createPods(t, "after", 5)
	b.awaitAddresses(t)

	if err := b.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("default"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	b.awaitNothingLeft(t)
	c.Terminate()
	if !strings.Contains(c.Output(), "lease released") {
		t.Error("the controller does not release its lease on SIGTERM")
	}
}

// TestLeadership pauses, resumes and kills leaders and steals their lease, while pods are created and deleted.
func TestLeadership(t *testing.T) {
	b := newHarness(t)
	b.server.Install()
	b.server.AddNode("n1", "172.18.0.1")
	first := b.start(t, "--leader-elect-identity=first")
	awaitPage(t, first, "/metrics", "woven_leading 1")
	second := b.start(t, "--leader-elect-identity=second")
	awaitPage(t, second, "/readyz", "ok")

	b.createPods(t, "a", 30)
	first.Signal(syscall.SIGSTOP) // while it works
	b.awaitAddresses(t)
	awaitPage(t, second, "/metrics", "woven_leading 1")
	first.Signal(syscall.SIGCONT)
	b.createPods(t, "c", 10)
	awaitPage(t, first, "/metrics", "woven_leading 0")
	b.awaitAddresses(t)
	first.Kill()

	b.steal(t)
	awaitPage(t, second, "/metrics", "woven_leading 0")
	b.createPods(t, "b", 10)
	awaitPage(t, second, "/metrics", "woven_leading 1") // after the stolen lease has expired
	b.awaitAddresses(t)
	if second.Ended() {
		t.Error("losing the lease ended the process")
	}
}

// steal acquires the lease for an identity that never renews it.
func (b *harness) steal(t *testing.T) {
	t.Helper()
	c, err := kubernetes.NewForConfig(b.server.Config(Admin))
	if err != nil {
		t.Fatal(err)
	}
	leases := c.CoordinationV1().Leases("kube-system")
	Eventually(t, "the lease is stolen", startTime, func(ctx context.Context) error {
		lease, err := leases.Get(ctx, "woven-controller", metav1.GetOptions{})
		if err != nil {
			return err
		}
		robber, duration, now := "robber", int32(3), metav1.NowMicro()
		lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &robber, LeaseDurationSeconds: &duration, AcquireTime: &now, RenewTime: &now}
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	})
}
