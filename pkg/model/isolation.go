// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/ovnmatch"
)

// ACL is a raw OVN access rule of a subnet; see ovn-nb(5), table ACL.
type ACL struct {
	Direction string // from-lport or to-lport
	Action    string // allow-related, allow, allow-stateless, drop, reject, pass
	Match     string
	Priority  int // 0 to 32767
}

// isolation reads which sources may reach the subnet. An element that does not parse is skipped and reported.
func (p *problems) isolation(spec *v1.SubnetSpec, s *Subnet) {
	s.AllowEWTraffic = spec.AllowEWTraffic
	for _, text := range spec.AllowSubnets {
		prefix, err := parsePrefix(text)
		if err != nil {
			p.warn("spec.allowSubnets", "%s", err)
			continue
		}
		s.AllowSubnets = append(s.AllowSubnets, prefix.Masked())
	}
	for i, acl := range spec.Acls {
		if p.acl(fmt.Sprintf("spec.acls[%d].", i), acl) {
			s.ACLs = append(s.ACLs, ACL{
				Direction: string(acl.Direction), Action: string(acl.Action), Match: acl.Match, Priority: acl.Priority,
			})
		}
	}
}

// The values that the northbound database accepts in table ACL (ovn-nb(5)).
const maxACLPriority = 32767

var (
	aclDirections = []string{"from-lport", "to-lport"}
	aclActions    = []string{"allow", "allow-related", "allow-stateless", "drop", "reject", "pass"}
)

// acl reports whether OVN accepts a rule; field begins the names of its fields. The other rules apply without it.
func (p *problems) acl(field string, acl v1.ACL) bool {
	before := len(p.list)
	p.oneOf(field+"direction", string(acl.Direction), aclDirections)
	p.oneOf(field+"action", string(acl.Action), aclActions)
	if acl.Priority < 0 || acl.Priority > maxACLPriority {
		p.refused(field+"priority", "%d is not from 0 to %d; the rule has no effect", acl.Priority, maxACLPriority)
	}
	uses, err := ovnmatch.Parse(acl.Match)
	if err != nil {
		p.refused(field+"match", "%s; the rule has no effect", err)
	}
	for _, use := range uses {
		if use.Field == "outport" && acl.Direction == "from-lport" {
			p.refused(field+"match", "column %d: outport is not known yet in direction from-lport (ovn-nb(5), ACL:match); the rule has no effect", use.Column)
		}
	}
	return len(p.list) == before
}

func (p *problems) oneOf(field, value string, valid []string) {
	if !slices.Contains(valid, value) {
		p.refused(field, "%s is not one of %s; the rule has no effect", quote(value), strings.Join(valid, ", "))
	}
}

// Isolation is the part of [Subnet] that decides which sources reach its pods.
type Isolation struct {
	// Private subnets are reached only from themselves, from AllowSubnets and from the nodes.
	Private        bool
	AllowSubnets   []netip.Prefix // masked
	ACLs           []ACL
	AllowEWTraffic bool // with ACLs: pods of the subnet reach each other in spite of them, below priority 1900
}
