// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Linux is the real [Kernel], in the network namespace of the thread that made it.
type Linux struct{ nl *netlink.Handle }

// NewLinux opens the socket. Close it after use.
func NewLinux() (*Linux, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	return &Linux{nl: handle}, nil
}

// Close releases the socket.
func (l *Linux) Close() { l.nl.Close() }

// List implements [Kernel].
func (l *Linux) List() ([]hostplan.PolicyRule, error) {
	var out []hostplan.PolicyRule
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := l.nl.RuleList(family)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if r.Protocol == hostplan.RouteProtocol {
				out = append(out, fromKernel(r))
			}
		}
	}
	return out, nil
}

// fromKernel leaves out what it does not understand, so that such a rule differs from every wanted one.
func fromKernel(r netlink.Rule) hostplan.PolicyRule {
	h := hostplan.PolicyRule{Priority: uint32(r.Priority), Table: uint32(r.Table)} //nolint:gosec // both are 32 bits wide in the kernel
	if r.Src != nil {
		if a, ok := netip.AddrFromSlice(r.Src.IP); ok {
			ones, _ := r.Src.Mask.Size()
			h.From = netip.PrefixFrom(a, ones)
		}
	}
	return h
}

// Add implements [Kernel].
func (l *Linux) Add(r hostplan.PolicyRule) error {
	if r.From != r.From.Masked() {
		return fmt.Errorf("%s has host bits", r.From) // which the kernel would take
	}
	err := l.nl.RuleAdd(toKernel(r))
	if errors.Is(err, unix.EEXIST) {
		return ErrExists
	}
	return err
}

// Delete implements [Kernel].
func (l *Linux) Delete(r hostplan.PolicyRule) error { return l.nl.RuleDel(toKernel(r)) }

func toKernel(r hostplan.PolicyRule) *netlink.Rule {
	k := netlink.NewRule()
	k.Priority, k.Table, k.Protocol = int(r.Priority), int(r.Table), hostplan.RouteProtocol
	if r.From.IsValid() {
		k.Src = &net.IPNet{IP: r.From.Addr().AsSlice(), Mask: net.CIDRMask(r.From.Bits(), r.From.Addr().BitLen())}
	}
	return k
}

// Watch calls notify once it listens and after every change of a routing rule,
// until ctx ends (then it returns nil) or the kernel's stream breaks (then it
// returns an error: changes may have been missed, and the caller watches again).
func Watch(ctx context.Context, notify func()) error {
	sock, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return fmt.Errorf("subscribe to routing rules: %w", err)
	}
	defer sock.Close()
	// The receive below ends at least this often, to see that ctx has ended.
	if err := sock.SetReceiveTimeout(&unix.Timeval{Sec: 1}); err != nil {
		return fmt.Errorf("set receive timeout: %w", err)
	}
	notify()
	for ctx.Err() == nil {
		_, _, err := sock.Receive()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive changes of routing rules: %w", err)
		}
		notify()
	}
	return nil
}
