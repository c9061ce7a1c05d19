// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// reaper waits, in pid 1, for every process of the capsule: its own children and the orphans that it inherits.
type reaper struct {
	mu      sync.Mutex // held while a child is started, so that its exit is not collected before it is registered
	waiting map[int]chan syscall.WaitStatus
}

func newReaper() *reaper { return &reaper{waiting: map[int]chan syscall.WaitStatus{}} }

// start runs cmd; the channel receives its exit status. cmd's outputs must be files, because nobody calls cmd.Wait.
func (r *reaper) start(cmd *exec.Cmd) (pid int, ended <-chan syscall.WaitStatus, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	channel := make(chan syscall.WaitStatus, 1)
	r.waiting[cmd.Process.Pid] = channel
	pid = cmd.Process.Pid
	return pid, channel, wrap(cmd.Process.Release(), "detach from %s", cmd.Path)
}

// run reaps exited processes until ctx ends.
func (r *reaper) run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	defer signal.Stop(signals)
	for {
		r.collect()
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
	}
}

func (r *reaper) collect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if channel, ok := r.waiting[pid]; ok {
			delete(r.waiting, pid)
			channel <- status
		}
	}
}
