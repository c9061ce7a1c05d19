// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

func TestEdges(t *testing.T) {
	s := Start(t)
	s.Install()
	e := startEdges(t, s)
	t.Run("nothing is written by a standby", e.standby)
	e.writer.Lead(true)
	t.Run("CreateIP", e.testCreateIP)
	t.Run("Annotate", e.testAnnotate)
	t.Run("Follow", e.testFollow)
	t.Run("Release", e.testRelease)
	t.Run("Finalize", e.testFinalize)
	t.Run("Status", e.testStatus)
	t.Run("Bootstrapper", e.testBootstrapper)
	t.Run("Heartbeats", e.testHeartbeats)
}

func (e *edges) standby(t *testing.T) {
	if err := e.createIP(t, "standby", "10.16.0.9"); !errors.Is(err, kube.ErrNotLeading) {
		t.Errorf("error is %v", err)
	}
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: "standby.default"}, &v1.IP{}); !apierrors.IsNotFound(err) {
		t.Errorf("get: %v, want not found", err)
	}
}

func (e *edges) testCreateIP(t *testing.T) {
	if err := e.createIP(t, "a", "10.16.0.2"); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.object(model.KindIP, "", "a.default").(*model.IP); !ok {
		t.Error("the world does not have the object when the write is done")
	}
	if n := e.count("IP create ok"); n != 1 || e.count("IP patch ok") != 0 {
		t.Errorf("%d creations, %d patches; want one request", n, e.count("IP patch ok"))
	}
	o := &v1.IP{}
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: "a.default"}, o); err != nil {
		t.Fatal(err)
	}
	if o.Labels[annotations.LabelSubnet] != "ovn-default" || !slices.Equal(o.Finalizers, []string{annotations.Finalizer}) || o.Spec.V4IPAddress != "10.16.0.2" {
		t.Errorf("%+v", o)
	}
	if err := e.createIP(t, "a", "10.16.0.3"); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the second of a name: %v", err)
	}
	if ip, ok := e.object(model.KindIP, "", "a.default").(*model.IP); !ok || ip.Addrs.V4.String() != "10.16.0.2" {
		t.Errorf("the world has %+v", ip)
	}
}

func (e *edges) testAnnotate(t *testing.T) {
	pod := e.createPod(t, "annotated")
	want := map[string]string{annotations.Allocated: "true", annotations.IPAddress: "10.16.0.7", annotations.Routed: "true"}
	a := compile.Annotate{Object: model.Ref{Kind: model.KindPod, Namespace: "default", Name: pod.Name}, UID: "another", Annotations: want}
	write := func(done func(error)) { e.writer.Write(a, done) }
	if err := finished(t, write); err != nil {
		t.Errorf("the pod of that UID is gone: %v", err)
	}
	e.get(t, pod)
	if len(pod.Annotations) > 0 {
		t.Errorf("a recreated pod was annotated: %v", pod.Annotations)
	}
	a.UID = string(pod.UID)
	if err := finished(t, write); err != nil {
		t.Fatal(err)
	}
	if known, ok := e.object(model.KindPod, "default", pod.Name).(*model.Pod); !ok || len(known.NICs[0].Written) != len(want) {
		t.Errorf("the world has %+v", known)
	}
	a.Object.Name = "nobody"
	if err := finished(t, write); err != nil {
		t.Errorf("the pod is gone: %v", err)
	}
	if e.get(t, pod); pod.Annotations[annotations.IPAddress] != "10.16.0.7" {
		t.Errorf("annotations are %v", pod.Annotations)
	}
}

func (e *edges) testFollow(t *testing.T) {
	if err := e.createIP(t, "moving", "10.16.0.12"); err != nil {
		t.Fatal(err)
	}
	o := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "moving.default"}}
	e.get(t, o)
	f := compile.UpdateIPRecord{IP: o.Name, UID: "another", NodeName: "n7", PodType: model.PodTypeStatefulSet, OwnerUID: "set"}
	write := func(done func(error)) { e.writer.Write(f, done) }
	if err := finished(t, write); err != nil {
		t.Errorf("the object of that UID is gone: %v", err)
	}
	if e.get(t, o); o.Spec.NodeName == "n7" {
		t.Error("a recreated object was changed")
	}
	f.UID = string(o.UID)
	if err := finished(t, write); err != nil {
		t.Fatal(err)
	}
	if ip, ok := e.object(model.KindIP, "", o.Name).(*model.IP); !ok || ip.NodeName != "n7" || ip.OwnerUID != "set" || ip.PodType != model.PodTypeStatefulSet {
		t.Errorf("the world has %+v", ip)
	}
	if e.get(t, o); o.Labels[annotations.LabelNodeName] != "n7" || o.Spec.V4IPAddress != "10.16.0.12" {
		t.Errorf("%+v", o)
	}
	f.PodType, f.OwnerUID = "", ""
	if err := finished(t, write); err != nil {
		t.Fatal(err)
	}
	if e.get(t, o); o.Annotations[annotations.OwnerUID] != "" || o.Spec.PodType != "" {
		t.Errorf("outdated fields are still set: %+v", o)
	}
}

func (e *edges) testRelease(t *testing.T) {
	if err := e.createIP(t, "leaving", "10.16.0.20"); err != nil {
		t.Fatal(err)
	}
	o := &v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "leaving.default"}}
	e.get(t, o)
	release := func(uid string) error {
		return finished(t, func(done func(error)) { e.writer.Write(compile.Release{IP: o.Name, UID: uid}, done) })
	}
	if err := release("another"); err != nil {
		t.Errorf("the object of that UID is gone: %v", err)
	}
	if e.get(t, o); o.DeletionTimestamp != nil {
		t.Error("a recreated object was deleted")
	}
	before := o.DeepCopy()
	o.Finalizers = append(o.Finalizers, "example.com/hold")
	if err := e.client.Patch(t.Context(), o, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	if err := release(string(o.UID)); err == nil || !strings.Contains(err.Error(), "example.com/hold") {
		t.Errorf("held by another finalizer: %v", err)
	}
	e.get(t, o)
	if !slices.Equal(o.Finalizers, []string{"example.com/hold"}) {
		t.Errorf("finalizers are %v", o.Finalizers)
	}
	if err := e.client.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also of a deleted object
		if err := release(string(o.UID)); err != nil {
			t.Error(err)
		}
	}
	if known := e.object(model.KindIP, "", o.Name); known != nil {
		t.Errorf("the world has %+v", known)
	}
	if err := e.createIP(t, "leaving", "10.16.0.21"); err != nil {
		t.Errorf("a new object of the name: %v", err)
	}
	if ip, ok := e.object(model.KindIP, "", o.Name).(*model.IP); !ok || ip.Addrs.V4.String() != "10.16.0.21" {
		t.Errorf("the world has %+v", ip)
	}
}

func (e *edges) testFinalize(t *testing.T) {
	subnet := &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: "finalized", Finalizers: []string{annotations.DeprecatedFinalizer, "example.com/hold"}},
		Spec:       v1.SubnetSpec{CIDRBlock: "10.30.0.0/24"},
	}
	if err := e.client.Create(t.Context(), subnet); err != nil {
		t.Fatal(err)
	}
	ref := model.Ref{Kind: model.KindSubnet, Name: subnet.Name}
	for _, tt := range []struct {
		present bool
		want    []string
	}{
		{true, []string{"example.com/hold", annotations.Finalizer}},
		{true, []string{"example.com/hold", annotations.Finalizer}},
		{false, []string{"example.com/hold"}},
	} {
		if err := finished(t, func(done func(error)) { e.writer.Write(compile.Finalize{Object: ref, Present: tt.present}, done) }); err != nil {
			t.Fatal(err)
		}
		if e.get(t, subnet); !slices.Equal(subnet.Finalizers, tt.want) {
			t.Errorf("finalizers are %v, want %v", subnet.Finalizers, tt.want)
		}
	}
	ref.Name = "nobody"
	if err := finished(t, func(done func(error)) { e.writer.Write(compile.Finalize{Object: ref, Present: true}, done) }); err != nil {
		t.Errorf("an object that is gone: %v", err)
	}
}

func (e *edges) testStatus(t *testing.T) {
	subnet := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "reported"}, Spec: v1.SubnetSpec{CIDRBlock: "10.31.0.0/24"}}
	if err := e.client.Create(t.Context(), subnet); err != nil {
		t.Fatal(err)
	}
	ref := model.Ref{Kind: model.KindSubnet, Name: subnet.Name}
	Eventually(t, "the subnet is known", startTime, func(context.Context) error {
		if e.object(ref.Kind, "", ref.Name) == nil {
			return errors.New("not yet")
		}
		return nil
	})
	before := e.count("Subnet/status patch ok")
	problem := model.Problem{Reason: model.ReasonSubnetInvalid, Field: "spec.gateway", Message: "is wrong"}
	for range 20 {
		e.writer.Report(engine.Report{Ref: ref, Problems: []model.Problem{problem}})
	}
	e.awaitCondition(t, subnet, v1.ConditionError, metav1.ConditionTrue)
	if c := v1.FindCondition(subnet.Status.Conditions, v1.ConditionValidated); c == nil || c.Status != metav1.ConditionFalse || c.Message != "spec.gateway: is wrong" {
		t.Errorf("Validated is %+v", c)
	}
	if n := e.count("Subnet/status patch ok") - before; n != 1 {
		t.Errorf("%d writes for one state", n)
	}
	if n := len(e.events.Events); n != 1 {
		t.Errorf("%d events for one problem", n)
	}
	e.writer.Report(engine.Report{Ref: ref, Programmed: true})
	e.awaitCondition(t, subnet, v1.ConditionReady, metav1.ConditionTrue)
	if c := v1.FindCondition(subnet.Status.Conditions, v1.ConditionError); c == nil || c.Status != metav1.ConditionFalse {
		t.Errorf("Error is %+v", c)
	}
}

func (e *edges) awaitCondition(t *testing.T, subnet *v1.Subnet, kind v1.ConditionType, want metav1.ConditionStatus) {
	t.Helper()
	Eventually(t, fmt.Sprintf("condition %s is %s", kind, want), startTime, func(ctx context.Context) error {
		if err := e.client.Get(ctx, client.ObjectKeyFromObject(subnet), subnet); err != nil {
			return err
		}
		if c := v1.FindCondition(subnet.Status.Conditions, kind); c == nil || c.Status != want {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
}

func (e *edges) testBootstrapper(t *testing.T) {
	users := &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: "ovn-default"},
		Spec:       v1.SubnetSpec{CIDRBlock: "10.77.3.4/16", Gateway: "10.77.0.9", Default: true},
	}
	other := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: v1.SubnetSpec{CIDRBlock: "10.78.0.0/16", Default: true}}
	if err := errors.Join(e.client.Create(t.Context(), users), e.client.Create(t.Context(), other)); err != nil {
		t.Fatal(err)
	}
	e.bootstrapper.Lead(true)
	Eventually(t, "the cluster has what it needs", startTime, func(ctx context.Context) error {
		join := &v1.Subnet{}
		if err := errors.Join(
			e.client.Get(ctx, client.ObjectKey{Name: "ovn-cluster"}, &v1.Vpc{}),
			e.client.Get(ctx, client.ObjectKey{Name: "join"}, join),
			e.client.Get(ctx, client.ObjectKeyFromObject(users), users),
			e.client.Get(ctx, client.ObjectKeyFromObject(other), other),
		); err != nil {
			return err
		}
		if join.Spec.Gateway != "100.64.0.1" || users.Spec.Vpc != "ovn-cluster" || other.Spec.Default {
			return fmt.Errorf("join %+v, ovn-default %+v, other %+v", join.Spec, users.Spec, other.Spec)
		}
		return nil
	})
	if users.Spec.CIDRBlock != "10.77.0.0/16" || users.Spec.Gateway != "10.77.0.9" || !users.Spec.Default || !slices.Equal(users.Spec.ExcludeIPs, []string{"10.77.0.9"}) {
		t.Errorf("the user's spec became %+v", users.Spec)
	}
}

func (e *edges) get(t *testing.T, o client.Object) {
	t.Helper()
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}
