// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	ovsmodel "github.com/ovn-kubernetes/libovsdb/model"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/webhook"
	"github.com/wovensdn/woven/pkg/world"
)

// This file is all that a new kind takes (but for its CustomResourceDefinition and RBAC): an API type, a projection
// with its reader, a row, a table, a compile function, states and a golden dump. CONTRIBUTING.md says where each of
// them goes.

const kindWidget model.Kind = "Widget"

// widgetObject is the API type of a made-up kind: a named set of addresses.
type widgetObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              widgetSpec   `json:"spec"`
	Status            widgetStatus `json:"status,omitempty"`
}

// widgetSpec is what users want of a Widget.
type widgetSpec struct {
	Address string `json:"address"`
}

// widgetStatus is what was observed of a Widget.
type widgetStatus struct {
	Conditions []v1.Condition `json:"conditions,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (w *widgetObject) DeepCopyObject() runtime.Object {
	out := *w
	w.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = append([]v1.Condition(nil), w.Status.Conditions...)
	return &out
}

// Widget is the projection; like those of package model, it has the name of the kind.
type Widget struct {
	model.Meta
	Address netip.Addr
}

func widgetFrom(o *widgetObject) (Widget, []model.Problem) {
	w := Widget{Meta: model.Meta{Name: o.Name, UID: string(o.UID)}}
	var err error
	if w.Address, err = netip.ParseAddr(o.Spec.Address); err != nil {
		return w, []model.Problem{{Reason: "ValidateWidgetFailed", Field: "spec.address", Message: err.Error(), Fatal: true}}
	}
	return w, nil
}

// widgetRow is the row in the table of kinds.
var widgetRow = kube.Row[*widgetObject, Widget]{
	Name: kindWidget, Version: v1.GroupVersion, Project: widgetFrom,
	Status: func(o *widgetObject, in kube.StatusInput) *widgetObject {
		out := *o
		if in.Report != nil {
			kube.SetConditions(&out.Status.Conditions, kube.Reasons{Validated: "ValidateWidgetSuccess", Ready: "WidgetReady"}, *in.Report, in.Now)
		}
		return &out
	},
	Admission: &kube.Admission[Widget]{InCluster: func(w *Widget, c model.AdmissionView) []model.Problem {
		for _, s := range c.Subnets() {
			if s.CIDR.V4.Contains(w.Address) {
				return []model.Problem{{Reason: "ValidateWidgetFailed", Field: "spec.address", Message: "it is an address of Subnet " + s.Name, Fatal: true}}
			}
		}
		return nil
	}},
}

// compileWidget: a Widget is an address set of its name.
func compileWidget(ref model.Ref, v *world.View) (r compile.Result) {
	w, ok := world.Read[Widget](v, ref)
	if !ok {
		return r
	}
	set := r.Row(nb.AddressSetTable, w.Name, &nb.AddressSet{Name: w.Name})
	r.Member(set, "addresses", w.Address.String())
	return r
}

// addWidgets is the line in world.New and the one in compile.Functions.
func addWidgets(w *world.World, functions map[model.Kind]compile.Func) {
	world.AddTable[Widget](w, kindWidget)
	functions[kindWidget] = compileWidget
}

func widgetKinds() kube.Kinds { return append(kube.AllKinds(), widgetRow.Kind()) }

func newWidgetHarness(t *testing.T) *harness {
	b := newModelHarness(t)
	b.kinds, b.extend = widgetKinds(), addWidgets
	b.restart()
	return b
}

// TestAKindIsOneRow: what this file says of a made-up kind is enough for the controller, the webhook and the checker.
func TestAKindIsOneRow(t *testing.T) {
	t.Run("states", func(t *testing.T) {
		b := newWidgetHarness(t)
		of := func(address string) state {
			return state{}.with(address, &Widget{Meta: model.Meta{Name: "w", UID: "w"}, Address: netip.MustParseAddr(address)})
		}
		for _, s := range []state{of("192.0.2.1"), of("192.0.2.2"), {name: "nothing"}, of("192.0.2.1")} {
			b.become(s)
			b.converge()
			b.compare(s.name)
		}
	})
	t.Run("golden dump", func(t *testing.T) {
		b := newWidgetHarness(t)
		for _, ch := range b.read("testdata/widget.yaml") {
			b.parsed[ch.Ref] = ch.Problems
			if ch.Object != nil {
				b.objects[ch.Ref] = ch.Object
			}
			if err := b.core.Apply(ch); err != nil {
				t.Fatal(err)
			}
		}
		b.converge()
		golden(t, "testdata/widget.txt", b.dump())
	})
	t.Run("status", testWidgetStatus)
	t.Run("webhook", testWidgetReview)
	t.Run("checker", testWidgetCheck)
}

func testWidgetStatus(t *testing.T) {
	b := newWidgetHarness(t)
	r := ref(kindWidget, "", "w")
	o := &widgetObject{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "w"}, Spec: widgetSpec{Address: "192.0.2.1"}}
	b.set(r, widgetRow.Kind().Project(o).Object)
	b.converge()
	report, ok := b.reports[r]
	if !ok {
		t.Fatal("there is no report")
	}
	out, ok := widgetRow.Kind().Status(o, kube.StatusInput{Report: &report}).(*widgetObject)
	if !ok {
		t.Fatal("the status is not that of a Widget")
	}
	if c := v1.FindCondition(out.Status.Conditions, v1.ConditionReady); c == nil || c.Status != metav1.ConditionTrue || c.Reason != "WidgetReady" {
		t.Errorf("the conditions are %+v", out.Status.Conditions)
	}
}

func testWidgetReview(t *testing.T) {
	cluster := webhook.NewCluster(model.PlacementRules{DefaultSubnet: "ovn-default"}, model.InfrastructureConfig{})
	cluster.Apply(ref(model.KindSubnet, "", "blue"), subnet("blue", "10.17.0.0/24"))
	cluster.Synced()
	reviewer := &webhook.Reviewer{Kinds: widgetKinds(), Cluster: cluster, Log: logr.Discard()}
	for address, cause := range map[string]string{"192.0.2.1": "", "nonsense": "spec.address", "10.17.0.9": "Subnet blue"} {
		raw, err := json.Marshal(&widgetObject{ObjectMeta: metav1.ObjectMeta{Name: "w"}, Spec: widgetSpec{Address: address}})
		if err != nil {
			t.Fatal(err)
		}
		request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Group: v1.GroupVersion.Group, Version: "v1", Kind: string(kindWidget)}, Name: "w",
		}}
		request.Object.Raw = raw
		got := reviewer.Handle(t.Context(), request)
		if got.Allowed != (cause == "") || !got.Allowed && !strings.Contains(got.Result.Message, cause) {
			t.Errorf("address %s: allowed is %t: %+v", address, got.Allowed, got.Result)
		}
	}
}

func testWidgetCheck(t *testing.T) {
	b := newWidgetHarness(t)
	o := &widgetObject{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "w"}, Spec: widgetSpec{Address: "192.0.2.1"}}
	b.set(ref(kindWidget, "", "w"), widgetRow.Kind().Project(o).Object)
	b.converge()
	w, functions := world.New(), compile.Functions(config)
	addWidgets(w, functions)
	by := check.Controller{Names: config, Kinds: widgetKinds(), World: func() *world.World { return w }, Functions: functions}
	s := check.State{Objects: check.Objects{Others: []kube.Object{o}}, NB: check.Rows{}}
	for _, table := range fact.Tables() {
		s.NB[table.Name] = map[string]any{}
		b.db.Each(table.Name, func(uuid string, row ovsmodel.Model) bool {
			s.NB[table.Name][uuid] = row
			return true
		})
	}
	for _, step := range []struct {
		do   func()
		want []check.Difference
	}{
		{func() {}, nil},
		{
			func() { delete(s.NB[nb.AddressSetTable], fact.UUIDOf(nb.AddressSetTable, "w")) },
			[]check.Difference{{Check: "nb", Message: "Widget w: NB Address Set w is missing"}},
		},
	} {
		step.do()
		found, err := by.Compare(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != len(step.want) || len(found) == 1 && found[0] != step.want[0] {
			t.Errorf("the checker finds %v, want %v", found, step.want)
		}
	}
}
