package plumb

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// undoTimeout bounds taking back what a failed ADD did; the request's own context may be over by then.
const undoTimeout = 10 * time.Second

// undo takes one step back. A nil undo means that the step changed nothing that has to be taken back.
type undo func(ctx context.Context) error

// step is one reversible change.
type step struct {
	// name completes the sentence "cannot …".
	name string
	do   func(ctx context.Context) (undo, error)
}

// run does the steps in order. When one fails, those before it are undone in reverse order, and the error says which
// step it was and, if undoing failed too, what may have been left behind.
func run(ctx context.Context, steps []step) error {
	type done struct {
		name string
		undo undo
	}
	var doneSteps []done
	for _, s := range steps {
		err := ctx.Err()
		var back undo
		if err == nil {
			back, err = s.do(ctx)
		}
		if back != nil {
			doneSteps = append(doneSteps, done{s.name, back})
		}
		if err == nil {
			continue
		}
		errs := []error{fmt.Errorf("%s: %w", s.name, err)}
		undoCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		for i := len(doneSteps) - 1; i >= 0; i-- {
			if err := doneSteps[i].undo(undoCtx); err != nil {
				errs = append(errs, fmt.Errorf("undo %q: %w", doneSteps[i].name, err))
			}
		}
		return errors.Join(errs...)
	}
	return nil
}
