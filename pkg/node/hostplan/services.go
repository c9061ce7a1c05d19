package hostplan

import (
	"net/netip"
	"slices"
)

// Hosts reach Services through ovn0, where OVN chooses a backend. The kernel gives
// what it sends there a source address that no host has, so that OVN can lead it to
// any backend, this host among them, and each answer back through ovn0.

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
func serviceNets(w World, f family) (nets []netip.Prefix) {
	if _, ok := sourceOf(w.Node, f); !ok {
		return nil
	}
	for _, p := range w.Services {
		if f.prefixOf(p) {
			nets = append(nets, p.Masked())
		}
	}
	return nets
}

// serviceRoutes lead to the networks of ClusterIPs, and to the addresses that hosts
// take towards them: backends on this host answer to these.
func serviceRoutes(w World, r *Routes, seen map[netip.Prefix]bool) {
	for _, f := range families {
		nets := serviceNets(w, f)
		if source, ok := sourceOf(w.Node, f); ok {
			nets = append(nets, source.Masked())
		}
		for _, net := range nets {
			if route, ok := via(w.Node, net); ok && !seen[net] {
				seen[net] = true
				r.Want = append(r.Want, route)
			}
		}
	}
}

// serviceRules translate what the host sends to Services, and end the way of what
// comes back to an address that no connection explains: nothing has it.
func serviceRules(w World, f family) (post, forward []Rule) {
	source, ok := sourceOf(w.Node, f)
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

// behindChain translates the source of what this node leads on, where the answer would
// not come back through it. Pods see the node's address towards Services then, and not
// the one that it asks pods from itself: policies let that one pass to the node's own pods,
// and have to tell clients from the node. What the host itself sends may have it.
func behindChain(w World, f family) Chain {
	c := Chain{Name: f.behind()}
	if source, ok := sourceOf(w.Node, f); ok {
		c.Rules = append(c.Rules, Rule{
			Text:    `oifname "` + NodeLink + `" fib saddr type != local snat ` + f.keyword + " to " + source.Addr().String() + " fully-random",
			Comment: "clients behind this node",
		})
	}
	c.Rules = append(c.Rules, Rule{Text: "masquerade fully-random", Comment: "the node itself, and what leaves by another way"})
	return c
}

func (f family) behind() string { return "behind" + f.digit }
