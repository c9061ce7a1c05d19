// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process identifies a process uniquely: the kernel may reuse its pid, but not together with its start time.
type Process struct {
	PID   int    `json:"pid"`   // in the host's pid namespace
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/<pid>/stat
	Boot  string `json:"boot"`  // the machine's boot id: start times count from boot
}

// identify reads the identity of a live process.
func identify(pid int) (Process, error) {
	start, _, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start, Boot: boot}, nil
}

func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func readStat(pid int) (start uint64, state byte, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, fmt.Errorf("read the state of process %d: %w", pid, err)
	}
	return parseStat(raw)
}

// parseStat parses state and start time of a line of /proc/<pid>/stat (proc(5)). The program's name, in parentheses,
// may itself contain spaces and parentheses.
func parseStat(raw []byte) (start uint64, state byte, err error) {
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("parse process stat %q: no program name", raw)
	}
	fields := strings.Fields(string(raw[end+1:]))
	const startField = 22 - 3 // fields[0] is field 3
	if len(fields) <= startField {
		return 0, 0, fmt.Errorf("parse process stat %q: %d fields", raw, len(fields))
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("parse process stat: start time: %w", err)
	}
	return start, fields[0][0], nil
}

// Alive reports whether this very process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 1 {
		return false
	}
	if boot, err := bootID(); err != nil || boot != p.Boot {
		return false
	}
	start, state, err := readStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// kill sends SIGKILL and waits until the process is gone. A process that has already exited is no error; another
// process that reuses its pid is not touched.
func (p Process) kill(ctx context.Context) error {
	if !p.Alive() {
		return nil
	}
	handle, err := os.FindProcess(p.PID) // a pidfd, so the pid cannot be reused until the signal is sent
	if err != nil {
		return fmt.Errorf("find process %d: %w", p.PID, err)
	}
	defer func() { _ = handle.Release() }()
	if !p.Alive() {
		return nil
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return waitUntil(ctx, 10*time.Millisecond, func() bool { return !p.Alive() })
}

// waitUntil calls done every interval until it returns true or ctx ends.
func waitUntil(ctx context.Context, interval time.Duration, done func() bool) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return wrap(context.Cause(ctx), "wait")
		case <-ticker.C:
		}
	}
	return nil
}
