// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"strings"
	"testing"
)

// TestStoredObjectsStayEditable: rules that bind several fields are not asked
// again while those fields stay as they are, however wrong. For rules of one
// field the API server sees to that; test/api has a test of both.
func TestStoredObjectsStayEditable(t *testing.T) {
	egress := "cidrBlock: 10.0.0.0/16, externalEgressGateway: 192.168.0.1"
	for _, c := range []struct{ stored, worse, message string }{
		{`gatewayType: ""`, `gatewayType: "", cidrBlock: ""`, "spec.cidrBlock is required"},
		{`vlan: v, gateway: 10.0.0.1`, `vlan: v, gateway: 10.0.0.2`, "must be empty when spec.cidrBlock is empty"},
		{`vlan: v, excludeIps: [10.0.0.1]`, `vlan: v, excludeIps: [10.0.0.2]`, "must be empty when spec.cidrBlock is empty"},
		{`cidrBlock: 10.0.0.0/16, gateway: 10.1.0.1`, `cidrBlock: 10.0.0.0/16, gateway: 10.1.0.2`, "spec.gateway must be inside spec.cidrBlock"},
		{
			`cidrBlock: "10.0.0.0/16,fd00::/64", gateway: "10.1.0.1,fd01::1"`, `cidrBlock: "10.0.0.0/16,fd00::/64", gateway: "10.0.0.1,fd01::1"`,
			"spec.gateway must be inside spec.cidrBlock",
		},
		{`cidrBlock: "fd00::/64", mtu: 1200`, `cidrBlock: "fd00::/64", mtu: 1201`, "at least 1280"},
		{
			egress + `, policyRoutingPriority: 1, policyRoutingTableID: 1, natOutgoing: true`,
			strings.Replace(egress, "168.0.1", "168.0.2", 1) + `, policyRoutingPriority: 1, policyRoutingTableID: 1, natOutgoing: true`,
			"exclude each other",
		},
		{egress + `, policyRoutingPriority: 1`, egress + `, policyRoutingPriority: 1, policyRoutingTableID: 254`, "needs spec.policyRoutingTableID"},
		{egress + `, policyRoutingTableID: 1`, egress + `, policyRoutingTableID: 1, policyRoutingPriority: 0`, "needs spec.policyRoutingPriority"},
		{
			`cidrBlock: 10.0.0.0/16, vlan: v, logicalGateway: true, u2oInterconnection: true`,
			`cidrBlock: 10.0.0.0/16, vlan: w, logicalGateway: true, u2oInterconnection: true`, "exclude each other",
		},
		{
			`cidrBlock: 10.0.0.0/16, u2oFeatures: {overlayOnlyRouting: true}`,
			`cidrBlock: 10.0.0.0/16, u2oFeatures: {overlayOnlyRouting: true}, u2oInterconnection: true`, "needs spec.u2oInterconnection",
		},
		{`cidrBlock: 10.0.0.0/16, vpc: x`, `cidrBlock: 10.0.0.0/16, vpc: y`, "spec.vpc cannot be changed"},
	} {
		v := newValidators(t)
		stored := parse(t, spec("Subnet", "{"+c.stored+"}"))
		if errs := v.check(t.Context(), parse(t, spec("Subnet", "{"+c.stored+", private: true}")), stored); len(errs) > 0 {
			t.Errorf("%s: another field cannot be changed: %v", c.stored, errs.ToAggregate())
		}
		errs := v.check(t.Context(), parse(t, spec("Subnet", "{"+c.worse+"}")), stored)
		if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), c.message) {
			t.Errorf("%s can become %s: %v", c.stored, c.worse, errs.ToAggregate())
		}
	}
}

// TestSubnetStaysInItsVpc: a Vpc can be named once. Manifests that name none go
// on to be applied after the controller has written the default.
func TestSubnetStaysInItsVpc(t *testing.T) {
	for _, c := range []struct {
		from, to string
		refused  bool
	}{
		{"", "", false},
		{"", "vpc: ovn-cluster", false},
		{"", "vpc: red", false},
		{`vpc: ""`, "vpc: red", false},
		{"vpc: ovn-cluster", "", false},
		{"vpc: ovn-cluster", `vpc: ""`, false},
		{"vpc: red", "vpc: red", false},
		{"vpc: ovn-cluster", "vpc: red", true},
		{"vpc: red", "vpc: ovn-cluster", true},
		{"vpc: red", "", true},
		{"vpc: red", `vpc: ""`, true},
	} {
		v := newValidators(t)
		object := func(vpc string) map[string]any {
			return parse(t, spec("Subnet", strings.TrimSuffix("{cidrBlock: 10.0.0.0/16, "+vpc, ", ")+"}"))
		}
		errs := v.check(t.Context(), object(c.to), object(c.from))
		if refused := len(errs) > 0; refused != c.refused || refused && errs[0].Field != "spec.vpc" {
			t.Errorf("%q to %q gives %v", c.from, c.to, errs)
		}
	}
}
