package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// startedCapsule is a capsule whose pid 1 waits for go.
type startedCapsule struct {
	process Process
	pipe    *os.File
}

// startCapsule writes the spec and starts pid 1 in namespaces of its own. It waits there until release is called; if this process
// ends first, it ends too.
func startCapsule(p Plan, spec CapsuleSpec) (*startedCapsule, error) {
	if err := os.MkdirAll(spec.LogDir, 0o750); err != nil {
		return nil, fmt.Errorf("make the log directory of %s: %w", spec.Name, err)
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
		return nil, fmt.Errorf("make the start pipe of %s: %w", spec.Name, err)
	}
	defer func() { _ = read.Close() }()
	// Without a context: the capsule outlives this process.
	cmd := &exec.Cmd{Path: p.Exe, Args: []string{p.Exe, "capsule-init", specFile}, Stdout: log, Stderr: log, ExtraFiles: []*os.File{read}, Dir: "/"}
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
	return &startedCapsule{process: process, pipe: write}, wrap(cmd.Process.Release(), "let go of capsule %s", spec.Name)
}

// release lets pid 1 go on.
func (c *startedCapsule) release() error {
	if _, err := c.pipe.Write([]byte{1}); err != nil {
		return errors.Join(fmt.Errorf("release a capsule: %w", err), c.pipe.Close())
	}
	return wrap(c.pipe.Close(), "close the start pipe")
}

// netnsPath is the network namespace of a live process.
func (p Process) netnsPath() string { return fmt.Sprintf("/proc/%d/ns/net", p.PID) }
