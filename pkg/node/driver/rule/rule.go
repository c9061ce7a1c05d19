// Package rule keeps our routing rules (ip-rule(8)) in the kernel. They are known
// by their protocol number ([hostplan.RouteProtocol]); rules of anybody else are
// neither read nor changed.
package rule

import (
	"errors"
	"fmt"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ErrExists is wrapped when the rule that is to be added is there. Rules of
// others do not count: the kernel tells rules apart by their protocol numbers, too.
var ErrExists = errors.New("it is there already")

// Kernel is what the driver needs of an operating system.
type Kernel interface {
	// List returns the rules with our protocol number.
	List() ([]hostplan.PolicyRule, error)
	// Add adds a rule; the error wraps [ErrExists] if there is such a rule of ours.
	Add(hostplan.PolicyRule) error
	// Delete removes our rule; a missing one is an error.
	Delete(hostplan.PolicyRule) error
}

// Apply makes our rules those of the plan and says, one sentence each, what it
// changed. New rules are there before old ones go. What fails does not stop the
// rest; the errors are joined.
func Apply(k Kernel, want hostplan.PolicyRules) (changes []string, err error) {
	list, err := k.List()
	if err != nil {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	surplus := make(map[hostplan.PolicyRule]bool, len(list))
	for _, r := range list {
		surplus[r] = true
	}
	var errs []error
	try := func(what string, r hostplan.PolicyRule, do func(hostplan.PolicyRule) error) {
		if err := do(r); err != nil {
			errs = append(errs, fmt.Errorf("%s routing rule %s: %w", what, text(r), err))
			return
		}
		changes = append(changes, fmt.Sprintf("%s routing rule %s", what, text(r)))
	}
	for _, r := range want.Want {
		if !surplus[r] {
			try("add", r, k.Add)
		}
		delete(surplus, r)
	}
	if want.KeepOthers {
		return changes, errors.Join(errs...)
	}
	for _, r := range list {
		if surplus[r] {
			try("remove", r, k.Delete)
		}
	}
	return changes, errors.Join(errs...)
}

// text is a rule in the words of ip-rule(8).
func text(r hostplan.PolicyRule) string {
	return fmt.Sprintf("priority %d from %s lookup %d", r.Priority, r.From, r.Table)
}
