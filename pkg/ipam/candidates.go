// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// NoCandidateError is for a list of addresses none of which can be assigned, with the causes. It is an [ErrExhausted].
type NoCandidateError struct {
	Subnet string
	List   string
	Causes []error // of the first ones
	More   int     // that are not named
}

func (e *NoCandidateError) Error() string {
	texts := make([]string, 0, len(e.Causes)+1)
	for _, cause := range e.Causes {
		texts = append(texts, cause.Error())
	}
	if e.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", e.More))
	}
	return fmt.Sprintf("none of the addresses %s can be assigned in subnet %s: %s", e.List, e.Subnet, strings.Join(texts, "; "))
}

// Is reports whether target is [ErrExhausted].
func (e *NoCandidateError) Is(target error) bool { return target == ErrExhausted }

// assignCandidate chooses the first address or pair of a list that was never released, else the one released longest
// ago. Candidates are static addresses: they may be excluded. A requested IP family that is not in the list is dynamic.
func (s *subnet) assignCandidate(r Request) (model.Addrs, error) {
	const named = 3
	failed := &NoCandidateError{Subnet: s.def.Name, List: clipText(r.Candidates.String())}
	var best model.Addrs
	var bestTurn uint64
	for candidate := range r.Candidates.All() {
		candidate = only(r.Family, candidate)
		if err := s.checkCandidate(candidate); err != nil {
			if len(failed.Causes) < named {
				failed.Causes = append(failed.Causes, err)
			} else {
				failed.More++
			}
			continue
		}
		turn := max(s.spaces.V4.cooling.turns[candidate.V4], s.spaces.V6.cooling.turns[candidate.V6])
		if best == (model.Addrs{}) || turn < bestTurn {
			best, bestTurn = candidate, turn
		}
		if turn == 0 {
			break
		}
	}
	if best == (model.Addrs{}) {
		return model.Addrs{}, failed
	}
	r.IPs, r.Candidates = best, nil
	return s.assign(r)
}

func (s *subnet) checkCandidate(a model.Addrs) error {
	if a == (model.Addrs{}) {
		return invalidf("an address does not have the requested IP family")
	}
	if a.V4.IsValid() {
		if err := s.checkStatic(&s.spaces.V4, a.V4); err != nil {
			return err
		}
	}
	if a.V6.IsValid() {
		return s.checkStatic(&s.spaces.V6, a.V6)
	}
	return nil
}

// only clears the address of an IP family that is not requested.
func only(f model.Family, a model.Addrs) model.Addrs {
	switch f {
	case model.IPv4:
		return model.Addrs{V4: a.V4}
	case model.IPv6:
		return model.Addrs{V6: a.V6}
	default:
		return a
	}
}

// clipText truncates a very long text.
func clipText(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
