// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"

	v1 "github.com/wovensdn/woven/api/v1"
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
	for _, acl := range spec.Acls {
		s.ACLs = append(s.ACLs, ACL{
			Direction: string(acl.Direction), Action: string(acl.Action), Match: acl.Match, Priority: acl.Priority,
		})
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
