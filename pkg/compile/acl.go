// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// tierSubnet is the tier of the rules of subnets (ovn-nb(5), ACL:tier). Administrators' policies are in earlier tiers,
// the cluster's baseline in a later one. NetworkPolicies are in the same tier, with priorities between those of
// subnets.
const tierSubnet = int(model.TierDefault)

// Priorities of a subnet's ACLs; the numbers are Kube-OVN's.
const (
	priorityNodes       = 3000 // nodes reach their pods in any case
	priorityEastWest    = 1900
	priorityPrivate     = 1001
	priorityPrivateDrop = 1000
)

// kubeOVNAllowed is the priority of what a NetworkPolicy of Kube-OVN allows.
const kubeOVNAllowed = 2001

// isolate declares the ACLs that decide which sources reach the pods of a subnet. Every ACL has an identity of its own,
// so changing one does not touch the others: at no moment is a private subnet open, or allowed traffic blocked.
func (c Config) isolate(r *Result, v *world.View, s *model.Subnet) {
	if s.Private {
		c.private(r, v, s)
	}
	for _, acl := range s.ACLs {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", acl.Direction, acl.Priority, acl.Action, acl.Match))
		rule(r, s, "acl/"+hex.EncodeToString(sum[:8]), &nb.ACL{
			Direction: acl.Direction, Priority: besidePolicies(acl.Priority), Action: acl.Action, Match: acl.Match,
		})
	}
	if s.AllowEWTraffic && len(s.ACLs) > 0 {
		for _, cidr := range model.PrefixFamilies(s.CIDR) {
			ip := family(cidr.Addr())
			for _, direction := range []string{nb.ACLDirectionFromLport, nb.ACLDirectionToLport} {
				rule(r, s, "east-west/"+direction+"/"+ip, &nb.ACL{
					Direction: direction, Priority: priorityEastWest, Action: nb.ACLActionAllowRelated,
					Match: fmt.Sprintf("%[1]s.src == %[2]s && %[1]s.dst == %[2]s", ip, cidr),
				})
			}
		}
	}
	passTiers(r, s)
}

// besidePolicies returns the priority of an ACL in the spec of a Subnet. Kube-OVN's NetworkPolicies allow with priority
// 2001; ours use 2001 to 2003, so that priorities around these keep their order relative to what policies allow.
func besidePolicies(priority int) int {
	switch {
	case priority == kubeOVNAllowed:
		return priorityAllowed
	case priority > kubeOVNAllowed && priority <= priorityAllowed:
		return priorityAllowed + 1
	default:
		return priority
	}
}

// passTiers adds a "pass" rule to every tier before that of the subnet's rules. Without a matching rule in a tier,
// ovn-northd 25.03 treats that tier as the last one for a connection that a drop rule of a later tier has ended: its
// default flow (priority 1 of ls_in_acl_eval and ls_out_acl_eval) lets the packet through and clears the mark. So every
// second packet of a connection that is older than the rule would pass. Only directions with rules get it: what the
// last tier passes is not committed to conntrack, and the reply would be invalid.
func passTiers(r *Result, s *model.Subnet) {
	parent, directions := logicalSwitch(s.Name), map[string]bool{}
	for i := range r.Rows {
		if acl, ok := r.Rows[i].Columns.(*nb.ACL); ok && r.Rows[i].Parent == parent && acl.Tier == tierSubnet {
			directions[acl.Direction] = true
		}
	}
	for _, direction := range slices.Sorted(maps.Keys(directions)) {
		for tier := range tierSubnet {
			r.Child(parent, nb.ACLTable, fmt.Sprintf("%s/pass/%s/%d", s.Name, direction, tier), &nb.ACL{
				Direction: direction, Action: nb.ACLActionPass, Match: "ip", Tier: tier,
				ExternalIDs: map[string]string{"subnet": s.Name},
			})
		}
	}
}

// private drops ingress traffic except from the subnet itself, from the subnets that it allows, and from nodes, whose
// source is an address of the join subnet or of Config.ServiceSource. Replies to the subnet's own pods pass.
func (c Config) private(r *Result, v *world.View, s *model.Subnet) {
	if join, ok := v.SubnetNetwork(c.NodeSwitch); ok && s.Vpc == join.Vpc {
		allowNodes(r, s, "private/nodes/", model.PrefixFamilies(join.CIDR))
		allowNodes(r, s, "private/hosts/", c.hostSources()) // through a Service
	}
	for _, own := range model.PrefixFamilies(s.CIDR) {
		ip := family(own.Addr())
		// The match includes the destination because "to-lport" also applies to the router's port, where the subnet's
		// own egress traffic must pass.
		rule(r, s, "private/drop/"+ip, &nb.ACL{
			Direction: nb.ACLDirectionToLport, Priority: priorityPrivateDrop, Action: nb.ACLActionDrop,
			Match: fmt.Sprintf("%s.dst == %s", ip, own),
		})
		for _, peer := range append([]netip.Prefix{own}, s.AllowSubnets...) {
			if family(peer.Addr()) != ip {
				continue
			}
			rule(r, s, "private/"+own.String()+"/"+peer.String(), &nb.ACL{
				Direction: nb.ACLDirectionToLport, Priority: priorityPrivate, Action: nb.ACLActionAllowRelated,
				Match: fmt.Sprintf("%[1]s.src == %[3]s && %[1]s.dst == %[2]s", ip, own, peer),
			})
		}
	}
}

func allowNodes(r *Result, s *model.Subnet, id string, prefixes []netip.Prefix) {
	for _, cidr := range prefixes {
		ip := family(cidr.Addr())
		rule(r, s, id+ip, &nb.ACL{
			Direction: nb.ACLDirectionToLport, Priority: priorityNodes, Action: nb.ACLActionAllowRelated,
			Match: fmt.Sprintf("%s.src == %s", ip, cidr),
		})
	}
}

// rule adds an ACL to the subnet's switch.
func rule(r *Result, s *model.Subnet, id string, acl *nb.ACL) {
	acl.Tier = tierSubnet
	acl.ExternalIDs = map[string]string{"subnet": s.Name}
	parent := logicalSwitch(s.Name)
	ref := fact.RefTo(nb.ACLTable, s.Name+"/"+id)
	for i := range r.Rows {
		if r.Rows[i].Ref == ref {
			return // the same rule written twice in the spec
		}
	}
	r.Child(parent, nb.ACLTable, s.Name+"/"+id, acl)
}
