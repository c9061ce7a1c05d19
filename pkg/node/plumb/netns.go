// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// podNS is an open network namespace of a pod: a handle to talk netlink inside it, and the namespace itself for
// sockets, which belong to the namespace of the thread that makes them.
type podNS struct {
	ns     ns.NetNS
	handle *netlink.Handle
}

// openNS opens the namespace at path. It refuses what is no network namespace and the node's own.
func openNS(path string) (*podNS, error) {
	n, err := ns.GetNS(path)
	if err != nil {
		return nil, fmt.Errorf("net_ns: open network namespace: %w", err)
	}
	p := &podNS{ns: n}
	if err := p.verify(); err != nil {
		return nil, errors.Join(fmt.Errorf("net_ns: %q %w", path, err), n.Close())
	}
	p.handle, err = netlink.NewHandleAt(netns.NsHandle(n.Fd()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink socket in %q: %w", path, err), n.Close())
	}
	return p, nil
}

func (p *podNS) verify() error {
	kind, err := unix.IoctlRetInt(int(p.ns.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return errors.New("is not a network namespace")
	}
	var its, own unix.Stat_t
	if err := unix.Fstat(int(p.ns.Fd()), &its); err != nil {
		return fmt.Errorf("cannot be examined: %w", err)
	}
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		return fmt.Errorf("cannot be compared with the node's: %w", err)
	}
	if its.Ino == own.Ino && its.Dev == own.Dev {
		return errors.New("is the node's own network namespace")
	}
	return nil
}

func (p *podNS) close() {
	p.handle.Close()
	// The descriptor was only read from: an error on close has no consequence.
	_ = p.ns.Close()
}

// do runs f on a thread inside the namespace, for what has no netlink handle: sockets and sysctls.
func (p *podNS) do(f func() error) error {
	return p.ns.Do(func(ns.NetNS) error { return f() })
}

// setSysctls writes kernel settings of the namespace that differ. Missing ones are left out: a kernel may have been
// started without IPv6. The paths are constant: no name from a request is part of them.
func (p *podNS) setSysctls(values map[string]string) error {
	return p.do(func() error {
		for path, value := range values {
			file := filepath.Join("/proc/sys", path)
			text, err := os.ReadFile(file) //nolint:gosec // constants of this package
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read kernel setting %s: %w", path, err)
			}
			if strings.TrimSpace(string(text)) == value {
				continue
			}
			if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
				return fmt.Errorf("set kernel setting %s to %s: %w", path, value, err)
			}
		}
		return nil
	})
}

// enableIPv6 turns IPv6 on in the namespace where the runtime turned it off. It comes before the interface is made,
// which inherits the setting.
func (p *podNS) enableIPv6() error {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		return fmt.Errorf("the pod has an IPv6 address: %w", err)
	}
	return p.setSysctls(map[string]string{
		"net/ipv6/conf/default/disable_ipv6": "0",
		"net/ipv6/conf/all/disable_ipv6":     "0",
	})
}
