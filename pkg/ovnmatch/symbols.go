// SPDX-License-Identifier: Apache-2.0

package ovnmatch

import (
	"fmt"
	"strconv"
	"strings"
)

// level is how a field may be compared (ovn-sb(5), "Level of Measurement").
type level uint8

const (
	// nominal fields are only tested for equality, and nominal predicates only positively: OVN cannot express the
	// opposite with few flows.
	nominal level = iota
	// boolean predicates are tested with == and !=.
	boolean
	// ordinal fields are compared in any way, and have subfields.
	ordinal
)

// symbol is a field or a predicate.
type symbol struct {
	width     int // in bits; 0 for strings
	level     level
	predicate bool
	// format is the notation of addresses; empty for fields that are none.
	format format
}

// fields lists the fields of OVN 25.03 (ovn-sb(5), Logical_Flow, "Symbols"): their level, the notation of addresses if
// they are addresses, and their names with their width in bits.
var fields = []struct {
	level  level
	format format
	names  string
}{
	{nominal, "", `eth.type:16 ip.proto:8 ip.dscp:6 ip.ecn:2 ip.ttl:8 icmp4.type:8 icmp4.code:8 icmp6.type:8 icmp6.code:8
		arp.op:16 rarp.op:16 icmp4.frag_mtu:16 icmp6.frag_mtu:32 inport:0 outport:0`},
	{ordinal, "", `flags:32 ct_mark:32 ct_label:128 ct_state:32 vlan.tci:16 ip6.label:20 ip.frag:2 pkt.mark:32
		tcp.src:16 tcp.dst:16 tcp.flags:12 udp.src:16 udp.dst:16 sctp.src:16 sctp.dst:16`},
	{ordinal, ethernet, "eth.src:48 eth.dst:48 arp.sha:48 arp.tha:48 rarp.sha:48 rarp.tha:48 nd.sll:48 nd.tll:48"},
	{ordinal, ipv4, "ip4.src:32 ip4.dst:32 arp.spa:32 arp.tpa:32 rarp.spa:32 rarp.tpa:32"},
	{ordinal, ipv6, "ip6.src:128 ip6.dst:128 nd.target:128"},
	// Subfields.
	{ordinal, "", `flags.loopback:1 flags.force_snat_for_dnat:1 flags.force_snat_for_lb:1 flags.skip_snat_for_lb:1
		flags.use_snat_zone:1 flags.localnet:1 flags.icmp_snat:1 flags.tunnel_rx:1 flags.from_ctrl:1
		flags.unsnat_new:1 flags.unsnat_not_tracked:1
		ct_mark.blocked:1 ct_mark.natted:1 ct_mark.ecmp_reply_port:16 ct_mark.skip_snat:1 ct_mark.force_snat:1
		ct_mark.obs_stage:2 ct_mark.allow_established:1 ct_mark.obs_collector_id:8
		ct_label.ecmp_reply_eth:48 ct_label.label:32 ct_label.obs_point_id:32 ct_label.obs_unused:96 ct_label.acl_id:16
		ct.new:1 ct.est:1 ct.rel:1 ct.rpl:1 ct.inv:1 ct.trk:1 ct.snat:1 ct.dnat:1
		eth.mcast:1 vlan.pcp:3 vlan.vid:12`},
}

// predicates are names for expressions, by the level of these.
var predicates = map[level]string{
	nominal: `ip4 ip6 ip icmp4 icmp6 icmp igmp arp rarp nd nd_ns nd_ns_mcast nd_na nd_rs nd_ra mldv1 mldv2 tcp udp sctp`,
	boolean: `eth.bcast eth.mcastv6 vlan.present ip4.src_mcast ip4.mcast ip6.mcast_rsvd ip6.mcast_all_nodes
		ip6.mcast_all_rtrs ip6.mcast_sol_node ip6.mcast_flood ip6.mcast ip.is_frag ip.later_frag ip.first_frag`,
}

// registers is the number of 32-bit registers. They are parts of 64-bit and 128-bit ones.
const registers = 10

var symbols = allSymbols()

func allSymbols() map[string]symbol {
	out := map[string]symbol{}
	for _, f := range fields {
		for _, field := range strings.Fields(f.names) {
			name, bits, _ := strings.Cut(field, ":")
			width, err := strconv.Atoi(bits)
			if err != nil {
				panic(err) //nolint:forbidigo // a mistake in the table above: no input can cause it
			}
			out[name] = symbol{width: width, level: f.level, format: f.format}
		}
	}
	for l, names := range predicates {
		for _, name := range strings.Fields(names) {
			out[name] = symbol{width: 1, level: l, predicate: true}
		}
	}
	for _, r := range []struct {
		prefix string
		words  int
	}{{"reg", 1}, {"xreg", 2}, {"xxreg", 4}} {
		for i := range registers / r.words {
			out[fmt.Sprint(r.prefix, i)] = symbol{width: 32 * r.words, level: ordinal}
		}
	}
	return out
}
