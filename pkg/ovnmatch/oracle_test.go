// SPDX-License-Identifier: Apache-2.0

package ovnmatch_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/ovnmatch"
	"github.com/wovensdn/woven/test/nbtest"
)

// misreadCauses are the reasons for which this package refuses what OVN accepts, see the package comment.
var misreadCauses = []string{" needs ", " address, ", "a set can only be compared", "cannot be compared with a mask", "a // comment", "nested more than"}

// compare asserts that this package and OVN accept and refuse the same.
func compare(t *testing.T, matches []string) {
	t.Helper()
	matches = slices.DeleteFunc(matches, func(m string) bool { return strings.Contains(m, "\x00") }) // no database takes it
	flows := make([]nbtest.LogicalFlow, len(matches))
	for i, match := range matches {
		flows[i] = nbtest.LogicalFlow{Match: match, Actions: "next;"}
	}
	refused := nbtest.RefusedByOVN(t, flows)
	both := 0
	for i, match := range matches {
		err := ovnmatch.Check(match)
		switch {
		case err == nil && refused[i] != "":
			t.Errorf("%q: OVN refuses it %s", match, refused[i])
		case err == nil:
			both++
		case refused[i] == "" && !slices.ContainsFunc(misreadCauses, func(c string) bool { return strings.Contains(err.Error(), c) }):
			t.Errorf("%q: OVN accepts it, we refuse it: %v", match, err)
		}
	}
	t.Logf("%d expressions, %d accepted", len(matches), both)
}

func TestOVNAgrees(t *testing.T) {
	matches := slices.Clone(accepted)
	for _, c := range slices.Concat(refused, misread) {
		matches = append(matches, c.match)
	}
	compare(t, matches)
}

func TestOVNKnowsTheFields(t *testing.T) {
	var matches []string
	for name, width := range ovnmatch.Widths() {
		if width == 0 {
			matches = append(matches, name+` == "p"`)
			continue
		}
		matches = append(matches, fmt.Sprintf("%s == %#x", name, uint64(1)<<min(width-1, 63)), fmt.Sprintf("%s[%d]", name, width),
			fmt.Sprintf("!(%s == 1)", name), fmt.Sprintf("%s > 0", name), fmt.Sprintf("%s[0..%d] == 1", name, width-1), fmt.Sprintf("%s[0] == 1", name))
	}
	for _, name := range []string{
		"nd_na_router", "ct_nw_src", "ct_nw_dst", "ct_nw_proto", "ct_ip6_dst", "ct_proto", "ct_tp_src", "ct_tp_dst", "ct_dnat", "ct_zone", "nd_reserved",
		"tcp4", "udp6", "tun.id", "metadata", "ip.src", "ip6.mcast_rtr", "xxreg2", "xreg5", "eth", "vlan", "ct_label.blocked", "flags.none", "in_port",
	} {
		matches = append(matches, name, name+" == 1")
	}
	compare(t, matches)
}

// TestOVNAgreesOnRandomExpressions compares expressions that are mostly valid, and the same with one word changed.
func TestOVNAgreesOnRandomExpressions(t *testing.T) {
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), fields: slices.Sorted(maps.Keys(ovnmatch.Widths()))} //nolint:gosec // repeatable
	var matches []string
	for range 3000 {
		words := g.expression(3)
		matches = append(matches, strings.Join(words, g.pick(" ", "\n\t")))
		words[g.IntN(len(words))] = g.pick(allWords...)
		matches = append(matches, strings.Join(words, " "))
	}
	compare(t, matches)
}

// allWords are words of all kinds.
var allWords = []string{
	"(", ")", "{", "}", "[", "]", "!", "&&", "||", "==", "!=", "<", "<=", ">", ">=", ",", "..", "0", "1", "2", "80", "65535", "65536", "0x1", "0xffff",
	"0/0x1", "0x1/0xff", "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "fd00::1", "fd00::/64", "::", "::ffff:10.0.0.1", "00:00:00:00:00:01",
	"01:00:00:00:00:00/01:00:00:00:00:00", `"p"`, `""`, "$as", "$as.v6", "@group", "tcp", "ip4", "ip4.src", "inport", "outport", "tcp.dst", "eth.mcast",
	"ip.proto", "is_chassis_resident", "a", "=", ";", ":", "-", "&", "|", "$", "@", "/**/", "bad:", "0b1", "1.2", "a.b.c",
}

// generator makes expressions as lists of words.
type generator struct {
	*rand.Rand
	fields []string
}

func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g *generator) expression(depth int) []string {
	switch g.IntN(6) {
	case 0:
		return append([]string{"!"}, g.group(depth)...)
	case 1, 2:
		operator := g.pick("&&", "||")
		out := g.group(depth)
		for range 1 + g.IntN(2) {
			out = append(append(out, operator), g.group(depth)...)
		}
		return out
	case 3:
		return g.group(depth)
	default:
		return g.comparison()
	}
}

func (g *generator) group(depth int) []string {
	if depth == 0 {
		return g.comparison()
	}
	return slices.Concat([]string{"("}, g.expression(depth-1), []string{")"})
}

func (g *generator) comparison() []string {
	field := []string{g.pick(g.fields...)}
	if g.IntN(5) == 0 {
		field[0] += g.pick("[0]", "[1]", "[0..7]", "[8..15]", "[40]", "[2..1]")
	}
	relation := g.pick("==", "==", "==", "==", "==", "!=", "<", ">", "<=", ">=")
	if g.IntN(2) == 0 {
		fitting := "1"
		if ovnmatch.Widths()[field[0]] == 0 {
			fitting = `"p"`
		}
		return slices.Concat(field, []string{relation, g.pick(fitting, "{"+fitting+"}")})
	}
	switch g.IntN(8) {
	case 0:
		return field
	case 1:
		return slices.Concat(g.constant(), []string{relation}, field)
	case 2:
		return slices.Concat(g.constant(), []string{relation}, field, []string{relation}, g.constant())
	case 3:
		return []string{g.pick("0", "1", `is_chassis_resident("p")`, "tcp", "ip4", "icmp6", "ct.new")}
	default:
		return slices.Concat(field, []string{relation}, g.constant())
	}
}

func (g *generator) constant() []string {
	constants := []string{"0", "1", "80", "65536", "0x1", "0x1/0xff", "10.0.0.1", "10.0.0.0/8", "fd00::1", "fd00::/64", "00:00:00:00:00:01", `"p"`, "$as", "@group"}
	if g.IntN(4) > 0 {
		return []string{g.pick(constants...)}
	}
	out := []string{"{"}
	for range 1 + g.IntN(3) {
		out = append(out, g.pick(constants...), g.pick(",", ""))
	}
	return append(out, "}")
}
