// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

// A node never cuts its own way: whatever objects and annotations say, no route, routing rule or NAT of ours may take
// traffic between the node and what it needs to receive the next change. What would is left out, and a problem names
// it. The controller refuses most of it as well; this is the wall of a node whose controller is wrong, old or absent.

// vital returns the addresses that the node must reach past OVN: its own, and those of the API servers and of OVN's
// databases. A ClusterIP of the API server is none: it is reached through OVN.
func vital(in Inputs) []netip.Addr {
	servers := slices.DeleteFunc(slices.Clone(in.Infrastructure.APIServers), func(a netip.Addr) bool {
		return slices.Contains(in.APIServerClusterIPs, a)
	})
	out := slices.Concat(in.Node.InternalIPs, servers, in.Infrastructure.Databases)
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Taken returns the first of the addresses that is in the prefix.
func Taken(p netip.Prefix, addresses []netip.Addr) (a netip.Addr, taken bool) {
	for _, a := range addresses {
		if p.Contains(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Guard leaves out of the inputs what would take traffic of the node itself; each problem says what. Guarding twice
// changes nothing.
func Guard(in Inputs) (guarded Inputs, problems []string) {
	needed := vital(in)
	without := func(list []netip.Prefix, what string) []netip.Prefix {
		return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool {
			a, taken := Taken(p.Masked(), needed)
			if taken {
				problems = append(problems, fmt.Sprintf("%s: %s contains %s, which the node needs outside of OVN", what, p.Masked(), a))
			}
			return taken
		})
	}
	of := "node " + in.Node.Name
	in.Node.Addresses = without(in.Node.Addresses, of+": network of its address in the nodes' Subnet")
	in.Node.Services = without(in.Node.Services, of+": range of its address towards Services")
	in.Services = without(in.Services, "ServiceCIDR")
	in.Subnets = slices.Clone(in.Subnets)
	for i := range in.Subnets {
		s := &in.Subnets[i]
		for _, p := range s.CIDRs {
			if a, taken := Taken(p, needed); taken && routed(in, *s) {
				s.Invalid = fmt.Sprintf("spec.cidrBlock: %s contains %s, which the node needs outside of OVN", p, a)
			}
		}
	}
	return in, problems
}

// ruleSources returns the sources that no routing rule may have: what the node itself sends.
func ruleSources(in Inputs) []netip.Addr {
	out := slices.Concat(vital(in), in.Node.Gateways)
	for _, p := range slices.Concat(in.Node.Addresses, in.Node.Services) {
		out = append(out, p.Addr())
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// entryChain drops what comes out of OVN and claims to be a node, and what would enter a tunnel: OVN has no reason to
// send either. Replies to the host's connections to Services have the Service's address here, and first packets to
// backends outside of OVN the host's address towards Services. It comes before connection tracking.
//
// A node may name any address as its InternalIP, so addresses of pods are no node's.
func entryChain() Chain {
	c := Chain{Name: "entry", Type: "filter", Hook: "prerouting", Priority: "raw"}
	from := `iifname "` + NodeLink + `" `
	tunnel := fmt.Sprintf(" udp dport %d counter drop", model.GenevePort)
	for _, f := range families {
		at := func(field, set string) string { return f.keyword + " " + field + " " + set + f.digit }
		c.Rules = append(c.Rules,
			Rule{Text: from + at("saddr", "@nodes") + " " + at("saddr", "!= @pods") + " counter drop", Comment: "no node sends through OVN with this address"},
			Rule{Text: from + at("daddr", "@nodes") + tunnel, Comment: "tunnels do not come out of OVN"})
	}
	c.Rules = append(c.Rules,
		Rule{Text: from + "fib saddr type local counter drop", Comment: "nobody else sends with an address of this node"},
		Rule{Text: from + "fib daddr type local" + tunnel, Comment: "tunnels do not come out of OVN"})
	return c
}
