// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

var (
	noon      = metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	afternoon = metav1.NewTime(noon.Add(time.Hour))
)

func TestConditions(t *testing.T) {
	wrong := model.Problem{Reason: model.ReasonSubnetInvalid, Field: "spec.gateway", Message: "is wrong", Fatal: true}
	waiting := model.Problem{Reason: "NameTaken", Message: "belongs to another client"}
	optional := model.Problem{Reason: model.ReasonNotSupported, Field: "spec.routeTable", Message: "not supported", Optional: true}
	tests := map[string]struct {
		report engine.Report
		want   string // type=status/reason, in order
	}{
		"programmed":     {engine.Report{Programmed: true}, "Validated=True/ValidateLogicalSwitchSuccess Ready=True/ResetLogicalSwitchAclSuccess"},
		"not programmed": {engine.Report{}, "Validated=True/ValidateLogicalSwitchSuccess Ready=False/WaitingForNorthbound"},
		"invalid":        {engine.Report{Problems: []model.Problem{waiting, wrong}}, "Validated=False/ValidateLogicalSwitchFailed Ready=False/NameTaken Error=True/NameTaken"},
		"with a field that is not supported": {
			engine.Report{Problems: []model.Problem{optional}, Programmed: true},
			"Validated=True/ValidateLogicalSwitchSuccess Ready=True/ResetLogicalSwitchAclSuccess Supported=False/NotSupported",
		},
		"the same, and invalid": {
			engine.Report{Problems: []model.Problem{optional, wrong}},
			"Validated=False/ValidateLogicalSwitchFailed Ready=False/ValidateLogicalSwitchFailed Error=True/ValidateLogicalSwitchFailed Supported=False/NotSupported",
		},
		"valid, but the name is taken": {engine.Report{Problems: []model.Problem{waiting}, Programmed: true}, "Validated=True/ValidateLogicalSwitchSuccess Ready=False/NameTaken Error=True/NameTaken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []v1.Condition
			tt.report.Generation = 7
			SetConditions(&got, Reasons{Validated: model.ReasonSubnetValidated, Ready: model.ReasonSubnetOpen}, tt.report, noon)
			if diff := cmp.Diff(tt.want, summary(got)); diff != "" {
				t.Error(diff)
			}
			for _, c := range got {
				if c.ObservedGeneration != 7 {
					t.Errorf("%s has observedGeneration %d, want 7", c.Type, c.ObservedGeneration)
				}
			}
		})
	}
}

func summary(conditions []v1.Condition) string {
	var out []string
	for _, c := range conditions {
		out = append(out, string(c.Type)+"="+string(c.Status)+"/"+c.Reason)
	}
	return strings.Join(out, " ")
}

func TestConditionsKeepTheirTimes(t *testing.T) {
	var conditions []v1.Condition
	a := Reasons{Validated: model.ReasonSubnetValidated, Ready: model.ReasonSubnetPrivate}
	SetConditions(&conditions, a, engine.Report{Problems: []model.Problem{{Reason: "Some", Message: "thing"}}}, noon)
	SetConditions(&conditions, a, engine.Report{Programmed: true}, afternoon)
	if got, want := summary(conditions), "Validated=True/ValidateLogicalSwitchSuccess Ready=True/SetPrivateLogicalSwitchSuccess Error=False/Resolved"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c := v1.FindCondition(conditions, v1.ConditionValidated); !c.LastUpdateTime.Equal(&noon) {
		t.Errorf("an unchanged condition has a new time: %+v", c)
	}
	if c := v1.FindCondition(conditions, v1.ConditionReady); !c.LastTransitionTime.Equal(&afternoon) {
		t.Errorf("a changed condition has its old time: %+v", c)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	var problems []model.Problem
	for range 100 {
		problems = append(problems, model.Problem{Field: "spec.x", Message: strings.Repeat("é", 300)})
	}
	if got := message(problems); len(got) > maxMessage || strings.ToValidUTF8(got, "?") != got || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
	if got := message(problems[:1]); strings.HasSuffix(got, "…") {
		t.Errorf("a short message is cut: %q", got)
	}
}

func TestSubnetStatus(t *testing.T) {
	o := &v1.Subnet{Status: v1.SubnetStatus{ActivateGateway: "n1", V4UsingIPs: v1.BigIntOf(9)}}
	u := &addresses.Usage{
		Stats: ipam.Stats{
			V4: ipam.FamilyStats{Using: big.NewInt(2), Available: big.NewInt(251)},
			V6: ipam.FamilyStats{Using: big.NewInt(0), Available: new(big.Int).Lsh(big.NewInt(1), 64)},
		},
		Ranges: ipam.RangeTexts{Using: model.Dual[string]{V4: "10.0.0.2-10.0.0.3"}, Available: model.Dual[string]{V4: "10.0.0.4-10.0.0.254"}},
	}
	got := subnetStatus(o, StatusInput{Usage: u, Now: noon}).Status
	want := v1.SubnetStatus{
		ActivateGateway: "n1", V4UsingIPs: "2", V4AvailableIPs: "251", V6AvailableIPs: "18446744073709551616",
		V4UsingIPRange: "10.0.0.2-10.0.0.3", V4AvailableIPRange: "10.0.0.4-10.0.0.254",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestVpcStatus(t *testing.T) {
	names := Names{ClusterRouter: "ovn-cluster", DefaultSubnet: "ovn-default"}
	subnet := func(name, vpc string) Object {
		return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{Vpc: vpc, CIDRBlock: "10.0.0.0/24"}}
	}
	known := func(model.Kind) []Object {
		return []Object{subnet("join", "ovn-cluster"), subnet("implied", ""), subnet("theirs", "other")}
	}
	cluster := vpcStatus(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "ovn-cluster"}}, StatusInput{Known: known, Report: &engine.Report{Programmed: true}, Names: names, Now: noon}).Status
	if !cluster.Standby || !cluster.Default || cluster.Router != "ovn-cluster" || cluster.DefaultLogicalSwitch != "ovn-default" {
		t.Errorf("%+v", cluster)
	}
	if diff := cmp.Diff([]string{"implied", "join"}, cluster.Subnets); diff != "" {
		t.Error(diff)
	}
	other := vpcStatus(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: v1.VpcSpec{DefaultSubnet: "theirs"}}, StatusInput{Known: known, Names: names, Now: noon}).Status
	if other.Standby || other.Default || other.DefaultLogicalSwitch != "theirs" || len(other.Conditions) > 0 {
		t.Errorf("%+v", other)
	}
}

func TestStatusPatch(t *testing.T) {
	have := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "u", Labels: map[string]string{"a": "b"}}}
	have.Status.ActivateGateway = "n1"
	if patch, err := statusPatch(have, have.DeepCopy()); err != nil || patch != nil {
		t.Errorf("patch of an unchanged status: %s, %v", patch, err)
	}
	want := have.DeepCopy()
	want.Status.V4UsingIPs = "3"
	want.Labels = nil // not ours to change here
	patch, err := statusPatch(have, want)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metadata map[string]any `json:"metadata"`
		Spec     map[string]any `json:"spec"`
		Status   map[string]any `json:"status"`
	}
	if err := json.Unmarshal(patch, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"uid": "u"}, got.Metadata); diff != "" || got.Spec != nil {
		t.Errorf("metadata differ: %s; spec is %v, want none", diff, got.Spec)
	}
	for field, value := range map[string]any{"v4usingIPs": 3.0, "v6usingIPs": 0.0, "activateGateway": nil} {
		if got.Status[field] != value {
			t.Errorf("status.%s is %v, want %v", field, got.Status[field], value)
		}
	}
}

func TestPoolStatus(t *testing.T) {
	o := &v1.IPPool{Spec: v1.IPPoolSpec{Subnet: "apps", IPs: []string{"10.0.0.2..10.0.0.3"}}}
	stats := ipam.FamilyStats{Using: big.NewInt(1), Available: big.NewInt(1)}
	u := addresses.Usage{Subnet: "apps", Pool: "p", Stats: ipam.Stats{V4: stats, V6: ipam.FamilyStats{Using: new(big.Int), Available: new(big.Int)}}}
	u.Ranges.Using.V4, u.Ranges.Available.V4 = "10.0.0.2", "10.0.0.3"
	r := engine.Report{Programmed: true}
	status := poolStatus(o, StatusInput{Report: &r, Usage: &u, Now: metav1.Now()}).Status
	if status.V4UsingIPs.String() != "1" || status.V4AvailableIPRange != "10.0.0.3" || status.V6UsingIPs.String() != "0" {
		t.Errorf("%+v", status)
	}
	if c := v1.FindCondition(status.Conditions, v1.ConditionReady); c == nil || c.Status != metav1.ConditionTrue || c.Reason != model.ReasonIPPoolReady {
		t.Errorf("%+v", status.Conditions)
	}
	r.Problems = []model.Problem{{Reason: model.ReasonIPPoolInvalid, Field: "spec.ips", Message: "outside", Fatal: true}}
	status = poolStatus(o, StatusInput{Report: &r, Now: metav1.Now()}).Status
	if c := v1.FindCondition(status.Conditions, v1.ConditionValidated); c == nil || c.Status != metav1.ConditionFalse || c.Message != "spec.ips: outside" {
		t.Errorf("%+v", status.Conditions)
	}
}

func TestSupportedIsRestored(t *testing.T) {
	var conditions []v1.Condition
	reasons := Reasons{Validated: model.ReasonVpcValidated, Ready: model.ReasonVpcProgrammed}
	problem := model.Problem{Reason: model.ReasonNotSupported, Field: "spec.staticRoutes", Message: "not supported", Optional: true}
	SetConditions(&conditions, reasons, engine.Report{Programmed: true, Problems: []model.Problem{problem}}, noon)
	if c := v1.FindCondition(conditions, v1.ConditionSupported); c == nil || c.Message != "spec.staticRoutes: not supported" {
		t.Errorf("got %+v, want a condition that names the field", c)
	}
	SetConditions(&conditions, reasons, engine.Report{Programmed: true}, afternoon)
	if got, want := summary(conditions), "Validated=True/ValidateVpcSuccess Ready=True/VpcProgrammed Supported=True/Resolved"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnsupportedKindsHaveConditions(t *testing.T) {
	for name, o := range map[model.Kind]Object{"Vlan": &v1.Vlan{}, "ProviderNetwork": &v1.ProviderNetwork{}} {
		k, ok := AllKinds().Of(name)
		if !ok || k.Definition == "" || k.Admission == nil {
			t.Fatalf("%s is not watched: %+v", name, k)
		}
		change := k.Project(o)
		want := k.Status(o, StatusInput{Report: &engine.Report{Ref: change.Ref, Programmed: true, Problems: change.Problems}, Now: noon})
		text, err := json.Marshal(want)
		if err != nil || !strings.Contains(string(text), "objects of kind "+string(name)+" are not supported yet") || !strings.Contains(string(text), `"type":"Ready","status":"False","reason":"NotSupported"`) {
			t.Errorf("%s: %s, error %v", name, text, err)
		}
	}
}
