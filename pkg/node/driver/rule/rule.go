// SPDX-License-Identifier: Apache-2.0

// Package rule keeps our routing rules (ip-rule(8)) in the kernel. Ours have the protocol number
// [hostplan.RouteProtocol]; rules of others are neither read nor changed.
package rule

import (
	"errors"
	"fmt"

	"github.com/wovensdn/woven/pkg/node/driver/diff"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ErrExists is wrapped when the rule to be added exists. Rules of others do not count: the protocol number is part of
// a rule's identity in the kernel.
var ErrExists = errors.New("the rule exists already")

// Kernel is what the driver needs of an operating system.
type Kernel interface {
	// List returns the rules with our protocol number.
	List() ([]hostplan.PolicyRule, error)
	// Add adds a rule; the error wraps [ErrExists] if there is such a rule of ours.
	Add(hostplan.PolicyRule) error
	// Delete removes our rule; a missing one is an error.
	Delete(hostplan.PolicyRule) error
}

// Apply makes our rules those of the plan; see [diff.Kind.Apply]. A rule is its own key.
func Apply(k Kernel, want hostplan.PolicyRules) (changes []string, err error) {
	have, err := k.List()
	if err != nil {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	kind := diff.Kind[hostplan.PolicyRule, hostplan.PolicyRule]{
		Name: "routing rule", Key: func(r hostplan.PolicyRule) hostplan.PolicyRule { return r }, Text: text, Add: k.Add, Delete: k.Delete,
	}
	return kind.Apply(have, want.Want, func(r hostplan.PolicyRule) bool {
		_, taken := hostplan.Taken(r.From, want.Never)
		return want.KeepOthers && r.From.IsValid() && !taken
	})
}

// text is a rule in the notation of ip-rule(8).
func text(r hostplan.PolicyRule) string {
	return fmt.Sprintf("priority %d from %s lookup %d", r.Priority, r.From, r.Table)
}
