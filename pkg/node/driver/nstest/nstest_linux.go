// SPDX-License-Identifier: Apache-2.0

// Package nstest lets tests change a real kernel's network configuration in a
// network namespace of their own.
package nstest

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
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

// Current returns the namespace of the test process; it is for packages whose tests have one of their own.
func Current(t testing.TB) *Namespace {
	t.Helper()
	handle, err := netns.Get()
	if err != nil {
		t.Fatalf("open own namespace: %v", err)
	}
	t.Cleanup(func() { _ = handle.Close() })
	return &Namespace{t: t, handle: handle}
}

// Do runs f on a thread that is in the namespace. f must not call t.FailNow; Do
// does it after f if the test has failed.
func (n *Namespace) Do(f func()) {
	n.t.Helper()
	n.run(f)
	if n.t.Failed() {
		n.t.FailNow()
	}
}

// Go runs f as Do does, beside the test, which waits for it at its end, after its
// context has ended.
func (n *Namespace) Go(f func()) {
	done := make(chan struct{})
	n.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		n.run(f)
	}()
}

func (n *Namespace) run(f func()) {
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

// Connect joins two namespaces by a pair of links that are up, each with its addresses.
func (n *Namespace) Connect(name string, addresses []netip.Prefix, peer *Namespace, peerName string, peerAddresses []netip.Prefix) {
	n.t.Helper()
	n.Do(func() {
		err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peerName, PeerNamespace: netlink.NsFd(int(peer.handle)),
		})
		if err != nil {
			n.t.Errorf("add veth %s: %v", name, err)
		}
	})
	n.Do(func() { configure(n.t, name, addresses) })
	peer.Do(func() { configure(n.t, peerName, peerAddresses) })
}

func configure(t testing.TB, name string, addresses []netip.Prefix) {
	lk, err := netlink.LinkByName(name)
	if err != nil {
		t.Errorf("find link %s: %v", name, err)
		return
	}
	for _, a := range addresses {
		addr := &netlink.Addr{IPNet: IPNet(a)}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		if err := netlink.AddrAdd(lk, addr); err != nil {
			t.Errorf("add %s to %s: %v", a, name, err)
		}
	}
	if err := netlink.LinkSetUp(lk); err != nil {
		t.Errorf("set %s up: %v", name, err)
	}
}

// Route adds a route through a gateway. The destination may be 0.0.0.0/0 or ::/0.
func (n *Namespace) Route(dst netip.Prefix, gateway netip.Addr) {
	n.t.Helper()
	n.Do(func() {
		if err := netlink.RouteAdd(&netlink.Route{Dst: IPNet(dst), Gw: gateway.AsSlice()}); err != nil {
			n.t.Errorf("add route to %s via %s: %v", dst, gateway, err)
		}
	})
}

// Forward lets the namespace route packets of both families.
func (n *Namespace) Forward() {
	n.t.Helper()
	n.Do(func() {
		for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
			if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
				n.t.Errorf("enable forwarding: %v", err)
			}
		}
	})
}

// IPNet is a prefix as a type of package net, host bits included.
func IPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Address adds an address to a link.
func (n *Namespace) Address(link string, address netip.Prefix) {
	n.t.Helper()
	n.Do(func() { configure(n.t, link, []netip.Prefix{address}) })
}
