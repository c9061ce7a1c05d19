package compile

import (
	"strconv"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// stick has a client stay with its backend: by a hash of its address, or, if the
// Service names a timeout, by OVN's memory (ovn-nb(5), Load_Balancer
// options:affinity_timeout), which costs the first packet of each client that is not
// remembered. ovn-northd drops the packet that it learns from ("commit_lb_aff(…);
// /* drop */" in ls_in_lb_aff_learn, 25.03), see
// https://github.com/ovn-kubernetes/ovn-kubernetes/pull/4066.
func stick(row *nb.LoadBalancer, s *model.Service) {
	switch {
	case !s.Affinity:
	case s.Remembered() > 0:
		row.Options["affinity_timeout"] = strconv.Itoa(int(s.Remembered()))
	default:
		row.SelectionFields = []string{nb.LoadBalancerSelectionFieldsIPSrc, nb.LoadBalancerSelectionFieldsIpv6Src}
	}
}

// The bit of reg9 that ovn-northd calls REGBIT_KNOWN_LB_SESSION, and a tier that
// comes after all others.
const (
	labelKnownSession = 1 << 6
	tierLast          = 3
)

// readmit lets the repetition of that first packet pass on nodes with OVS's
// userspace datapath. The first packet was translated and committed before it was
// dropped. A kernel's connection tracking leaves a repetition as it is; the one of the
// userspace datapath translates it (it is still new), so that no flow asks whether
// the client is known, and ls_in_lb_aff_learn learns and drops again, for ever. It
// only drops what has the bit of a known client unset, in a register that an ACL
// with a label sets (label → reg9 in ls_in_acl_eval); packets that still have the
// Service's address get the bit anew afterwards, in ls_in_lb_aff_check. As the last
// rule of the last tier this one decides nothing else: it allows what nothing has refused.
func (c Config) readmit(r *Result, v *world.View, s *model.Subnet) {
	if !c.balanced(s) || !v.AffinityTimeouts() {
		return
	}
	r.Child(logicalSwitch(s.Name), nb.ACLTable, s.Name+"/affinity", &nb.ACL{
		Direction: nb.ACLDirectionFromLport, Action: nb.ACLActionAllowRelated, Match: "ct.new", Tier: tierLast, Label: labelKnownSession,
		ExternalIDs: map[string]string{"subnet": s.Name},
	})
}
