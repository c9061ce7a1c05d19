// SPDX-License-Identifier: Apache-2.0

package model

import (
	"regexp"
	"testing"

	v1 "github.com/wovensdn/woven/api/v1"
)

func TestNATRulesInForce(t *testing.T) {
	rule := func(source, destination string, action v1.NATAction) v1.NatOutgoingPolicyRule {
		return v1.NatOutgoingPolicyRule{Match: v1.NatOutgoingPolicyMatch{SrcIPs: source, DstIPs: destination}, Action: action}
	}
	o := &v1.Subnet{}
	o.Name = "red"
	o.Spec.NatOutgoing = true
	o.Spec.NatOutgoingPolicyRules = []v1.NatOutgoingPolicyRule{
		rule("10.16.0.0/24", "", v1.NATActionForward),
		rule("10.16.0.300", "", v1.NATActionNAT),
		rule("10.16.0.0/24", "fd00::/64", v1.NATActionNAT),
		rule("", "192.168.0.1,192.168.1.0/24", v1.NATActionNAT),
		rule("10.16.0.0/24", "", v1.NATActionForward),
	}
	got := NATRulesInForce(o)
	if len(got) != 3 || got[0].NatOutgoingPolicyRule != o.Spec.NatOutgoingPolicyRules[0] || got[1].NatOutgoingPolicyRule != o.Spec.NatOutgoingPolicyRules[3] {
		t.Fatalf("in force are %+v", got)
	}
	ids := map[string]bool{}
	for _, r := range got {
		if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(r.RuleID) {
			t.Errorf("ruleID is %q", r.RuleID)
		}
		ids[r.RuleID] = true
	}
	other := o.DeepCopy()
	other.Name = "blue"
	for _, r := range NATRulesInForce(other) {
		ids[r.RuleID] = true
	}
	if len(ids) != 6 {
		t.Errorf("rules of two subnets and of two positions share IDs: %v", ids)
	}
	if again := NATRulesInForce(o); again[2] != got[2] {
		t.Errorf("the ID of one rule was %s and is %s", got[2].RuleID, again[2].RuleID)
	}
	o.Spec.NatOutgoing = false
	if got := NATRulesInForce(o); got != nil {
		t.Errorf("without natOutgoing, in force are %+v", got)
	}
}
