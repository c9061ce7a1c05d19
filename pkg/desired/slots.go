// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"slices"

	"github.com/wovensdn/woven/pkg/fact"
)

// slot is one key in a map column. The database has one value for it; if owners declare several, that of the oldest
// owner is wanted.
type slot struct {
	fact.Ref
	column, key string
}

func slotOf(k MemberKey) slot { return slot{k.Ref, k.Column, k.Key} }

// inSlot reports whether a member is a value in a map; elements of sets do not compete.
func inSlot(k MemberKey) bool { return k.Key != "" }

func (s *State) addToSlot(k MemberKey) {
	if inSlot(k) {
		s.slots[slotOf(k)] = append(s.slots[slotOf(k)], k)
	}
}

func (s *State) dropFromSlot(k MemberKey) {
	if !inSlot(k) {
		return
	}
	of := slotOf(k)
	left := slices.DeleteFunc(s.slots[of], func(other MemberKey) bool { return other == k })
	if len(left) == 0 {
		delete(s.slots, of)
		return
	}
	s.slots[of] = left
}

// rivalValues are all values that are declared for the key of a member, if there are several.
func (s *State) rivalValues(k MemberKey) []MemberKey {
	if !inSlot(k) {
		return nil
	}
	if values := s.slots[slotOf(k)]; len(values) > 1 {
		return values
	}
	return nil
}

// claim is the oldest owner of a member.
type claim struct {
	owner fact.Owner
	age   int64
}

func (c claim) compare(other claim) int {
	return cmp.Or(cmp.Compare(c.age, other.age), c.owner.Compare(other.owner))
}

func (s *State) claimOf(k MemberKey) (oldest claim) {
	found := false
	for owner := range s.members[k].all() {
		c := claim{owner: owner}
		if o := s.owners[owner]; o != nil {
			c.age = o.age
		}
		if !found || c.compare(oldest) < 0 {
			oldest, found = c, true
		}
	}
	return oldest
}

// winner is the member that is wanted among those with the same key in the same map.
func (s *State) winner(k MemberKey) MemberKey {
	best, bestClaim := k, claim{}
	for i, value := range s.rivalValues(k) {
		if c := s.claimOf(value); i == 0 || c.compare(bestClaim) < 0 {
			best, bestClaim = value, c
		}
	}
	return best
}

// HasValue reports whether a value is wanted for the key of a member in its map.
func (s *State) HasValue(k MemberKey) bool { return inSlot(k) && len(s.slots[slotOf(k)]) > 0 }
