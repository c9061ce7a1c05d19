// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func owner(name string) fact.Owner { return fact.Owner{Kind: model.KindSubnet, Name: name} }

func withSwitch(mcast string) fact.Set {
	var s fact.Set
	s.Row(nb.LogicalSwitchTable, "ls", &nb.LogicalSwitch{Name: "ls", OtherConfig: map[string]string{"mcast_snoop": mcast}})
	return s
}

func withMember(value string) fact.Set {
	var s fact.Set
	s.Member(fact.RefTo(nb.AddressSetTable, "as"), "addresses", value)
	return s
}

var ls = fact.RefTo(nb.LogicalSwitchTable, "ls")

func set(s *desired.State, name string, age int64, facts fact.Set) *desired.Dirty {
	d := desired.NewDirty()
	s.Set(owner(name), age, facts, d)
	return d
}

func TestEqualFactsAreNotDirty(t *testing.T) {
	s := desired.New()
	if d := set(s, "a", 1, withSwitch("true")); len(d.Rows) != 1 {
		t.Errorf("new: %v", d)
	}
	if d := set(s, "a", 1, withSwitch("true")); d.Len() != 0 {
		t.Errorf("again: %v", d)
	}
	if d := set(s, "a", 1, withSwitch("false")); len(d.Rows) != 1 {
		t.Errorf("changed: %v", d)
	}
	if d := set(s, "a", 1, fact.Set{}); len(d.Rows) != 1 {
		t.Errorf("gone: %v", d)
	}
	if _, ok := s.Row(ls); ok {
		t.Error("the row is still wanted")
	}
}

func TestMembersAreCounted(t *testing.T) {
	s := desired.New()
	if d := set(s, "a", 1, withMember("10.0.0.0/8")); len(d.Members) != 1 {
		t.Errorf("first owner: %v", d)
	}
	if d := set(s, "b", 1, withMember("10.0.0.0/8")); d.Len() != 0 {
		t.Errorf("second owner: %v", d)
	}
	if d := set(s, "a", 1, fact.Set{}); d.Len() != 0 {
		t.Errorf("one of two owners removed: %v", d)
	}
	if d := set(s, "b", 1, fact.Set{}); len(d.Members) != 1 {
		t.Errorf("last owner removed: %v", d)
	}
}

// Rule 5: equal content is counted; with different content the older owner wins, in any order of arrival.
func TestOlderOwnerWins(t *testing.T) {
	for _, youngFirst := range []bool{false, true} {
		s := desired.New()
		if youngFirst {
			set(s, "young", 2, withSwitch("false"))
		}
		set(s, "old", 1, withSwitch("true"))
		if !youngFirst {
			set(s, "young", 2, withSwitch("false"))
		}
		if got, _ := s.Row(ls); got.Owner != owner("old") {
			t.Errorf("young first %v: %s wins, want the old owner", youngFirst, got.Owner)
		}
		if c := s.Conflicts(owner("young")); len(c) != 1 || c[0].Winner != owner("old") || c[0].ID != "ls" {
			t.Errorf("conflicts of the young owner: %v, want one, with the old owner", c)
		}
		if c := s.Conflicts(owner("old")); len(c) != 0 {
			t.Errorf("conflicts of the old owner: %v, want none", c)
		}
		if d := set(s, "old", 1, fact.Set{}); len(d.Rows) != 1 {
			t.Errorf("removal of the winner: dirty %v, want the row", d)
		}
		if got, _ := s.Row(ls); got.Owner != owner("young") {
			t.Errorf("after removal of the winner %s has the row, want the young owner", got.Owner)
		}
		if c := s.Conflicts(owner("young")); len(c) != 0 {
			t.Errorf("after removal of the winner: conflicts %v, want none", c)
		}
	}
}

func TestEqualRowsOfTwoOwners(t *testing.T) {
	s := desired.New()
	set(s, "a", 1, withSwitch("true"))
	set(s, "b", 2, withSwitch("true"))
	if c := s.Conflicts(owner("b")); len(c) != 0 {
		t.Errorf("conflicts %v, want none", c)
	}
	set(s, "a", 1, fact.Set{})
	if got, ok := s.Row(ls); !ok || got.Owner != owner("b") {
		t.Errorf("the row was removed with one of its two owners")
	}
}

// The state depends only on the current facts of the owners, not on their history.
func TestOrderDoesNotMatter(t *testing.T) {
	values := rapid.SampledFrom([]string{"a", "b", "c"})
	rapid.Check(t, func(rt *rapid.T) {
		last := map[string]fact.Set{}
		s := desired.New()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			name := values.Draw(rt, "owner")
			facts := fact.Set{}
			if rapid.Bool().Draw(rt, "row") {
				facts = withSwitch(values.Draw(rt, "mcast"))
			}
			for _, m := range rapid.SliceOfNDistinct(values, 0, 3, rapid.ID[string]).Draw(rt, "members") {
				facts.Members = append(facts.Members, withMember(m).Members...)
			}
			last[name] = facts
			set(s, name, int64(len(name)), facts)
		}
		fresh := desired.New()
		for name, facts := range last {
			set(fresh, name, int64(len(name)), facts)
		}
		one, other := desired.NewDirty(), desired.NewDirty()
		s.All(one)
		fresh.All(other)
		if len(one.Rows) != len(other.Rows) || len(one.Members) != len(other.Members) {
			rt.Fatalf("dirty %v, and %v in a fresh state", one, other)
		}
		for _, ref := range one.Rows {
			a, _ := s.Row(ref)
			b, _ := fresh.Row(ref)
			if a.Owner != b.Owner {
				rt.Fatalf("row of %s, and of %s in a fresh state", a.Owner, b.Owner)
			}
		}
		for _, k := range one.Members {
			a, _ := s.Member(k)
			if b, ok := fresh.Member(k); !ok || a != b {
				rt.Fatalf("member of %s, and of %s in a fresh state", a, b)
			}
		}
	})
}
