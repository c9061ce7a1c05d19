// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

func table(pods ...string) hostplan.Table {
	return hostplan.Table{
		Name: hostplan.TableName,
		Sets: []hostplan.Set{
			{Name: "pods4", Type: "ipv4_addr", Interval: true, Elements: pods},
			{Name: "pods6", Type: "ipv6_addr", Interval: true, Elements: []string{"fd00:10:16::/112"}},
			{Name: "nodes4", Type: "ipv4_addr", Elements: []string{"192.0.2.1"}},
		},
		Maps: []hostplan.Map{{
			Name: "source4", Type: "ipv4_addr : ipv4_addr", Elements: []hostplan.Element{{Key: "10.20.0.0/16", Value: "192.0.2.7"}, {Key: "10.21.0.9", Value: "192.0.2.8"}},
		}},
		Chains: []hostplan.Chain{{
			Name:  "leave",
			Rules: []hostplan.Rule{{Text: "snat ip to ip saddr map @source4 fully-random", Comment: "named"}},
		}, {
			Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat",
			Rules: []hostplan.Rule{
				{Text: "ip saddr @pods4 ct status dnat masquerade fully-random", Comment: "redirected"},
				{Text: "ip saddr @pods4 ip daddr != @pods4 ip daddr != @nodes4 masquerade fully-random", Comment: "outgoing"},
				{Text: "ip saddr @pods4 goto leave", Comment: "named"},
				{Text: "ip6 saddr @pods6 ip6 daddr != @pods6 masquerade fully-random", Comment: "outgoing"},
			},
		}},
	}
}

func scenario(t *testing.T, d *nft.Driver, disturb []func()) {
	ctx := t.Context()
	for _, step := range []struct {
		name string
		want hostplan.Table
		did  string
	}{
		{"new", table("10.16.0.0/16"), "table written"},
		{"again", table("10.16.0.0/16"), ""},
		{"more", table("10.16.0.0/16", "10.17.0.0/16", "10.18.0.7"), "2 set elements changed"},
		{"less", table("10.17.0.0/16"), "2 set elements changed"},
		{"wider", table("10.0.0.0/8"), "2 set elements changed"},
		{"again", table("10.0.0.0/8"), ""},
	} {
		if did, err := d.Apply(ctx, step.want); did != step.did || err != nil {
			t.Errorf("%s: %q, %v; want %q", step.name, did, err, step.did)
		}
	}
	for i, f := range disturb {
		f()
		if did, err := d.Apply(ctx, table("10.0.0.0/8")); did == "" || err != nil {
			t.Errorf("after disturbance %d: %q, %v; want a repair", i, did, err)
		}
		if did, err := d.Apply(ctx, table("10.0.0.0/8")); did != "" || err != nil {
			t.Errorf("after repair %d: %q, %v; want nothing", i, did, err)
		}
	}
}

func TestFake(t *testing.T) {
	scenario(t, &nft.Driver{Tables: knftables.NewFake(knftables.InetFamily, hostplan.TableName)}, nil)
}

func run(t *testing.T, args ...string) string {
	out, err := exec.CommandContext(t.Context(), "nft", args...).CombinedOutput()
	if err != nil {
		t.Errorf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestLinux(t *testing.T) {
	nstest.New(t).Do(func() {
		run(t, "add", "table", "inet", "other")
		run(t, "add", "chain", "inet", "other", "c")
		before := run(t, "list", "table", "inet", "other")
		nftDo := func(line string) func() { return func() { run(t, strings.Fields(line)...) } }
		scenario(t, &nft.Driver{}, []func(){
			nftDo("delete table inet woven"),
			nftDo("flush chain inet woven postrouting"),
			nftDo("flush set inet woven pods4"),
			nftDo("add element inet woven nodes4 { 192.0.2.9 }"),
			nftDo("add rule inet woven postrouting counter"),
			nftDo("add chain inet woven extra"),
			nftDo("add set inet woven extra { type ipv4_addr; }"),
			nftDo("add map inet woven extra { type ipv4_addr : ipv4_addr; }"),
			nftDo("flush map inet woven source4"),
			nftDo("add element inet woven source4 { 10.30.0.0/16 : 192.0.2.7 }"),
			func() {
				run(t, "delete", "element", "inet", "woven", "source4", "{ 10.20.0.0/16 }")
				run(t, "add", "element", "inet", "woven", "source4", "{ 10.20.0.0/16 : 192.0.2.99 }")
			},
			nftDo("flush chain inet woven leave"),
			func() {
				run(t, "delete", "chain", "inet", "woven", "postrouting")
				run(t, "add", "chain", "inet", "woven", "postrouting")
			},
		})
		if after := run(t, "list", "table", "inet", "other"); after != before {
			t.Errorf("the table of somebody else changed:\n%s", after)
		}
	})
}

// One table is written for the real plan of a world and reads back as wanted.
func TestPlanOnLinux(t *testing.T) {
	nstest.New(t).Do(func() {
		// The longest name that a Subnet may have.
		long := strings.Repeat(strings.Repeat("a", 63)+".", 4)[:253]
		want := hostplan.Make(hostplan.Inputs{DefaultVpc: "v", Subnets: []hostplan.Subnet{{
			Name: long, Vpc: "v", CIDRs: []netip.Prefix{pods4}, NATOutgoing: true, Egress: model.Egress{NATRules: []model.NATRule{{}}},
		}}}).Table
		for _, did := range []string{"table written", ""} {
			if got, err := (&nft.Driver{}).Apply(t.Context(), want); got != did || err != nil {
				t.Errorf("%q, %v; want %q", got, err, did)
			}
		}
		out := run(t, "list", "table", "inet", "woven")
		for _, rule := range []string{
			"ip saddr @nat4 ip daddr != @pods4 ip daddr != @nodes4 goto leave",
			"ip6 saddr @nat6 ip6 daddr != @pods6 ip6 daddr != @nodes6 goto leave",
			"ip daddr != @pods4 ip daddr != @nodes4 ip saddr vmap @policy4",
			"snat ip to ip saddr map @source4 fully-random",
			"snat ip6 to ip6 saddr map @source6 fully-random",
		} {
			if !strings.Contains(out, rule) {
				t.Errorf("no rule %q in\n%s", rule, out)
			}
		}
	})
}

func TestWatch(t *testing.T) {
	ns := nstest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan struct{}, 100)
	ended := make(chan error, 1)
	ns.Go(func() {
		ended <- nft.Watch(ctx, hostplan.TableName, func() { events <- struct{}{} })
	})
	<-events // it listens
	ns.Do(func() {
		run(t, "add", "table", "inet", "other")
		run(t, "add", "table", "inet", "other2")
	})
	ns.Do(func() { run(t, "add", "table", "inet", "woven") })
	<-events
	if len(events) > 0 {
		t.Errorf("%d notifications about other tables", len(events))
	}
	for _, line := range []string{
		"add set inet woven s { type ipv4_addr; }", "add element inet woven s { 192.0.2.1 }",
		"add chain inet woven c", "add rule inet woven c counter", "delete table inet woven",
	} {
		ns.Do(func() { run(t, strings.Fields(line)...) })
		<-events
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
