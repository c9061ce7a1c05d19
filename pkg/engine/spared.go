// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/plan"
)

// spared is what a full comparison leaves in the database because of owners that have never been compiled since the
// start. An owner that is paused for the first time after the comparison has no rows: they would have been swept.
type spared struct {
	// rows are those to check again when an owner is compiled.
	rows map[fact.Owner]map[fact.Ref]struct{}
	// values are the rows whose plain elements are checked again when the last of the owners is compiled.
	values map[fact.Ref]struct{}
}

func newSpared() spared {
	return spared{rows: map[fact.Owner]map[fact.Ref]struct{}{}, values: map[fact.Ref]struct{}{}}
}

func (s spared) plan() plan.Spared {
	return plan.Spared{
		Paused: func(owner fact.Owner) bool {
			_, ok := s.rows[owner]
			return ok
		},
		Values: len(s.rows) > 0,
		Left:   s.left,
	}
}

func (s spared) left(owner fact.Owner, row fact.Ref) {
	if owner == (fact.Owner{}) {
		s.values[row] = struct{}{}
		return
	}
	if s.rows[owner] == nil {
		s.rows[owner] = map[fact.Ref]struct{}{}
	}
	s.rows[owner][row] = struct{}{}
}

// release ends the sparing of an owner, and returns the rows to check again.
func (s spared) release(owner fact.Owner) []fact.Ref {
	rows, ok := s.rows[owner]
	if !ok {
		return nil
	}
	delete(s.rows, owner)
	out := slices.Collect(maps.Keys(rows))
	if len(s.rows) == 0 {
		out = slices.AppendSeq(out, maps.Keys(s.values))
		clear(s.values)
	}
	return out
}
