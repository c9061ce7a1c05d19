// SPDX-License-Identifier: Apache-2.0

package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	v1 "github.com/wovensdn/woven/api/v1"
)

// natRuleIDDigits is the number of hexadecimal digits that identify a rule.
const natRuleIDDigits = 12

// NATRulesInForce returns the active rules of spec.natOutgoingPolicyRules for the status of the Subnet: none while
// natOutgoing is false, and only the valid ones. The ruleID is a hash of the name of the subnet, the position of the
// rule in the spec, counted from zero, and its contents.
func NATRulesInForce(o *v1.Subnet) []v1.NatOutgoingPolicyRuleStatus {
	if !o.Spec.NatOutgoing {
		return nil
	}
	var out []v1.NatOutgoingPolicyRuleStatus
	for i := range o.Spec.NatOutgoingPolicyRules {
		rule := &o.Spec.NatOutgoingPolicyRules[i]
		p := problems{reason: ReasonSubnetInvalid}
		if _, ok := p.natRule(rule); !ok {
			continue
		}
		out = append(out, v1.NatOutgoingPolicyRuleStatus{RuleID: natRuleID(o.Name, i, rule), NatOutgoingPolicyRule: *rule})
	}
	return out
}

func natRuleID(subnet string, position int, rule *v1.NatOutgoingPolicyRule) string {
	text, err := json.Marshal(rule)
	if err != nil {
		return "" // three strings always have a JSON form
	}
	sum := sha256.Sum256(append([]byte(subnet+strconv.Itoa(position)), text...))
	return hex.EncodeToString(sum[:])[:natRuleIDDigits]
}
