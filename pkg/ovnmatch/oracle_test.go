// SPDX-License-Identifier: Apache-2.0

package ovnmatch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovnmatch"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/test/nbtest"
)

// oracleTimeout bounds one run of ovn-trace.
const oracleTimeout = time.Minute

// oracle returns the expressions that OVN refuses, and why. ovn-trace(8) parses all logical flows of a southbound
// database before it traces a packet, as ovn-controller does, and logs those that it cannot parse.
func oracle(t *testing.T, matches []string) map[string]string {
	t.Helper()
	program, err := exec.LookPath("ovn-trace")
	if err != nil {
		t.Skip("ovn-trace is missing (Debian: package ovn-host); it shows that OVN parses expressions as this package does")
	}
	server := nbtest.StartSB(t)
	if err := nbtest.Commit(t.Context(), server.Client(t, client.Table{Name: "Chassis"}), flows(matches)...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), oracleTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--db="+server.Endpoint(), "sw", `inport == "p"`).CombinedOutput() //nolint:gosec // a test's own arguments
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	refused := map[string]string{}
	for entry := range strings.SplitSeq(string(out), "|ovntrace|WARN|") {
		if match, cause, ok := strings.Cut(entry, ": parsing expression failed"); ok {
			refused[match], _, _ = strings.Cut(cause, "\n")
		}
	}
	return refused
}

// flows are the rows of a southbound database with one logical flow for each expression.
func flows(matches []string) []ovsdb.Operation {
	datapath := ovsdb.UUID{GoUUID: "6f76656e-0000-4000-8000-000000000001"}
	insert := func(table string, row ovsdb.Row) ovsdb.Operation {
		return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, Row: row}
	}
	sw := insert("Datapath_Binding", ovsdb.Row{"tunnel_key": 1, "external_ids": ovsdb.OvsMap{GoMap: map[any]any{"name": "sw"}}})
	sw.UUID = datapath.GoUUID
	ops := []ovsdb.Operation{
		sw,
		insert("Port_Binding", ovsdb.Row{"datapath": datapath, "logical_port": "p", "tunnel_key": 1}),
		insert("Address_Set", ovsdb.Row{"name": "as", "addresses": "1"}),
		insert("Address_Set", ovsdb.Row{"name": "as.v6", "addresses": "0x1"}),
		insert("Port_Group", ovsdb.Row{"name": "1_group", "ports": "p"}), // ovn-northd puts the tunnel key of the datapath before it
	}
	for _, match := range matches {
		ops = append(ops, insert("Logical_Flow", ovsdb.Row{
			"logical_datapath": datapath, "pipeline": "ingress", "table_id": 1, "priority": 1, "match": match, "actions": "next;",
		}))
	}
	return ops
}

// misreadCauses are the reasons for which this package refuses what OVN accepts, see the package comment.
var misreadCauses = []string{" needs ", " address, ", "a set can only be compared", "cannot be compared with a mask", "a // comment", "nested more than"}

// compare asserts that this package and OVN accept and refuse the same.
func compare(t *testing.T, matches []string) {
	t.Helper()
	matches = slices.DeleteFunc(matches, func(m string) bool { return strings.Contains(m, "\x00") }) // no database takes it
	refused := oracle(t, matches)
	both := 0
	for _, match := range matches {
		err := ovnmatch.Check(match)
		cause, no := refused[match]
		switch {
		case err == nil && no:
			t.Errorf("%q: OVN refuses it %s", match, cause)
		case err == nil:
			both++
		case !no && !slices.ContainsFunc(misreadCauses, func(c string) bool { return strings.Contains(err.Error(), c) }):
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
