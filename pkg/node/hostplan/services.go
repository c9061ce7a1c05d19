// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"net/netip"
	"slices"
)

// Hosts reach Services through ovn0, where OVN chooses a backend. The kernel gives these packets a source address that
// no host has, so that OVN can forward them to any backend, this host among them, and each reply back through ovn0.

// sourceOf is the node's address towards Services of one family.
func sourceOf(n Node, f family) (netip.Prefix, bool) {
	i := slices.IndexFunc(n.Services, f.prefixOf)
	if i < 0 {
		return netip.Prefix{}, false
	}
	return n.Services[i], true
}

// serviceNets are the networks of ClusterIPs that the host reaches through ovn0:
// those of families in which it has an address towards them.
func serviceNets(in Inputs, f family) (nets []netip.Prefix) {
	if _, ok := sourceOf(in.Node, f); !ok {
		return nil
	}
	for _, p := range in.Services {
		if f.prefixOf(p) {
			nets = append(nets, p.Masked())
		}
	}
	return nets
}

// serviceRoutes adds the routes to the networks of ClusterIPs, and to the addresses that hosts take towards them:
// backends on this host reply to these.
func serviceRoutes(in Inputs, r *Routes, seen map[netip.Prefix]bool) {
	for _, f := range families {
		nets := serviceNets(in, f)
		if source, ok := sourceOf(in.Node, f); ok {
			nets = append(nets, source.Masked())
		}
		for _, net := range nets {
			if route, ok := via(in.Node, net); ok && !seen[net] {
				seen[net] = true
				r.Want = append(r.Want, route)
			}
		}
	}
}

// serviceRules translate the source of what the host sends to Services, and drop packets to that source address that
// belong to no connection: no link has the address.
func serviceRules(in Inputs, f family) (post, forward []Rule) {
	source, ok := sourceOf(in.Node, f)
	if !ok {
		return nil, nil
	}
	post = []Rule{{
		Text:    `oifname "` + NodeLink + `" ` + f.keyword + " daddr @services" + f.digit + " snat " + f.keyword + " to " + source.Addr().String() + " fully-random",
		Comment: "the host's address towards Services",
	}}
	forward = []Rule{{
		Text:    `iifname "` + NodeLink + `" oifname "` + NodeLink + `" ` + f.keyword + " daddr " + source.Addr().String() + " drop",
		Comment: "an answer that nobody waits for",
	}, {
		// It would go round between the kernel and OVN, and be tracked as many connections.
		Text:    `iifname "` + NodeLink + `" ` + f.keyword + " saddr " + source.Masked().String() + " " + f.keyword + " daddr @services" + f.digit + " drop",
		Comment: "what OVN did not know as a Service",
	}}
	return post, forward
}

// behindChain translates the source of packets that this node forwards, where the reply would not come back through
// it. Pods then see the node's address towards Services, and not the one from which the node itself connects to pods:
// policies let that one pass to the node's own pods, and have to distinguish clients from the node. Packets of the host
// itself may have it.
func behindChain(in Inputs, f family) Chain {
	c := Chain{Name: f.behind()}
	if source, ok := sourceOf(in.Node, f); ok {
		c.Rules = append(c.Rules, Rule{
			Text:    `oifname "` + NodeLink + `" fib saddr type != local snat ` + f.keyword + " to " + source.Addr().String() + " fully-random",
			Comment: "clients behind this node",
		})
	}
	c.Rules = append(c.Rules, Rule{Text: "masquerade fully-random", Comment: "the node itself, and what leaves by another way"})
	return c
}

func (f family) behind() string { return "behind" + f.digit }
