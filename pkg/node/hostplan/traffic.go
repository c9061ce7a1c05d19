// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"net/netip"
	"slices"
	"strings"
)

// traffic counts what the node forwards for each network of pods, in both
// directions. A packet costs one look-up for each direction, however many
// networks there are.
func traffic(in Inputs, f family, t *Table) (counters []Counter, rules []Rule) {
	for _, d := range []struct {
		name, field, comment string
		ingress              bool
	}{
		{"egress", "saddr", "what networks of pods send", false},
		{"ingress", "daddr", "what networks of pods get", true},
	} {
		values := map[netip.Prefix]string{}
		for _, s := range podSubnets(in) {
			name := counterName(d.name+f.digit, s.Name)
			for _, c := range s.CIDRs {
				if _, taken := values[c.Masked()]; taken || !f.prefixOf(c) {
					continue
				}
				values[c.Masked()] = name
				counters = append(counters, Counter{Name: name, Subnet: s.Name, CIDR: c.Masked(), Ingress: d.ingress})
			}
		}
		t.Maps = append(t.Maps, Map{Name: d.name + f.digit, Type: f.kind + " : counter", Elements: elements(values)})
		rules = append(rules, Rule{Text: "counter name " + f.keyword + " " + d.field + " map @" + d.name + f.digit, Comment: d.comment})
	}
	return counters, rules
}

// podSubnets are the subnets that hosts reach through ovn0, but for the join
// subnet, by name.
func podSubnets(in Inputs) []Subnet {
	out := slices.DeleteFunc(slices.Clone(in.Subnets), func(s Subnet) bool {
		return !routed(in, s) || slices.ContainsFunc(s.CIDRs, func(c netip.Prefix) bool { return connected(in.Node, c.Masked()) })
	})
	slices.SortFunc(out, func(a, b Subnet) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// counterName is the name of a counter of a subnet; like that of a chain it has at most 255 bytes.
func counterName(kind, subnet string) string { return kind + "-" + shortened(subnet) }
