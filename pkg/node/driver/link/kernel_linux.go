// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Linux is the real [Kernel]. It works in the network namespace of the thread
// that made it, except for settings: /proc/sys/net follows the calling thread.
type Linux struct {
	nl *netlink.Handle
	// ioctl is any socket: ethtool's ioctl takes the namespace from it.
	ioctl int
}

// NewLinux opens the sockets. Close it after use.
func NewLinux() (*Linux, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		nl.Close()
		return nil, fmt.Errorf("open socket for ethtool: %w", err)
	}
	return &Linux{nl: nl, ioctl: fd}, nil
}

// Close releases the sockets.
func (l *Linux) Close() error {
	l.nl.Close()
	return unix.Close(l.ioctl)
}

// Link implements [Kernel].
func (l *Linux) Link(name string) (State, error) {
	lk, err := l.find(name)
	if err != nil {
		return State{}, err
	}
	as, err := dump(func() ([]netlink.Addr, error) { return l.nl.AddrList(lk, netlink.FAMILY_ALL) })
	if err != nil {
		return State{}, fmt.Errorf("list addresses: %w", err)
	}
	local, err := l.local6(lk.Attrs().Index)
	if err != nil {
		return State{}, fmt.Errorf("list local routes: %w", err)
	}
	s := State{
		MAC: lk.Attrs().HardwareAddr.String(),
		MTU: lk.Attrs().MTU,
		Up:  lk.Attrs().Flags&net.FlagUp != 0, NoARP: lk.Attrs().RawFlags&unix.IFF_NOARP != 0,
	}
	for _, a := range as {
		p, ok := prefix(a.IPNet)
		if !ok {
			continue
		}
		if linkLocal(p) {
			s.LinkLocal = append(s.LinkLocal, p)
		} else {
			s.Addresses = append(s.Addresses, p)
		}
		if !usable(a) || p.Addr().Is6() && !slices.Contains(local, p.Addr()) {
			s.Unusable = append(s.Unusable, p)
		}
	}
	s.TxChecksum, err = l.txChecksum(name)
	return s, err
}

// SetMAC implements [Kernel].
func (l *Linux) SetMAC(name, mac string) error {
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	return l.with(name, func(lk netlink.Link) error { return l.nl.LinkSetHardwareAddr(lk, hw) })
}

// SetMTU implements [Kernel].
func (l *Linux) SetMTU(name string, mtu int) error {
	return l.with(name, func(lk netlink.Link) error { return l.nl.LinkSetMTU(lk, mtu) })
}

// SetUp implements [Kernel].
func (l *Linux) SetUp(name string) error {
	return l.with(name, l.nl.LinkSetUp)
}

// SetARP implements [Kernel].
func (l *Linux) SetARP(name string) error { return l.with(name, l.nl.LinkSetARPOn) }

// DeleteAddress implements [Kernel].
func (l *Linux) DeleteAddress(name string, a netip.Prefix) error {
	return l.with(name, func(lk netlink.Link) error {
		return l.nl.AddrDel(lk, &netlink.Addr{IPNet: ipNet(a)})
	})
}

// UnderlayMTU returns the MTU, in bytes, of the link that carries an address of
// the node; the error wraps [ErrAbsent] if none does.
func (l *Linux) UnderlayMTU(address netip.Addr) (int, error) {
	as, err := dump(func() ([]netlink.Addr, error) { return l.nl.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return 0, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range as {
		if p, ok := prefix(a.IPNet); ok && p.Addr() == address {
			lk, err := l.nl.LinkByIndex(a.LinkIndex)
			if err != nil {
				return 0, fmt.Errorf("read link of %s: %w", address, err)
			}
			return lk.Attrs().MTU, nil
		}
	}
	return 0, fmt.Errorf("address %s: %w", address, ErrAbsent)
}

func (l *Linux) find(name string) (netlink.Link, error) {
	lk, err := l.nl.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, fmt.Errorf("link %s: %w", name, ErrAbsent)
	}
	return lk, err
}

// dumpAttempts is how often a list is read that changes meanwhile.
const dumpAttempts = 10

// dump reads a list again if it has changed while it was read.
func dump[T any](read func() (T, error)) (list T, err error) {
	for range dumpAttempts {
		if list, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}

func (l *Linux) with(name string, do func(netlink.Link) error) error {
	lk, err := l.find(name)
	if err != nil {
		return err
	}
	return do(lk)
}

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct{ cmd, data uint32 }

// ifreqData is struct ifreq of linux/if.h with its data member, padded to the size of the union.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

func (l *Linux) ethtool(name string, v *ethtoolValue) error {
	var req ifreqData
	copy(req.name[:unix.IFNAMSIZ-1], name)
	req.data = unsafe.Pointer(v) // #nosec G103 -- the ioctl takes a pointer; x/sys has no wrapper for this command
	// #nosec G103 -- as above
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.ioctl), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return fmt.Errorf("ethtool command %#x: %w", v.cmd, errno)
	}
	return nil
}

func (l *Linux) txChecksum(name string) (bool, error) {
	v := ethtoolValue{cmd: unix.ETHTOOL_GTXCSUM}
	err := l.ethtool(name, &v)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return false, nil // a link without offloads
	case errors.Is(err, unix.ENODEV):
		return false, fmt.Errorf("link %s: %w", name, ErrAbsent) // it has just gone
	}
	return v.data != 0, err
}

// SetTxChecksum implements [Kernel].
func (l *Linux) SetTxChecksum(name string, on bool) error {
	v := ethtoolValue{cmd: unix.ETHTOOL_STXCSUM}
	if on {
		v.data = 1
	}
	return l.ethtool(name, &v)
}

// Sysctl implements [Kernel].
func (l *Linux) Sysctl(p string) (string, error) {
	b, err := os.ReadFile(sysctlFile(p))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("setting %s: %w", p, ErrAbsent)
	}
	return strings.TrimSpace(string(b)), err
}

// SetSysctl implements [Kernel].
func (l *Linux) SetSysctl(p, value string) error {
	if p == "net/ipv6/conf/all/forwarding" && value != "0" {
		if err := l.keepRA(); err != nil {
			return fmt.Errorf("keep router advertisements: %w", err)
		}
	}
	return os.WriteFile(sysctlFile(p), []byte(value), 0o644) // #nosec G306 -- a file of procfs
}

// keepRA: a link with accept_ra=1 stops listening to routers once the host
// forwards, which would cost the node its IPv6 default route; 2 means "even
// though forwarding" (ip-sysctl.rst).
func (l *Linux) keepRA() error {
	dirs, err := os.ReadDir(sysctlFile("net/ipv6/conf"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		p := "net/ipv6/conf/" + d.Name() + "/accept_ra"
		if v, err := l.Sysctl(p); err != nil || v != "1" {
			continue
		}
		if err := os.WriteFile(sysctlFile(p), []byte("2"), 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) { // #nosec G306 -- as above
			return err
		}
	}
	return nil
}

func sysctlFile(p string) string { return path.Join("/proc/sys", p) }

// Watch calls notify once it listens and after every change of a link or an
// address, until ctx ends (then it returns nil) or the kernel's stream breaks (then it returns an error:
// changes may have been missed, and the caller watches again).
func Watch(ctx context.Context, notify func()) error {
	done := make(chan struct{})
	defer close(done)
	links := make(chan netlink.LinkUpdate, 64)
	addrs := make(chan netlink.AddrUpdate, 64)
	broken := make(chan error, 2)
	report := func(err error) {
		select {
		case broken <- err:
		default:
		}
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{ErrorCallback: report}); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ErrorCallback: report}); err != nil {
		return fmt.Errorf("subscribe to addresses: %w", err)
	}
	notify()
	for {
		ok := true
		select {
		case <-ctx.Done():
			return nil
		case err := <-broken:
			return fmt.Errorf("receive link changes: %w", err)
		case _, ok = <-links:
		case _, ok = <-addrs:
		}
		if !ok {
			return errors.New("receive link changes: stream ended")
		}
		notify()
	}
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
