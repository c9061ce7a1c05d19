// SPDX-License-Identifier: Apache-2.0

package state

import (
	"maps"
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

// dependencies are the kinds on whose rows others depend.
var dependencies = []model.Kind{model.KindVpc, model.KindSubnet, model.KindNode, model.KindNamespace, model.KindIPPool}

// An object that waits for a row of another object says so. Each object of each state on which others may depend is
// left out in turn.
func TestObjectsThatWaitHaveAProblem(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	b := newModelHarness(t)
	b.restart()
	for _, s := range states() {
		for _, left := range sortedRefs(s.objects) {
			if !slices.Contains(dependencies, left.Kind) {
				continue
			}
			without := state{name: s.name, objects: maps.Clone(s.objects)}
			delete(without.objects, left)
			b.become(without)
			b.converge()
			for _, blocked := range b.core.Blocked() {
				for _, object := range blocked.Objects {
					kind := string(left.Kind) + ": " + object[:4] + " " + blocked.WaitsFor
					if !b.hasProblems(object) && !seen[kind] {
						seen[kind] = true
						t.Errorf("%s without %s: %s waits for %s and has no problem", s.name, left, object, blocked.WaitsFor)
					}
				}
			}
		}
	}
}

func (b *harness) hasProblems(object string) bool {
	for ref, report := range b.reports {
		if ref.String() == object && len(report.Problems) > 0 {
			return true
		}
	}
	return false
}
