// SPDX-License-Identifier: Apache-2.0

// Package step runs changes of a host that are made of several steps, each of which can be taken back.
package step

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// undoTimeout bounds the undoing of a failed run; the context of the run may have ended by then.
const undoTimeout = 10 * time.Second

// Undo takes one step back. A nil Undo means that the step changed nothing that has to be taken back.
type Undo func(ctx context.Context) error

// Step is one reversible change.
type Step struct {
	// Name completes the sentence "cannot …".
	Name string
	// Do makes the change. It may return an Undo together with an error, if it changed something before it failed.
	Do func(ctx context.Context) (Undo, error)
}

// Run does the steps in order. When one fails, the steps done before it are undone in reverse order, and the error
// names the failed step and, if undoing failed too, the steps whose changes may have been left behind.
func Run(ctx context.Context, steps []Step) error {
	var done []Step
	var undos []Undo
	for _, s := range steps {
		err := ctx.Err()
		var undo Undo
		if err == nil {
			undo, err = s.Do(ctx)
		}
		if undo != nil {
			done, undos = append(done, s), append(undos, undo)
		}
		if err == nil {
			continue
		}
		errs := []error{fmt.Errorf("%s: %w", s.Name, err)}
		undoCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		for i := len(done) - 1; i >= 0; i-- {
			if err := undos[i](undoCtx); err != nil {
				errs = append(errs, fmt.Errorf("undo %q: %w", done[i].Name, err))
			}
		}
		return errors.Join(errs...)
	}
	return nil
}
