// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// maxName is the most of a subnet's name, in bytes, that names in nftables hold:
// these have up to 255 (NFT_NAME_MAXLEN), and a Subnet's name up to 253.
const maxName = 200

// shortened is the name of a subnet as a part of names in nftables.
func shortened(subnet string) string {
	if len(subnet) <= maxName {
		return subnet
	}
	sum := sha256.Sum256([]byte(subnet))
	return subnet[:maxName] + "-" + hex.EncodeToString(sum[:4])
}

// policyChain is the name of the chain with the NAT rules of a subnet.
func policyChain(subnet string) string { return "subnet-" + shortened(subnet) }

// policies maps the CIDRs of subnets that have NAT rules to the chains of these rules.
func policies(in Inputs, f family) []Element {
	values := map[netip.Prefix]string{}
	for _, s := range natSubnets(in) {
		if len(s.Egress.NATRules) > 0 {
			assign(values, s.CIDRs, f, "jump "+policyChain(s.Name))
		}
	}
	return elements(values)
}

// policyChains has a chain for each subnet with NAT rules. It accepts what keeps
// its address; everything else comes back from it, and is translated, since these
// subnets have natOutgoing. So chains of every type may jump there.
func policyChains(in Inputs) []Chain {
	var out []Chain
	for _, s := range natSubnets(in) {
		if len(s.Egress.NATRules) == 0 {
			continue
		}
		c := Chain{Name: policyChain(s.Name)}
		for i, r := range s.Egress.NATRules {
			verdict, action := "accept", "forward"
			if r.NAT {
				verdict, action = "return", "nat"
			}
			c.Rules = append(c.Rules, Rule{
				Text:    strings.Join(append(policyMatch(r), verdict), " "),
				Comment: fmt.Sprintf("natOutgoingPolicyRules %d: %s", i+1, action),
			})
		}
		out = append(out, c)
	}
	return out
}

// policyMatch is the condition of a rule; empty if it holds for every packet.
func policyMatch(r model.NATRule) []string {
	is := families[0]
	for _, p := range slices.Concat(r.Sources, r.Destinations) {
		if !is.prefixOf(p) {
			is = families[1]
		}
	}
	out := append(addressMatch(is, "saddr", r.Sources), addressMatch(is, "daddr", r.Destinations)...)
	if len(out) == 0 && len(r.Sources)+len(r.Destinations) > 0 {
		return []string{"meta nfproto " + is.protocol}
	}
	return out
}

// addressMatch is the condition that an address is in one of the prefixes;
// empty if any address is.
func addressMatch(f family, field string, ps []netip.Prefix) []string {
	for _, p := range ps {
		if p.Bits() == 0 {
			return nil
		}
	}
	switch list := prefixes(ps, f.ip); len(list) {
	case 0:
		return nil
	case 1:
		return []string{f.keyword + " " + field + " " + list[0]}
	default:
		return []string{f.keyword + " " + field + " { " + strings.Join(list, ", ") + " }"}
	}
}
