// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Fake is a [Kernel] in memory. It refuses what Linux refuses: a second rule that
// says the same, the removal of a missing one, a source with host bits.
type Fake struct{ Rules map[hostplan.PolicyRule]bool }

// NewFake returns a kernel without rules.
func NewFake() *Fake { return &Fake{Rules: map[hostplan.PolicyRule]bool{}} }

// List implements [Kernel].
func (f *Fake) List() ([]hostplan.PolicyRule, error) {
	var out []hostplan.PolicyRule
	for r := range f.Rules {
		out = append(out, r)
	}
	return out, nil
}

// Add implements [Kernel].
func (f *Fake) Add(r hostplan.PolicyRule) error {
	switch {
	case f.Rules[r]:
		return ErrExists
	case r.From != r.From.Masked():
		return fmt.Errorf("%s has host bits", r.From)
	}
	f.Rules[r] = true
	return nil
}

// Delete implements [Kernel].
func (f *Fake) Delete(r hostplan.PolicyRule) error {
	if !f.Rules[r] {
		return fmt.Errorf("no rule %s", text(r))
	}
	delete(f.Rules, r)
	return nil
}

var (
	_ Kernel = (*Fake)(nil)
	_ Kernel = (*Linux)(nil)
)
