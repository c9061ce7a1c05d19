// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"strings"
	"testing"

	v1 "github.com/wovensdn/woven/api/v1"
)

// The fields of a Subnet that say how traffic leaves arrive in the node's table.
func TestNATOfSubnets(t *testing.T) {
	central := testSubnet("central", "10.20.0.0/16", true)
	central.Spec.GatewayType, central.Spec.GatewayNode = v1.GatewayCentralized, "n2,n1:192.0.2.9"
	ruled := testSubnet("ruled", "10.21.0.0/16", true)
	ruled.Spec.NatOutgoingPolicyRules = []v1.NatOutgoingPolicyRule{
		{Match: v1.NatOutgoingPolicyMatch{SrcIPs: "10.21.0.5,10.21.1.0/24", DstIPs: "8.8.8.8"}, Action: v1.NATActionForward},
	}
	h := newHost(t, append(typical(), central, ruled)...)
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	dump := h.tables.Dump()
	for _, line := range []string{
		"add element inet woven source4 { 10.20.0.0/16 : 192.0.2.9 }",
		"add element inet woven policy4 { 10.21.0.0/16 : jump subnet-ruled }",
		"add rule inet woven subnet-ruled ip saddr { 10.21.0.5, 10.21.1.0/24 } ip daddr 8.8.8.8 accept",
	} {
		if !strings.Contains(dump, line) {
			t.Errorf("no %q in\n%s", line, dump)
		}
	}
	ruled.Spec.NatOutgoingPolicyRules[0].Match.DstIPs = "8.8.8.x"
	if err := h.objects.Update(t.Context(), ruled); err != nil {
		t.Fatal(err)
	}
	_, err := h.state.pass(t.Context())
	if err == nil || !strings.Contains(err.Error(), `subnet ruled: spec.natOutgoingPolicyRules.match.dstIPs: "8.8.8.x" is not an address`) {
		t.Errorf("error %v", err)
	}
	if h.state.Ready() != nil {
		t.Error("a mistake in one subnet makes the node unready")
	}
}
