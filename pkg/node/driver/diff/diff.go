// SPDX-License-Identifier: Apache-2.0

// Package diff compares a list of kernel objects of one kind with the list that is wanted, and changes what differs.
package diff

import (
	"errors"
	"fmt"
)

// Kind is how objects of type T are identified and changed.
type Kind[T, K comparable] struct {
	// Name of one object, for texts: "route".
	Name string
	// Key identifies an object: the kernel has one for each key.
	Key func(T) K
	// Text is the object in the notation of the tool that an operator would use.
	Text func(T) string
	Add  func(T) error
	// Replace changes the object of the same key. It is not called if the key is the whole object.
	Replace func(T) error
	Delete  func(T) error
}

// Apply adds and replaces what is wanted, and then removes what is left and keep does not keep. It
// returns a sentence for each change. A failed change does not stop the others; the errors are joined.
func (k Kind[T, K]) Apply(have, want []T, keep func(T) bool) (changes []string, err error) {
	left := make(map[K]T, len(have))
	for _, o := range have {
		left[k.Key(o)] = o
	}
	var errs []error
	try := func(verb string, o T, do func(T) error) {
		what := fmt.Sprintf("%s %s %s", verb, k.Name, k.Text(o))
		if err := do(o); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			return
		}
		changes = append(changes, what)
	}
	for _, o := range want {
		old, found := left[k.Key(o)]
		switch {
		case !found:
			try("add", o, k.Add)
		case old != o:
			try("replace", o, k.Replace)
		}
		delete(left, k.Key(o))
	}
	for _, o := range have {
		if _, extra := left[k.Key(o)]; extra && !keep(o) {
			try("remove", o, k.Delete)
		}
	}
	return changes, errors.Join(errs...)
}
