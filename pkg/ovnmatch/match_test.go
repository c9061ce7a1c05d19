// SPDX-License-Identifier: Apache-2.0

package ovnmatch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wovensdn/woven/pkg/ovnmatch"
)

// accepted are expressions that OVN accepts; the oracle test asks it.
var accepted = []string{
	"1", "0", "!1", "tcp", "ip4", "ip", "!(tcp.dst == 80)", "(((tcp)))", " \ttcp\r\n", "tcp /* the web */ && 1",
	"tcp // the web\n&& 1",
	"ip4.dst == 10.17.0.0/16 && tcp",
	"ip4.src == 10.0.0.0/255.255.0.0", "ip4.src == 10.0.0.5/24", "ip4.src == 0/0x1", "ip4.src == 0.0.0.0/0", "ip4.src != 10.0.0.1",
	"ip4.src == {10.0.0.1, 10.0.0.2}", "ip4.src == {10.0.0.1 10.0.0.2,}", "ip4.src >= 10.0.0.5", "10.0.0.1 <= ip4.src < 10.0.0.9",
	"80 < tcp.dst", "90 > tcp.dst >= 80", "80 == tcp.dst", "tcp.dst == 65535", "tcp.dst[0..7] == 0xff", "tcp.flags[1]",
	"ip6.src == fd00::/64", "ip6.src == FD00::1", "ip6.dst == ::", "ip6.dst == ::ffff:10.0.0.1", "ip6.src == fd00::/ffff::",
	"eth.src == 00:11:22:aa:bb:cc", "eth.dst == ff:00:00:00:00:00/ff:00:00:00:00:00", "eth.dst[40]", "eth.mcast", "!eth.mcast", "eth.bcast == 0",
	"eth.src[0..15] > 0x1111", "eth.type == 0x800", "eth.type == {0x800, 0x86dd}", "!(eth.type != 0x800)",
	`inport == "web.default"`, `outport == @group`, `inport == {"a", "b"}`, `"a" == inport`, `inport == "a\u00e4\"b"`,
	`is_chassis_resident("lrp")`, `!is_chassis_resident("lrp")`,
	"ct.new && !ct.est", "ct.trk", "ct_mark.blocked == 1", "ct_label[0]", "ct_state == 3",
	"vlan.present && vlan.vid == 5", "vlan.pcp == 7", "icmp4.type == 8 && icmp4.code == 0", "icmp6.type == {135, 136}", "icmp", "igmp",
	"arp.op == 1 && arp.tpa == 10.0.0.1", "nd.target == fe80::1", "nd_ns", "rarp.sha == 00:00:00:00:00:01", "mldv1", "sctp.dst == 7",
	"ip.frag[0]", "ip.is_frag", "!ip.later_frag", "ip.proto == 6", "!ip.proto", "ip.ttl == 1", "ip.dscp == 46", "ip4.mcast", "!ip6.mcast",
	"reg9 == 1", "xreg4 == 1", "xxreg1 == ::1", "flags.loopback", "pkt.mark == 0x10/0x10",
	"ip4 && (tcp || udp)", "ip4 == 1", "ip4 != 0", "!(ip4 == 0)", "ip4[0]", "tcp.dst == 0x50", "tcp.dst == 0X50", "ct_label == 0xffffffffffffffffffffffffffffffff",
	"ip4.src == $as", "ip6.src == {$as.v6, fd00::1}",
}

// templates are expressions that OVN accepts where the variable is defined.
var templates = []string{"ip4.src == ^vip", "ip4.src == {^vip, 10.0.0.1}", `inport == {^port "a"}`, "tcp.dst < ^port", "ip4 == ^one", "^low < tcp.dst < ^high"}

// refused are expressions that OVN refuses, and where and why this package does.
var refused = []struct{ match, message string }{
	{"", "column 1: the expression ends; expected a constant"},
	{"   ", "column 4: the expression ends"},
	{"ip4.sorce == 10.0.0.1", "column 1: unknown field ip4.sorce"},
	{"tcp && ip4.sorce == 10.0.0.1", "column 8: unknown field ip4.sorce"},
	{"ip4.src == 10.0.0.0/33", "column 21: the prefix length 33 of an IPv4 address is greater than 32"},
	{"ip6.src == fd00::/129", "column 19: the prefix length 129"},
	{"ip4.src == 10.0.0.256", `column 12: "10.0.0.256": not a number`},
	{"ip4.src == 10.0.0.01", `column 12: "10.0.0.01": not a number`},
	{"ip4.src == 10.0.0", `column 12: "10.0.0": not a number`},
	{"ip4.src == fd00::1", "column 12: fd00::1 needs 128 bits, ip4.src has 32"},
	{"ip4.src == 10.0.0.0/ffff::", "column 21: the mask is IPv6, the value is IPv4"},
	{"tcp.dst == 65536", "column 12: 65536 needs 17 bits, tcp.dst has 16"},
	{"tcp.dst == http", `column 12: "http": expected a constant`},
	{"tcp.dst = 80", `column 9: '=' cannot be here`},
	{"tcp.dst == 080", "column 12: \"080\": a decimal number must not have leading zeros"},
	{"tcp.dst == 99999999999999999999", "less than 2**64"},
	{"tcp.dst == 0x", "not a hexadecimal number"},
	{"tcp.dst == 0x5g", "not a hexadecimal number"},
	{"ct_label == 0x1ffffffffffffffffffffffffffffffff", "more than 128 bits"},
	{"tcp.dst == ", "column 12: the expression ends; expected a constant"},
	{"tcp.dst", "column 1: tcp.dst has 16 bits: compare it"},
	{"tcp.dst == {}", `column 13: "}": expected a constant`},
	{"tcp.dst == {80", "expected a constant"},
	{"tcp.dst == {80, $as", "expected a constant"},
	{"tcp.dst == {80,,81}", `column 16: ",": expected a constant`},
	{"tcp.dst > {80, 81}", "column 12: a set can only be compared with == and !=, not with >"},
	{"ip4.src > 10.0.0.0/8", "column 11: a value with a mask"},
	{"1 < tcp.dst > 5", "column 13: a range has the form"},
	{"1 == tcp.dst == 1", "a range has the form"},
	{"80", `the expression ends; expected a comparison`},
	{"2 && tcp", `column 3: "&&": expected a comparison`},
	{"{1} && tcp", "expected a comparison"},
	{"80 == 80", `column 7: "80": expected a field`},
	{"(tcp", "column 5: the expression ends; expected )"},
	{"tcp)", `column 4: ")": expected &&, || or the end`},
	{"tcp udp", `column 5: "udp": expected &&`},
	{"tcp && udp || icmp", "column 12: && and || must be parenthesized"},
	{"tcp &&", "column 7: the expression ends"},
	{"tcp & udp", "column 5: '&' cannot be here"},
	{"tcp | udp", "column 5: '|' cannot be here"},
	{"tcp == 1) || (1", `column 9: ")": expected`},
	{"!tcp.dst == 80", "column 1: the operand of ! needs parentheses"},
	{"!!tcp", "expected a constant"},
	{"!ip4", "column 2: ip4 can only be tested positively"},
	{"!(ip4)", "column 3: ip4 can only be tested positively"},
	{"ip4 == 0", "column 1: ip4 can only be tested positively"},
	{"ip.proto != 6", "column 1: ip.proto can only be tested for equality"},
	{"!(ip.proto == 6)", "column 3: ip.proto can only be tested for equality"},
	{"ip.proto > 6", "column 1: ip.proto can only be compared with == and !=, not with >"},
	{"ip.ttl < 5", "only be compared with == and !="},
	{"eth.bcast > 0", "column 1: eth.bcast can only be compared"},
	{`inport != "a"`, "column 1: inport can only be tested for equality"},
	{"inport", "column 7: the expression ends; expected == after inport"},
	{"inport == web", `column 11: "web": expected a constant`},
	{"inport == 5", "column 11: inport is a string: compare it with a string in quotes"},
	{"inport == $as", "column 11: inport is a string"},
	{`inport == {"a", 5}`, "column 17: strings and numbers are mixed"},
	{`inport[0] == "a"`, "column 1: inport is a string and has no bits"},
	{`inport == "a`, "column 11: the string has no end"},
	{`inport == "\x"`, "invalid escape sequence"},
	{`inport == "\u0000"`, "invalid escape sequence"},
	{`ip4.src == "10.0.0.1"`, "column 12: ip4.src is a number, not a string"},
	{"ip4.src == @group", "column 12: ip4.src is a number"},
	{"ip4.src == ^", "column 12: the name of a template variable is missing"},
	{"ip4.src == $", "column 12: the name of an address set is missing"},
	{"ip4.src == $as-v4", "column 15: '-' cannot be here"},
	{"outport == @1", "column 12: the name of a port group is missing"},
	{"tcp.dst[16]", "column 1: tcp.dst has 16 bits, there is no bit 16"},
	{"tcp.dst[3..1] == 1", "column 1: bits 3 to 1"},
	{"tcp.dst[x] == 1", "column 9: \"x\": expected the number of a bit"},
	{"tcp.dst[1 == 1", "expected ]"},
	{"ip.proto[0]", "column 1: bits of ip.proto cannot be selected"},
	{"is_chassis_resident(lrp)", `column 21: "lrp": expected a string`},
	{"resident(\"lrp\")", "column 1: unknown field resident"},
	{"tcp /* x", "column 5: /* without */"},
	{"tcp /* x \n */", "column 5: /* without */"},
	{"tcp; drop;", "column 4: ';' cannot be here"},
	{"tcp\x00", "cannot be here"},
	{"täglich", "column 1: unknown field t"},
	{"tcp && ä", "column 8: 'ä' cannot be here"},
	{"eth.src == 0:1:2:3:4:5", "not a number, an IP address or a MAC address"},
	{"ip4.src == 10.0.0.1:80", "column 20: "},
	{"reg10 == 1", "unknown field reg10"},
	{"pod.label == 1", "unknown field pod.label"},
	{strings.Repeat("(", 101) + "1" + strings.Repeat(")", 101), "nested more than 90 deep"},
}

// misread are expressions that OVN accepts and understands in another way than they are written.
var misread = []struct{ match, message string }{
	{"tcp.flags[0..1] == 4", "column 20: 4 needs 3 bits, tcp.flags has 2"},
	{"ip6.src == 10.0.0.1", "column 12: 10.0.0.1 is an IPv4 address, ip6.src has IPv6 addresses"},
	{"eth.src == 10.0.0.1", "column 12: 10.0.0.1 is an IPv4 address, eth.src has Ethernet addresses"},
	{"ip4.src < $as", "column 11: a set can only be compared"},
	{"ip.proto == 0x6/0xf", "column 13: ip.proto cannot be compared with a mask"},
	{"tcp // the web", "column 5: a // comment must end with a line break"},
	{strings.Repeat("(", 91) + "1" + strings.Repeat(")", 91), "nested more than 90 deep"},
}

func TestAccepted(t *testing.T) {
	for _, match := range slices.Concat(accepted, templates) {
		if err := ovnmatch.Check(match); err != nil {
			t.Errorf("%q: %v", match, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range append(refused, misread...) {
		err := ovnmatch.Check(c.match)
		var at *ovnmatch.Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%q:\ngot  %v\nwant %s", c.match, err, c.message)
		}
	}
}

func TestUses(t *testing.T) {
	got, err := ovnmatch.Parse(`ä == outport`)
	if err == nil {
		t.Errorf("got %v", got)
	}
	got, err = ovnmatch.Parse(`ip4 && ("ä" == outport || tcp.dst[0..3] == 1)`)
	want := []ovnmatch.Use{{Field: "ip4", Column: 1}, {Field: "outport", Column: 16}, {Field: "tcp.dst", Column: 27}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// FuzzCheck asserts that no text crashes the parser, that the position of an error is in the text, and that an accepted
// expression is a whole one: ovn-northd puts it into parentheses, beside others.
func FuzzCheck(f *testing.F) {
	for _, match := range accepted {
		f.Add(match)
	}
	for _, c := range append(refused, misread...) {
		f.Add(c.match)
	}
	f.Fuzz(func(t *testing.T, match string) {
		err := ovnmatch.Check(match)
		var at *ovnmatch.Error
		switch {
		case err == nil:
			if err := ovnmatch.Check("ct.new && (" + match + ") && ip4.src == {10.0.0.1}"); err != nil && !strings.Contains(err.Error(), "deep") {
				t.Errorf("%q is accepted alone only: %v", match, err)
			}
			if err := ovnmatch.Check(match + ") || (" + match); err == nil {
				t.Errorf("%q closes the parentheses around it", match)
			}
		case !errors.As(err, &at) || at.Column < 1 || at.Column > len([]rune(match))+1:
			t.Errorf("%q: %v", match, err)
		}
	})
}
