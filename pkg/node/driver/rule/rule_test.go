// SPDX-License-Identifier: Apache-2.0

package rule_test

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

func from(prefix string, priority, table uint32) hostplan.PolicyRule {
	return hostplan.PolicyRule{From: netip.MustParsePrefix(prefix), Priority: priority, Table: table}
}

// scenario runs the same steps on the fake and on Linux.
func scenario(t *testing.T, k rule.Kernel) {
	a, b := from("10.16.0.5/32", 1500, 1000), from("10.17.0.0/24", 1501, 100)
	c, d := from("fd00:10:16::5/128", 1500, 1000), from("10.16.0.5/32", 1500, 4000000000)
	for _, step := range []struct {
		name    string
		want    hostplan.PolicyRules
		changes int
		list    []hostplan.PolicyRule
	}{
		{"empty", hostplan.PolicyRules{}, 0, nil},
		{"three", hostplan.PolicyRules{Want: []hostplan.PolicyRule{a, b, c}}, 3, []hostplan.PolicyRule{a, b, c}},
		{"again", hostplan.PolicyRules{Want: []hostplan.PolicyRule{c, b, a}}, 0, []hostplan.PolicyRule{a, b, c}},
		{"another table", hostplan.PolicyRules{Want: []hostplan.PolicyRule{b, c, d}}, 2, []hostplan.PolicyRule{d, b, c}},
		{"keep others", hostplan.PolicyRules{Want: []hostplan.PolicyRule{b}, KeepOthers: true}, 0, []hostplan.PolicyRule{d, b, c}},
		{"keep none of the node", hostplan.PolicyRules{
			Want: []hostplan.PolicyRule{b}, KeepOthers: true, Never: []netip.Addr{netip.MustParseAddr("10.16.0.5"), netip.MustParseAddr("fd00:10:16::5")},
		}, 2, []hostplan.PolicyRule{b}},
		{"others again", hostplan.PolicyRules{Want: []hostplan.PolicyRule{b, c, d}}, 2, []hostplan.PolicyRule{d, b, c}},
		{"one", hostplan.PolicyRules{Want: []hostplan.PolicyRule{b}}, 2, []hostplan.PolicyRule{b}},
	} {
		changes, err := rule.Apply(k, step.want)
		if err != nil || len(changes) != step.changes {
			t.Errorf("%s: changes %v, %v; want %d", step.name, changes, err, step.changes)
		}
		list, err := k.List()
		slices.SortFunc(list, func(a, b hostplan.PolicyRule) int {
			return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Table, b.Table))
		})
		if err != nil || !slices.Equal(list, step.list) {
			t.Errorf("%s: rules %v, %v; want %v", step.name, list, err, step.list)
		}
	}
	if err := k.Add(b); !errors.Is(err, rule.ErrExists) {
		t.Errorf("add twice: %v", err)
	}
	for what, err := range map[string]error{
		"delete a missing rule":   k.Delete(a),
		"host bits in the source": k.Add(from("10.16.0.5/16", 1500, 1000)),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestFake(t *testing.T) { scenario(t, rule.NewFake()) }

func onLinux(t *testing.T, f func(k *rule.Linux)) {
	nstest.New(t).Do(func() {
		k, err := rule.NewLinux()
		if err != nil {
			t.Error(err)
			return
		}
		defer k.Close()
		f(k)
	})
}

func TestLinux(t *testing.T) {
	onLinux(t, func(k *rule.Linux) { scenario(t, k) })
}

func ip(t *testing.T, args string) string {
	out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Errorf("ip %s: %v: %s", args, err, out)
	}
	return string(out)
}

// Somebody else's rules are neither changed nor removed, even if they look like ours.
func TestForeignRules(t *testing.T) {
	onLinux(t, func(k *rule.Linux) {
		ip(t, "rule add priority 1500 from 10.16.0.5 lookup 1000")
		ip(t, "rule add priority 1500 from 10.16.0.6 to 192.0.2.1 lookup 1000")
		before := ip(t, "rule")
		same, more := from("10.16.0.5/32", 1500, 1000), from("10.16.0.6/32", 1500, 1000)
		changes, err := rule.Apply(k, hostplan.PolicyRules{Want: []hostplan.PolicyRule{same, more}})
		if err != nil || len(changes) != 2 {
			t.Errorf("changes %v, %v; want two", changes, err)
		}
		if _, err := rule.Apply(k, hostplan.PolicyRules{}); err != nil {
			t.Error(err)
		}
		if after := ip(t, "rule"); after != before {
			t.Errorf("rules were\n%sare\n%s", before, after)
		}
	})
}

// A rule with our mark that is not wanted goes.
func TestLeftover(t *testing.T) {
	onLinux(t, func(k *rule.Linux) {
		want := from("10.16.0.5/32", 1500, 1000)
		ip(t, "rule add priority 1500 from 10.16.0.7 lookup 1000 protocol 87")
		if _, err := rule.Apply(k, hostplan.PolicyRules{Want: []hostplan.PolicyRule{want}}); err != nil {
			t.Error(err)
		}
		if list, err := k.List(); err != nil || !slices.Equal(list, []hostplan.PolicyRule{want}) {
			t.Errorf("rules %v, %v", list, err)
		}
	})
}

func TestWatch(t *testing.T) {
	ns := nstest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := make(chan struct{}, 100)
	ended := make(chan error, 1)
	ns.Go(func() {
		ended <- rule.Watch(ctx, func() { events <- struct{}{} })
	})
	<-events // it listens
	for _, line := range []string{"rule add from 10.0.0.1 lookup 100", "rule del from 10.0.0.1 lookup 100", "-6 rule add from fd00::1 lookup 100"} {
		ns.Do(func() { ip(t, line) })
		<-events
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
