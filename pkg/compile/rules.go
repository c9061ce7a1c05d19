// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// aclNameLength is the maximum length of the name of an ACL (ovn-nb(5)).
const aclNameLength = 63

// ruleBuilder creates the ACLs of one object on one port group. It does not depend on the kind of the object.
type ruleBuilder struct {
	r        *Result
	owner    model.Ref // in the identity and the name of each ACL
	ownerKey string    // the key of external_ids that names the owner
	group    string    // the port group whose ports the rules are about
	tier     model.PolicyTier
	log      model.PolicyLog
	known    map[string]struct{} // identities of the ACLs
}

// aclRule is one ACL of a direction.
type aclRule struct {
	name     string // for users, in external_ids:rule
	action   string // ovn-nb(5), ACL:action
	priority int
	match    string // ovn-sb(5), Logical_Flow:match
}

// add adds an ACL. Its identity is a hash of its contents, so that a change of the object touches only the rows that
// differ.
func (b *ruleBuilder) add(direction string, rule aclRule) {
	row := &nb.ACL{Action: rule.action, Priority: rule.priority, Tier: int(b.tier), Match: rule.match}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", direction, rule.priority, rule.action, rule.match))
	b.setLog(row)
	row.ExternalIDs = map[string]string{"rule": sideName(direction) + "/" + rule.name}
	b.acl(b.owner.String()+"/"+hex.EncodeToString(sum[:8]), direction, row)
}

// passEarlierTiers adds an ACL to each earlier tier that passes traffic of the group's ports to the next tier. A
// direction with rules needs them, see passTiers.
func (b *ruleBuilder) passEarlierTiers(direction string) {
	for tier := range int(b.tier) {
		b.acl(fmt.Sprintf("%s/pass/%s/%d", b.owner, direction, tier), direction,
			&nb.ACL{Action: nb.ACLActionPass, Tier: tier, Match: portMatch(direction, b.group) + " && ip"})
	}
}

// floor allows in the last tier what no rule decides. Without a rule in a later tier, the connections that a rule
// passes would otherwise not be committed to conntrack.
func (b *ruleBuilder) floor(direction string) {
	b.acl(fmt.Sprintf("%s/floor/%s", b.owner, direction), direction,
		&nb.ACL{Action: nb.ACLActionAllowRelated, Tier: int(model.TierBaseline), Match: portMatch(direction, b.group) + " && ip"})
}

func (b *ruleBuilder) acl(id, direction string, row *nb.ACL) {
	if _, exists := b.known[id]; exists {
		return // an equal rule
	}
	if b.known == nil {
		b.known = map[string]struct{}{}
	}
	b.known[id] = struct{}{}
	row.Direction = direction
	if direction == nb.ACLDirectionFromLport {
		row.Options = map[string]string{"apply-after-lb": "true"} // match the backend, not the address of the Service
	}
	name := b.owner.String()
	if len(name) > aclNameLength {
		name = name[:aclNameLength]
	}
	row.Name = &name
	if row.ExternalIDs == nil {
		row.ExternalIDs = map[string]string{}
	}
	row.ExternalIDs[b.ownerKey] = b.owner.String()
	b.r.Child(fact.RefTo(nb.PortGroupTable, b.group), nb.ACLTable, id, row)
}

// portMatch matches packets to or from a port of a group.
func portMatch(direction, group string) string {
	if direction == nb.ACLDirectionToLport {
		return "outport == @" + group
	}
	return "inport == @" + group
}

func sideName(direction string) string {
	if direction == nb.ACLDirectionToLport {
		return "ingress"
	}
	return "egress"
}
