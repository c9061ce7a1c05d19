// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"strconv"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// sessionAffinity makes a client keep its backend: by a hash of its address or, if the Service has a timeout, by OVN's
// affinity table (ovn-nb(5), Load_Balancer options:affinity_timeout). The latter costs the first packet of each unknown
// client: ovn-northd drops the packet that it learns from ("commit_lb_aff(…); /* drop */" in ls_in_lb_aff_learn,
// 25.03), see https://github.com/ovn-kubernetes/ovn-kubernetes/pull/4066.
func sessionAffinity(row *nb.LoadBalancer, s *model.Service) {
	switch {
	case !s.Affinity:
	case s.Remembered() > 0:
		row.Options["affinity_timeout"] = strconv.Itoa(int(s.Remembered()))
	default:
		row.SelectionFields = []string{nb.LoadBalancerSelectionFieldsIPSrc, nb.LoadBalancerSelectionFieldsIpv6Src}
	}
}

// Bit 9 of OVN's register reg9, which ovn-northd calls REGBIT_KNOWN_LB_SESSION, and the last tier.
const (
	labelKnownSession = 1 << 6
	tierLast          = 3
)

// readmit lets the retransmission of that first packet pass on nodes with OVS's userspace datapath. The first packet
// was translated and committed before it was dropped. The kernel's conntrack does not translate the retransmission. The
// userspace datapath's conntrack does (the connection is still new), so no flow checks whether the client is known, and
// ls_in_lb_aff_learn learns and drops again, forever. It only drops packets whose bit for a known client is not set, in
// a register that an ACL with a label sets (label → reg9 in ls_in_acl_eval). Packets that still have the Service's
// address get the bit set again afterwards, in ls_in_lb_aff_check. As the last rule of the last tier, this rule decides
// nothing else: it allows what no rule has refused.
func (c Config) readmit(r *Result, v *world.View, s *model.Subnet) {
	if !c.balanced(s) || !v.AffinityTimeouts() {
		return
	}
	r.Child(logicalSwitch(s.Name), nb.ACLTable, s.Name+"/affinity", &nb.ACL{
		Direction: nb.ACLDirectionFromLport, Action: nb.ACLActionAllowRelated, Match: "ct.new", Tier: tierLast, Label: labelKnownSession,
		ExternalIDs: map[string]string{"subnet": s.Name},
	})
}
