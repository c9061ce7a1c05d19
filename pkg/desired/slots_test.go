// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func withVariable(value string) fact.Set {
	var s fact.Set
	s.Pair(fact.RefTo(nb.ChassisTemplateVarTable, "n1"), "variables", "key", value)
	return s
}

func variable(value string) desired.MemberKey { return desired.KeyOf(withVariable(value).Members[0]) }

// wants checks that one value is wanted, and returns the losers among the owners.
func wants(t *testing.T, what string, s *desired.State, value string, names ...string) (losers []string) {
	t.Helper()
	for _, v := range []string{"old", "young"} {
		if _, wanted := s.Member(variable(v)); wanted != (v == value) || s.Wants(variable(v)) != wanted {
			t.Errorf("%s: value %s is wanted: %t", what, v, wanted)
		}
	}
	for _, name := range names {
		for _, c := range s.Conflicts(owner(name)) {
			losers = append(losers, c.Loser.Name+" to "+c.Winner.Name+": "+c.What())
		}
	}
	return losers
}

// Rule 5 for a key of a map: the value of the oldest owner is wanted, in any order of arrival.
func TestOlderOwnerHasTheKey(t *testing.T) {
	for _, youngFirst := range []bool{false, true} {
		s := desired.New()
		order := []string{"old", "young"}
		if youngFirst {
			order = []string{"young", "old"}
		}
		age := map[string]int64{"old": 1, "young": 2}
		for _, name := range order {
			set(s, name, age[name], withVariable(name))
		}
		losers := wants(t, "both", s, "old", "old", "young")
		if len(losers) != 1 || losers[0] != "young to old: Chassis_Template_Var variables:key" {
			t.Errorf("conflicts %v", losers)
		}
		if rivals := s.Rivals(owner("young"), withVariable("young")); len(rivals) != 1 || rivals[0] != owner("old") {
			t.Errorf("rivals %v", rivals)
		}
		if d := set(s, "old", 3, withVariable("old")); len(d.Members) != 2 {
			t.Errorf("recreated: %v", d)
		}
		if losers := wants(t, "recreated", s, "young", "old", "young"); len(losers) != 1 {
			t.Errorf("conflicts %v", losers)
		}
		d := set(s, "young", 2, fact.Set{})
		if len(d.Members) < 2 || !s.HasValue(variable("young")) {
			t.Errorf("the winner is gone: %v", d)
		}
		if losers := wants(t, "one", s, "old", "old", "young"); len(losers) != 0 {
			t.Errorf("conflicts %v", losers)
		}
		set(s, "old", 3, fact.Set{})
		if s.HasValue(variable("old")) {
			t.Error("the key has a value and no owner")
		}
	}
}

// An older owner that declares the value of a loser makes it win, and its end reverts that.
func TestValueIsAsOldAsItsOldestOwner(t *testing.T) {
	s := desired.New()
	set(s, "b", 2, withVariable("old"))
	set(s, "c", 3, withVariable("young"))
	if d := set(s, "a", 1, withVariable("young")); len(d.Members) != 2 {
		t.Errorf("dirty %v", d)
	}
	wants(t, "joined", s, "young")
	if d := set(s, "a", 1, fact.Set{}); len(d.Members) != 2 {
		t.Errorf("dirty %v", d)
	}
	wants(t, "left", s, "old")
}
