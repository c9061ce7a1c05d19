// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/model"
)

func exceptingPolicy(name string, ingress bool, except ...netip.Prefix) *model.Policy {
	p := &model.Policy{Meta: model.Meta{Namespace: "ns", Name: name}, Kind: model.KindNetworkPolicy}
	side := &p.Egress
	if ingress {
		side = &p.Ingress
	}
	side.Rules = []model.PolicyRule{{Blocks: []model.IPBlock{{Except: except}}}, {Blocks: []model.IPBlock{{Except: except}}}}
	return p
}

// A reader of exceptions is woken when a prefix is used for the first time, or no longer, in its direction.
func TestExceptionsWake(t *testing.T) {
	w := New()
	reader := model.Ref{Kind: model.KindNetworkPolicy, Namespace: "ns", Name: "reader"}
	a, b := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")
	w.Read(reader, func(v *View) { v.Exceptions("ns", true) })
	for _, step := range []struct {
		name   string
		policy *model.Policy
		wakes  bool
	}{
		{"the first use", exceptingPolicy("p", true, a), true},
		{"the same prefix of another policy", exceptingPolicy("q", true, a), false},
		{"another prefix", exceptingPolicy("q", true, a, b), true},
		{"one use of two is gone", exceptingPolicy("p", true), false},
		{"the last use is gone", exceptingPolicy("q", true, b), true},
		{"the other direction", exceptingPolicy("r", false, a), false},
	} {
		woken := w.Policies[model.KindNetworkPolicy].Set(step.policy)
		if got := len(woken) == 1 && woken[0] == reader; got != step.wakes || len(woken) > 1 {
			t.Errorf("%s wakes %v", step.name, woken)
		}
	}
	if woken := w.Policies[model.KindNetworkPolicy].Delete(Key{"ns", "q"}); len(woken) != 1 {
		t.Errorf("the deletion of the last policy wakes %v", woken)
	}
	if len(w.exceptions.uses) != 1 {
		t.Errorf("the index keeps %v", w.exceptions.uses)
	}
}

// The exceptions of a namespace are those of its policies, after any changes.
func TestExceptionsAreThoseOfPolicies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, now := New(), map[string][]netip.Prefix{}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			name := fmt.Sprint("p", rapid.IntRange(0, 3).Draw(t, "policy"))
			var except []netip.Prefix
			for range rapid.IntRange(0, 3).Draw(t, "exceptions") {
				except = append(except, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 7).Draw(t, "address"))}), 32))
			}
			if now[name] = except; rapid.Bool().Draw(t, "deleted") {
				delete(now, name)
				w.Policies[model.KindNetworkPolicy].Delete(Key{"ns", name})
			} else {
				w.Policies[model.KindNetworkPolicy].Set(exceptingPolicy(name, true, except...))
			}
			w.Read(model.Ref{Name: "reader"}, func(v *View) {
				got := v.Exceptions("ns", true)
				for i := range byte(8) {
					addr, want := netip.AddrFrom4([4]byte{10, 0, 0, i}), false
					for _, list := range now {
						for _, p := range list {
							want = want || p.Contains(addr)
						}
					}
					if slices.ContainsFunc(got, func(p netip.Prefix) bool { return p.Contains(addr) }) != want {
						t.Fatalf("%s is an exception: %t, want %t", addr, !want, want)
					}
				}
			})
		}
	})
}
