// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// startedCapsule is a capsule whose pid 1 waits for release.
type startedCapsule struct {
	process Process
	cmd     *exec.Cmd
	pipe    *os.File
	log     string // file that pid 1 writes to
}

// startCapsule writes the spec and starts pid 1 in namespaces of its own. Pid 1 waits until release is called, and
// exits if this process exits first.
func startCapsule(p Plan, spec CapsuleSpec) (*startedCapsule, error) {
	if err := os.MkdirAll(spec.LogDir, 0o750); err != nil {
		return nil, fmt.Errorf("create the log directory of %s: %w", spec.Name, err)
	}
	raw, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s: %w", spec.Name, err)
	}
	specFile := p.Paths.specFile(spec.Name)
	if err := writeAtomically(specFile, raw); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(spec.LogDir, "init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create the start pipe of %s: %w", spec.Name, err)
	}
	defer func() { _ = read.Close() }()
	// Without a context: the capsule outlives this process.
	cmd := &exec.Cmd{Path: p.Exe, Args: []string{p.Exe, EnterCommand, specFile}, Stdout: log, Stderr: log, ExtraFiles: []*os.File{read}, Dir: "/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start capsule %s: %w", spec.Name, err), write.Close())
	}
	process, err := identify(cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("capsule %s: %w", spec.Name, err), write.Close())
	}
	return &startedCapsule{process: process, cmd: cmd, pipe: write, log: log.Name()}, nil
}

// release lets pid 1 continue.
func (c *startedCapsule) release() error {
	if _, err := c.pipe.Write([]byte{1}); err != nil {
		return errors.Join(fmt.Errorf("release a capsule: %w", err), c.pipe.Close())
	}
	return wrap(errors.Join(c.pipe.Close(), c.cmd.Process.Release()), "detach from a capsule")
}

// abandon ends a capsule that cannot be completed. The error contains the log of its pid 1.
func (c *startedCapsule) abandon(cause error) error {
	closed := c.pipe.Close() // pid 1 reads this as the end of its parent
	ended := c.cmd.Wait()
	said, err := os.ReadFile(c.log)
	return errors.Join(cause, closed, wrap(ended, "wait for pid 1 of the capsule"), err, fmt.Errorf("log of the capsule's pid 1: %q", bytes.TrimSpace(said)))
}

// netnsPath is the network namespace of a live process.
func (p Process) netnsPath() string { return fmt.Sprintf("/proc/%d/ns/net", p.PID) }
