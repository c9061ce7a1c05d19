// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
)

// beats is a gateway node that renews its Lease.
type beats struct {
	gatewayprobe.Leases
	name string
	at   time.Time
}

// renew renews the Lease count times, one second apart by its own clock, with the RBAC rules of
// config/rbac/cniserver.yaml.
func (b *beats) renew(t *testing.T, count int) {
	t.Helper()
	seconds := int32(model.HeartbeatSeconds)
	for range count {
		b.at = b.at.Add(time.Second)
		now := metav1.NewMicroTime(b.at)
		name := model.HeartbeatLease(b.name)
		lease, err := b.Get(t.Context(), name, metav1.GetOptions{})
		store := func() error { _, err := b.Update(t.Context(), lease, metav1.UpdateOptions{}); return err }
		if apierrors.IsNotFound(err) {
			lease, err = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{annotations.LabelGateway: "true"}}}, nil
			store = func() error { _, err := b.Create(t.Context(), lease, metav1.CreateOptions{}); return err }
		}
		if err != nil {
			t.Fatal(err)
		}
		lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &b.name, LeaseDurationSeconds: &seconds, RenewTime: &now}
		if err := store(); err != nil {
			t.Fatal(err)
		}
	}
}

// testHeartbeats checks that nodes renew their Leases and the controller detects lost ones, each with its own RBAC
// rules, and that moving a gateway emits an event.
func (e *edges) testHeartbeats(t *testing.T) {
	e.server.Apply("config/rbac/cniserver.yaml")
	leases, err := gatewayprobe.NewLeases(e.server.Config(CNIServer), model.HeartbeatNamespace)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &beats{Leases: leases, name: "a", at: time.Unix(1e9, 0)}, &beats{Leases: leases, name: "b", at: time.Unix(2e9, 0)}
	lost := func(node string) error {
		if h, ok := e.object(model.KindHeartbeat, "", node).(*model.Heartbeat); !ok || !h.Lost {
			return fmt.Errorf("the heartbeat of %s is not lost", node)
		}
		return nil
	}
	b.renew(t, 1)
	a.renew(t, 1)
	b.renew(t, 10)
	Eventually(t, "the heartbeat of a is lost", startTime, func(context.Context) error { return lost("a") })
	e.movesAway(t)
	a.renew(t, 2)
	Eventually(t, "the heartbeat of a is back", startTime, func(context.Context) error {
		if lost("a") == nil {
			return errors.New("it is lost")
		}
		return nil
	})
	if lost("b") == nil {
		t.Error("the heartbeat of b was lost")
	}
	if err := leases.Delete(t.Context(), model.HeartbeatLease("a"), metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	elsewhere, err := gatewayprobe.NewLeases(e.server.Config(CNIServer), metav1.NamespaceDefault)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Get(t.Context(), "any", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("Leases of other namespaces: %v, want forbidden", err)
	}
}

// movesAway moves a subnet's gateway from a to b in its status, and expects the event.
func (e *edges) movesAway(t *testing.T) {
	t.Helper()
	s := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "moves"}, Spec: v1.SubnetSpec{CIDRBlock: "10.99.0.0/24", GatewayType: v1.GatewayCentralized, GatewayNode: "a,b"}}
	if err := e.client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the subnet is known", startTime, func(context.Context) error {
		if e.object(model.KindSubnet, "", s.Name) == nil {
			return errors.New("it is not")
		}
		return nil
	})
	for _, nodes := range []string{"a", "b"} {
		if err := finished(t, func(done func(error)) {
			e.writer.Write(compile.SetGateway{Subnet: s.Name, UID: string(s.UID), Nodes: nodes}, done)
		}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		select {
		case text := <-e.events.Events:
			if strings.Contains(text, "GatewayMoved") {
				if want := "Warning GatewayMoved traffic leaves through b instead of a: the heartbeat of a is lost"; text != want {
					t.Errorf("event %q, want %q", text, want)
				}
				return
			}
		case <-time.After(startTime):
			t.Fatal("no event")
		}
	}
}
