package model

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	v1 "github.com/wovensdn/woven/api/v1"
)

// natRuleIDDigits is how many hexadecimal digits identify a rule.
const natRuleIDDigits = 12

// NATRulesInForce lists the rules of spec.natOutgoingPolicyRules that are in
// force, as the status of the Subnet tells them: none while natOutgoing is false,
// and none of those that are wrong. The ruleID is made of the name of the subnet,
// the position of the rule in the spec, counted from zero, and what it says.
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
