// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
)

var testDefaults = Defaults{
	Names:   Names{ClusterRouter: "ovn-cluster", DefaultSubnet: "ovn-default", NodeSwitch: "join"},
	Default: SubnetPlan{CIDR: "10.16.0.0/16,fd00:10:16::/64", ExcludeIPs: []string{"10.16.0.9"}},
	Join:    SubnetPlan{CIDR: "100.64.0.0/16", Gateway: "100.64.0.254"},
}

func TestRequiredObjects(t *testing.T) {
	k := &Bootstrapper{defaults: testDefaults}
	required := k.required()
	if len(required) != 3 || required[model.Ref{Kind: model.KindVpc, Name: "ovn-cluster"}] == nil {
		t.Fatalf("required objects are %v", required)
	}
	pods, ok := required[model.Ref{Kind: model.KindSubnet, Name: "ovn-default"}].(*v1.Subnet)
	if !ok {
		t.Fatal("no default subnet")
	}
	s := pods.Spec
	if !s.Default || !s.NatOutgoing || s.Protocol != v1.ProtocolDual || s.Gateway != "10.16.0.1,fd00:10:16::1" ||
		strings.Join(s.ExcludeIPs, " ") != "10.16.0.1 10.16.0.9 fd00:10:16::1" || len(pods.Finalizers) != 1 {
		t.Errorf("%+v", pods)
	}
	join, ok := required[model.Ref{Kind: model.KindSubnet, Name: "join"}].(*v1.Subnet)
	if !ok || join.Spec.Default || join.Spec.Gateway != "100.64.0.254" {
		t.Errorf("%+v", join)
	}
	for ref, o := range required {
		if subnet, ok := o.(*v1.Subnet); ok && k.withDefaults(subnet) != nil {
			t.Errorf("%s is written again after its creation: %+v", ref, k.withDefaults(subnet).Spec)
		}
	}
}

func TestWithDefaults(t *testing.T) {
	k := &Bootstrapper{defaults: testDefaults}
	subnet := func(name string, spec v1.SubnetSpec) *v1.Subnet {
		return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	extraDefault := k.withDefaults(subnet("other", v1.SubnetSpec{CIDRBlock: "10.1.2.3/16", Default: true}))
	if extraDefault == nil || extraDefault.Spec.Default || extraDefault.Spec.CIDRBlock != "10.1.0.0/16" || extraDefault.Labels["ovn.kubernetes.io/vpc"] != "ovn-cluster" {
		t.Errorf("%+v", extraDefault)
	}
	if again := k.withDefaults(extraDefault); again != nil {
		t.Errorf("defaults are written a second time: %+v", again)
	}
	if wrong := k.withDefaults(subnet("wrong", v1.SubnetSpec{CIDRBlock: "nonsense"})); wrong != nil {
		t.Errorf("an invalid spec is changed: %+v", wrong)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	if err := testDefaults.Validate("default-", "node-switch-"); err != nil {
		t.Error(err)
	}
	wrong := testDefaults
	wrong.Join.Gateway = "100.65.0.1"
	if err := wrong.Validate("default-", "node-switch-"); err == nil || !strings.Contains(err.Error(), "--node-switch-*: Subnet join: spec.gateway") {
		t.Errorf("error is %v", err)
	}
}
