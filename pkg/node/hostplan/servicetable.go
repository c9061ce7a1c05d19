// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/model"
)

// protocols are TCP, UDP and SCTP: those with ports.
const protocols = "{ 6, 17, 132 }"

// ServiceTable is the table [ServiceTableName] without the entries of Services.
// affinity are the times for which backends of clients are remembered, each once.
//
// Per family:
//   - inside: pods of the default Vpc, and hosts as these see them
//   - nodes: InternalIPs of all nodes: OVN does not route replies to them through this node, except for those that the
//     controller has it route back while there are Services that nodes forward to their own backends
//   - answering: subnets of pods whose replies are routed back
//   - away: subnets whose replies leave by another node
func ServiceTable(in Inputs, affinity []time.Duration) Table {
	t := Table{Name: ServiceTableName}
	guard := Chain{Name: "guard", Type: "filter", Hook: "prerouting", Priority: "dstnat-10"}
	pre := Chain{Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: "dstnat"}
	output := Chain{Name: "output", Type: "nat", Hook: "output", Priority: "-100"}
	after := Chain{Name: "remember", Type: "filter", Hook: "prerouting", Priority: "dstnat+10"}
	after.Rules = []Rule{{Text: "ct state new ct status dnat ct mark vmap @" + timeoutMap, Comment: "affinity"}}
	t.Maps = append(t.Maps, Map{Name: timeoutMap, Type: "mark : verdict", Exact: true})
	post := Chain{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat-10"}
	for _, f := range families {
		choose := chooseChain(f)
		t.Sets = append(t.Sets, serviceSets(in, f)...)
		t.Maps = append(t.Maps, serviceMaps(f)...)
		guard.Rules = append(guard.Rules, Rule{
			Text:    f.frontend() + " @" + guardedSet + f.digit + " " + f.frontend() + " . " + f.keyword + " saddr != @" + admittedSet + f.digit + " counter drop",
			Comment: "loadBalancerSourceRanges",
		})
		cluster := Rule{Text: f.dnat() + f.frontend() + " map @" + clusterMap + f.digit, Comment: "OVN chooses"}
		spread := Rule{Text: f.dnat() + f.draw(everywhereMap), Comment: "all backends, not those of a node"}
		pre.Rules = append(pre.Rules, Rule{
			Text:    f.frontend() + " @" + wideSet + f.digit + " goto " + choose.Name,
			Comment: "this node chooses among all",
		}, Rule{
			Text:    f.keyword + " saddr != @" + ownSet + f.digit + " " + f.frontend() + " @" + chosenSet + f.digit + " goto " + choose.Name,
			Comment: "this node chooses",
		}, spread, cluster)
		elsewhere := Rule{Text: f.dnat() + f.draw(elsewhereMap), Comment: "other nodes, since there is no backend on this one"}
		output.Rules = append(output.Rules, elsewhere, spread, cluster)
		for _, p := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
			post.Rules = append(post.Rules, Rule{
				Text:    f.translated(p) + " " + f.originalFrontend() + " @" + wideSet + f.digit + " goto " + f.behind(),
				Comment: "a backend on any node answers through this one",
			})
		}
		post.Rules = append(post.Rules, f.keepNodeAddress()...)
		post.Rules = append(post.Rules, f.translateSource()...)
		t.Chains = append(t.Chains, choose, behindChain(in, f))
	}
	t.Chains = append(append(t.Chains, rememberChains(affinity)...), guard, pre, output, after, post)
	return t
}

// frontend is the destination of a packet.
func (f family) frontend() string { return f.keyword + " daddr . meta l4proto . th dport" }

// translated is the condition that the node has translated the destination of a packet of a protocol. nft wants to see
// the protocol before it reads a port of the connection (ct proto-dst).
func (f family) translated(p model.Protocol) string {
	return "meta nfproto " + f.protocol + " meta l4proto " + number[p] + " ct status dnat"
}

// originalFrontend is the destination of a connection before it was translated.
func (f family) originalFrontend() string {
	return "ct original " + f.keyword + " daddr . meta l4proto . ct original proto-dst"
}

// client is the number of a frontend and the client's address. The number stands for the frontend, since in nft 1.0.6 a
// rule cannot add longer keys.
func (f family) client() string { return "ct mark . " + f.keyword + " saddr" }

func (f family) dnat() string { return "dnat " + f.keyword + " to " }

// draw is one of the backends of the frontend, at random.
func (f family) draw(from string) string {
	return fmt.Sprintf("%s . numgen random mod %d map @%s%s", f.frontend(), slots, from, f.digit)
}

// chooseChain draws a backend, unless that of the client is remembered.
func chooseChain(f family) Chain {
	return Chain{Name: "choose" + f.digit, Rules: []Rule{
		{Text: "ct mark set " + f.frontend() + " map @" + affinityMap + f.digit, Comment: "affinity"},
		{
			Text:    "meta l4proto " + protocols + " " + f.dnat() + f.client() + " map @" + clientMap + f.digit + " : " + f.client() + " map @" + clientPortMap + f.digit,
			Comment: "the backend that the client had",
		},
		{Text: f.dnat() + f.draw(backendMap), Comment: "one of the backends"},
		{Text: "counter drop", Comment: "no backend on this node"},
	}}
}

// keepNodeAddress keeps the source address of other nodes where this node chose one of its own backends: OVN routes the
// replies back (see package compile). "accept" keeps the connection from the rules below.
func (f family) keepNodeAddress() (out []Rule) {
	for _, p := range []model.Protocol{model.TCP, model.UDP, model.SCTP} {
		out = append(out, Rule{
			Text: f.translated(p) + " " + f.keyword + " saddr @nodes" + f.digit + " " + "fib saddr type != local " +
				f.keyword + " daddr @answering" + f.digit + " " + f.originalFrontend() + " @" + chosenSet + f.digit + " accept",
			Comment: "answers to nodes come back through this one",
		})
	}
	return out
}

// translateSource has replies come back through this node where they would take another way. The backend does not see
// the client's address then.
func (f family) translateSource() []Rule {
	daddr := f.keyword + " daddr "
	return []Rule{{
		// Before the plugin portmap translates, which comes later, to the address from which the node itself connects
		// to pods.
		Text:    "ct status dnat " + f.keyword + " saddr @inside" + f.digit + " " + daddr + "@inside" + f.digit + " goto " + f.behind(),
		Comment: "pods answer each other through OVN",
	}, {
		Text:    "ct status dnat " + f.keyword + " saddr @nodes" + f.digit + " " + daddr + "@inside" + f.digit + " goto " + f.behind(),
		Comment: "pods answer nodes through OVN",
	}, {
		Text:    "ct status dnat " + daddr + "@away" + f.digit + " goto " + f.behind(),
		Comment: "subnets that answer through a gateway node",
	}}
}

func serviceSets(in Inputs, f family) []Set {
	key := f.kind + " . inet_proto . inet_service"
	return []Set{
		{Name: "inside" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(insidePrefixes(in), f.ip)},
		{Name: "nodes" + f.digit, Type: f.kind, Elements: addresses(in.NodeAddresses, f.ip)},
		{Name: "answering" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(answeringPrefixes(in), f.ip)},
		{Name: ownSet + f.digit, Type: f.kind},
		{Name: "away" + f.digit, Type: f.kind, Interval: true, Elements: prefixes(awayPrefixes(in), f.ip)},
		{Name: chosenSet + f.digit, Type: key},
		{Name: wideSet + f.digit, Type: key},
		{Name: memberSet + f.digit, Type: "mark . " + f.kind + " . inet_service"},
		{Name: guardedSet + f.digit, Type: key},
		{Name: admittedSet + f.digit, Type: key + " . " + f.kind, Interval: true},
	}
}

func serviceMaps(f family) []Map {
	key := f.kind + " . inet_proto . inet_service"
	value := " : " + f.kind + " . inet_service"
	// numgen has no name as a type.
	choice := fmt.Sprintf("%s . numgen random mod %d : %s daddr . th dport", f.frontend(), slots, f.keyword)
	return []Map{
		{Name: clusterMap + f.digit, Type: key + value, Exact: true},
		{Name: backendMap + f.digit, TypeOf: choice, Exact: true},
		{Name: everywhereMap + f.digit, TypeOf: choice, Exact: true},
		{Name: elsewhereMap + f.digit, TypeOf: choice, Exact: true},
		{Name: affinityMap + f.digit, Type: key + " : mark", Exact: true},
		{Name: clientMap + f.digit, TypeOf: f.client() + " : " + f.keyword + " daddr", Exact: true, Learned: true},
		{Name: clientPortMap + f.digit, TypeOf: f.client() + " : th dport", Exact: true, Learned: true},
	}
}

func rememberChains(affinity []time.Duration) (out []Chain) {
	affinity = slices.Clone(affinity)
	slices.Sort(affinity)
	for _, d := range slices.Compact(affinity) {
		c := Chain{Name: rememberChain(d)}
		for _, f := range families {
			update := func(in, value string) Rule {
				return Rule{
					Text: fmt.Sprintf("meta nfproto %s meta l4proto %s ct mark . %s daddr . th dport @%s%s update @%s%s { %s timeout %ds : %s }",
						f.protocol, protocols, f.keyword, memberSet, f.digit, in, f.digit, f.client(), int64(d/time.Second), value),
					Comment: "the client's backend",
				}
			}
			c.Rules = append(c.Rules, update(clientMap, f.keyword+" daddr"), update(clientPortMap, "th dport"))
		}
		out = append(out, c)
	}
	return out
}

// answeringPrefixes are subnets of which OVN routes replies to nodes through the pods' own node.
func answeringPrefixes(in Inputs) (out []netip.Prefix) {
	for _, s := range in.Subnets {
		if routed(in, s) && !s.NoLoadBalancer && !(s.Centralized && !slices.Equal(s.ActiveGateways, []string{in.Node.Name})) {
			out = append(out, s.CIDRs...)
		}
	}
	return out
}

// awayPrefixes are centralized subnets whose replies do not leave by this node alone.
func awayPrefixes(in Inputs) (out []netip.Prefix) {
	for _, s := range in.Subnets {
		if routed(in, s) && s.Centralized && !slices.Equal(s.ActiveGateways, []string{in.Node.Name}) {
			out = append(out, s.CIDRs...)
		}
	}
	return out
}

// Inside reports whether an address reaches all backends of a Service: it is that of a
// pod of this node, or one that the host itself sends from.
func Inside(in Inputs, a netip.Addr) bool {
	return slices.Contains(in.Node.InternalIPs, a) || slices.ContainsFunc(in.Pods, func(p Pod) bool { return slices.Contains(p.Addresses, a) })
}

// Fill puts entries into the table's sets and maps. Of two Services that claim
// the same key the caller has chosen one.
func (t *Table) Fill(entries []Entry) {
	of := map[string][]Entry{}
	for _, e := range entries {
		of[e.In] = append(of[e.In], e)
	}
	for i := range t.Sets {
		s := &t.Sets[i]
		for _, e := range of[s.Name] {
			s.Elements = append(s.Elements, e.Key)
		}
		slices.Sort(s.Elements)
	}
	for i := range t.Maps {
		m := &t.Maps[i]
		for _, e := range of[m.Name] {
			m.Elements = append(m.Elements, Element{Key: e.Key, Value: e.Value})
		}
		slices.SortFunc(m.Elements, func(a, b Element) int { return cmp.Compare(a.Key, b.Key) })
	}
}
