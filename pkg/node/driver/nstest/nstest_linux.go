// Package nstest lets tests change a real kernel's network configuration in a
// network namespace of their own.
package nstest

import (
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Namespace is a network namespace that lives as long as the test.
type Namespace struct {
	t      testing.TB
	handle netns.NsHandle
}

// New makes a namespace with its loopback link up. It skips the test for users
// who may not make one.
func New(t testing.TB) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	n := &Namespace{t: t}
	onThread(t, func() {
		old, err := netns.Get()
		if err != nil {
			t.Errorf("open own namespace: %v", err)
			return
		}
		defer func() { _ = old.Close() }()
		if n.handle, err = netns.New(); err != nil {
			t.Errorf("make namespace: %v", err)
			return
		}
		if err := netns.Set(old); err != nil {
			t.Errorf("return to own namespace: %v", err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { _ = n.handle.Close() })
	n.Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Errorf("set lo up: %v", err)
		}
	})
	return n
}

// Do runs f on a thread that is in the namespace. f must not call t.FailNow; Do
// does it after f if the test has failed.
func (n *Namespace) Do(f func()) {
	n.t.Helper()
	onThread(n.t, func() {
		old, err := netns.Get()
		if err != nil {
			n.t.Errorf("open own namespace: %v", err)
			return
		}
		defer func() { _ = old.Close() }()
		if err := netns.Set(n.handle); err != nil {
			n.t.Errorf("enter namespace: %v", err)
			return
		}
		f()
		if err := netns.Set(old); err != nil {
			n.t.Errorf("return to own namespace: %v", err)
		}
	})
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// onThread runs f on a thread of its own, which dies with it: a thread whose
// namespace could not be restored must not be used again.
func onThread(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}
