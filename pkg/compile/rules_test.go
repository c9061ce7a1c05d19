// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Rules become ACLs on the port group of the builder, for owners of any kind.
func TestRules(t *testing.T) {
	drop := aclRule{name: "all", action: nb.ACLActionDrop, priority: 1000, match: "outport == @web && ip4"}
	long := model.Ref{Kind: model.KindNetworkPolicy, Namespace: strings.Repeat("n", 60), Name: "p"}
	for _, tt := range []struct {
		name    string
		builder ruleBuilder
		build   func(*ruleBuilder)
		want    []string
	}{
		{
			name:  "a rule of the first tier is one ACL",
			build: func(b *ruleBuilder) { b.add(nb.ACLDirectionToLport, drop) },
			want:  []string{"0 1000 to-lport drop: outport == @web && ip4 [Vpc//v] rule=ingress/all"},
		},
		{
			name: "duplicate rules are one ACL",
			build: func(b *ruleBuilder) {
				b.add(nb.ACLDirectionToLport, drop)
				b.add(nb.ACLDirectionToLport, drop)
			},
			want: []string{"0 1000 to-lport drop: outport == @web && ip4 [Vpc//v] rule=ingress/all"},
		},
		{
			name: "the same rule in the other direction is another ACL, evaluated after load balancing",
			build: func(b *ruleBuilder) {
				b.add(nb.ACLDirectionToLport, drop)
				b.add(nb.ACLDirectionFromLport, drop)
			},
			want: []string{
				"0 1000 to-lport drop: outport == @web && ip4 [Vpc//v] rule=ingress/all",
				"0 1000 from-lport drop: outport == @web && ip4 [Vpc//v] rule=egress/all apply-after-lb",
			},
		},
		{
			name:    "a rule is in its tier",
			builder: ruleBuilder{tier: model.TierBaseline},
			build:   func(b *ruleBuilder) { b.add(nb.ACLDirectionToLport, drop) },
			want: []string{
				fmt.Sprintf("%d 1000 to-lport drop: outport == @web && ip4 [Vpc//v] rule=ingress/all", model.TierBaseline),
			},
		},
		{
			name:    "earlier tiers pass undecided traffic to the tier of the rules",
			builder: ruleBuilder{tier: 2},
			build:   func(b *ruleBuilder) { b.passEarlierTiers(nb.ACLDirectionFromLport) },
			want: []string{
				"0 0 from-lport pass: inport == @web && ip [Vpc//v] apply-after-lb",
				"1 0 from-lport pass: inport == @web && ip [Vpc//v] apply-after-lb",
			},
		},
		{
			name:  "the first tier has no earlier tier",
			build: func(b *ruleBuilder) { b.passEarlierTiers(nb.ACLDirectionToLport) },
		},
		{
			name:  "the last tier allows passed traffic that no rule decides",
			build: func(b *ruleBuilder) { b.floor(nb.ACLDirectionToLport) },
			want:  []string{fmt.Sprintf("%d 0 to-lport allow-related: outport == @web && ip [Vpc//v]", model.TierBaseline)},
		},
		{
			name:    "a logged rule has a severity and a meter of the rate",
			builder: ruleBuilder{log: model.PolicyLog{Deny: true, Rate: 5}},
			build:   func(b *ruleBuilder) { b.add(nb.ACLDirectionToLport, drop) },
			want: []string{
				"meter woven.acl.5",
				"0 1000 to-lport drop: outport == @web && ip4 [Vpc//v] rule=ingress/all log warning woven.acl.5",
			},
		},
		{
			name:    "a long name is truncated to the limit of the column",
			builder: ruleBuilder{owner: long},
			build:   func(b *ruleBuilder) { b.add(nb.ACLDirectionToLport, drop) },
			want:    []string{"0 1000 to-lport drop: outport == @web && ip4 [" + long.String()[:63] + "] rule=ingress/all"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Result
			b := tt.builder
			b.r, b.group, b.ownerKey = &r, "web", "policy"
			if b.owner == (model.Ref{}) {
				b.owner = model.Ref{Kind: model.KindVpc, Name: "v"}
			}
			tt.build(&b)
			if got := aclLines(t, r, b.owner); !slices.Equal(got, tt.want) {
				t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

// aclLines writes ACLs as "TIER PRIORITY DIRECTION ACTION: MATCH [NAME] …" and meters by their names.
func aclLines(t *testing.T, r Result, owner model.Ref) (lines []string) {
	t.Helper()
	for _, row := range r.Rows {
		switch c := row.Columns.(type) {
		case *nb.Meter:
			lines = append(lines, "meter "+c.Name)
		case *nb.ACL:
			if row.Parent != fact.RefTo(nb.PortGroupTable, "web") || c.ExternalIDs["policy"] != owner.String() {
				t.Errorf("ACL %q is in %v and of %q", c.Match, row.Parent, c.ExternalIDs["policy"])
			}
			line := fmt.Sprintf("%d %d %s %s: %s [%s]", c.Tier, c.Priority, c.Direction, c.Action, c.Match, *c.Name)
			if rule := c.ExternalIDs["rule"]; rule != "" {
				line += " rule=" + rule
			}
			if c.Options["apply-after-lb"] == "true" {
				line += " apply-after-lb"
			}
			if c.Log {
				line += " log " + *c.Severity + " " + *c.Meter
			}
			lines = append(lines, line)
		}
	}
	return lines
}
