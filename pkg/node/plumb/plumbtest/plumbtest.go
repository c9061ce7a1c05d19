// SPDX-License-Identifier: Apache-2.0

// Package plumbtest gives tests a node of their own: network and mount namespaces that vanish with the test process.
package plumbtest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const insideEnv = "WOVEN_TEST_NODE"

// Main runs the tests of a package in new network and mount namespaces, so that whatever they make, and leave behind
// when they are killed, is nowhere else. Call it from TestMain and exit with its result. It needs root.
func Main(m *testing.M) int {
	if os.Getenv(insideEnv) != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "prepare test node:", err)
			return 1
		}
		return m.Run()
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...) //nolint:gosec,noctx // the test binary itself, which knows its own timeout
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	// Pdeathsig is sent when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, "start tests in a network namespace (this needs root):", err)
			return 1
		}
		return max(1, cmd.ProcessState.ExitCode())
	}
	return 0
}

func prepare() error {
	const dir = "/run/netns"
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the usual mode of that directory
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Pod is a network namespace with a path, as a container runtime makes it.
type Pod struct {
	Path   string
	Handle *netlink.Handle
}

// NewPod makes a network namespace that goes when the test ends.
func NewPod(t testing.TB, name string) *Pod {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := netns.Get()
	must(t, err)
	made, err := netns.NewNamed(name)
	must(t, err)
	must(t, netns.Set(own))
	must(t, own.Close())
	handle, err := netlink.NewHandleAt(made)
	must(t, err)
	must(t, made.Close())
	pod := &Pod{Path: "/run/netns/" + name, Handle: handle}
	t.Cleanup(func() {
		handle.Close()
		pod.Delete(t)
	})
	return pod
}

// Delete removes the namespace; it may have been deleted before.
func (p *Pod) Delete(t testing.TB) {
	t.Helper()
	if err := unix.Unmount(p.Path, unix.MNT_DETACH); err != nil && err != unix.ENOENT && err != unix.EINVAL {
		t.Errorf("unmount %s: %v", p.Path, err)
	}
	if err := os.Remove(p.Path); err != nil && !os.IsNotExist(err) {
		t.Errorf("remove %s: %v", p.Path, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
