// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// downTimeout bounds how long Down waits for killed processes to exit and for their cgroups to become empty.
const downTimeout = 30 * time.Second

// Down tears down a sandbox and removes everything it created but the build cache. A missing sandbox is no error.
func Down(ctx context.Context, home Home, name string, progress *Progress) error {
	if err := ValidateName(name); err != nil {
		return err
	}
	paths := home.paths(name)
	lock, err := acquire(ctx, home.lockFile("sandbox-"+name), func() { progress.Say("waiting for another command on sandbox %s", name) })
	if err != nil {
		return err
	}
	defer lock.release()
	state, err := readState(paths)
	if errors.Is(err, fs.ErrNotExist) {
		progress.Say("there is no sandbox %s", name)
		return wrap(os.RemoveAll(paths.Dir()), "remove a run directory without state")
	}
	if err != nil {
		return err
	}
	done := progress.Step("tearing down sandbox %s", name)
	err = remove(ctx, state)
	done(err)
	return err
}

// remove kills the capsules in the state, each verified by its start time, removes their cgroups and the run directory,
// and restores the machine's settings if this was the last sandbox.
func remove(ctx context.Context, state *State) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downTimeout, fmt.Errorf("not torn down after %s", downTimeout))
	defer cancel()
	var wait sync.WaitGroup
	errs := make(chan error, len(state.Capsules))
	for name, process := range state.Capsules {
		wait.Go(func() {
			if err := process.kill(ctx); err != nil {
				errs <- fmt.Errorf("kill capsule %s: %w", name, err)
			}
		})
	}
	wait.Wait()
	close(errs)
	var failed error
	for err := range errs {
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return failed
	}
	parents := map[string]bool{}
	for _, dir := range state.Cgroups {
		if err := removeCgroup(ctx, dir); err != nil {
			return err
		}
		parents[filepath.Dir(dir)] = true
	}
	for parent := range parents {
		if err := removeCgroup(ctx, parent); err != nil {
			return err
		}
	}
	paths := state.Plan.Paths
	if err := os.RemoveAll(paths.Dir()); err != nil {
		return fmt.Errorf("remove the run directory: %w", err)
	}
	return thisMachine.restore(ctx, paths.Dir())
}
