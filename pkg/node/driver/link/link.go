// SPDX-License-Identifier: Apache-2.0

// Package link configures network links of the host and kernel settings as a plan says. It never creates a link: those
// that a plan names are made by OVS or by the operator.
package link

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ErrAbsent means that the kernel has no such link or setting.
var ErrAbsent = errors.New("does not exist")

// State is what the kernel says about a link.
type State struct {
	// MAC in lower case with colons.
	MAC string
	// MTU in bytes.
	MTU int
	// Up is the administrative state.
	Up bool
	// NoARP is true if the link does not resolve neighbours.
	NoARP bool
	// Addresses in the kernel's order, without IPv6 link-local ones: the kernel makes those by itself.
	Addresses []netip.Prefix
	// LinkLocal are the IPv6 link-local addresses.
	LinkLocal []netip.Prefix
	// Unusable are those of all these addresses that are not as [Kernel.SetAddress] makes them: their lifetime is
	// limited, or duplicate address detection has failed or, for others than link-local ones, is under way, or an IPv6
	// address has no local route.
	Unusable []netip.Prefix
	// TxChecksum is true if the link takes frames whose checksum is not filled in.
	TxChecksum bool
}

// Route identifies a route. Its other attributes are left to the kernel.
type Route struct {
	Link string
	// Table is the number of the routing table.
	Table int
	Dst   netip.Prefix
	// Gateway is invalid for a destination on the link, and for a route with several next hops.
	Gateway netip.Addr
	// Metric is the priority; lower values win.
	Metric int
}

// String is the route in the notation of ip-route(8).
func (r Route) String() string {
	text := r.Dst.String()
	if r.Gateway.IsValid() {
		text += " via " + r.Gateway.String()
	}
	return fmt.Sprintf("%s dev %s table %d metric %d", text, r.Link, r.Table, r.Metric)
}

// compareRoutes orders routes so that gateways are reachable when they are needed: routes to destinations on the link
// come first.
func compareRoutes(a, b Route) int {
	on := func(r Route) int {
		if r.Gateway.IsValid() {
			return 1
		}
		return 0
	}
	return cmp.Or(on(a)-on(b), a.Dst.Compare(b.Dst), a.Table-b.Table, a.Metric-b.Metric, a.Gateway.Compare(b.Gateway))
}

// Kernel is what the driver needs of an operating system. It is an error to remove what does not exist.
type Kernel interface {
	// Link returns the state of a link; the error wraps [ErrAbsent] if there is none.
	Link(name string) (State, error)
	SetMAC(name, mac string) error
	SetMTU(name string, mtu int) error
	SetUp(name string) error
	// SetARP makes the link resolve neighbours.
	SetARP(name string) error
	// SetAddress gives the link an address forever, usable at once. It may exist.
	SetAddress(name string, a netip.Prefix) error
	DeleteAddress(name string, a netip.Prefix) error
	SetTxChecksum(name string, on bool) error
	// CopyAddress adds an address of one link to another one, with its lifetimes.
	CopyAddress(from, to string, a netip.Prefix) error
	// Routes returns the routes over a link in all routing tables, each after those that its gateway may depend on.
	// Those that the kernel makes by itself for addresses and router advertisements are left out.
	Routes(name string) ([]Route, error)
	// MoveRoute replaces the link of a route by another one; there is no moment without the route.
	MoveRoute(r Route, to string) error
	// Sysctl reads a file below /proc/sys; the error wraps [ErrAbsent] if there is none.
	Sysctl(path string) (string, error)
	SetSysctl(path, value string) error
}

// Result is what Apply did.
type Result struct {
	// Changes are sentences, one for each change that was made.
	Changes []string
	// Absent are the links that the kernel does not have yet.
	Absent []string
	// Applied are the settings that are as wanted now.
	Applied []hostplan.Sysctl
}

func (r *Result) did(format string, args ...any) {
	r.Changes = append(r.Changes, fmt.Sprintf(format, args...))
}

// Apply compares each link and setting with the kernel and changes what differs.
// A link that does not exist yet is not an error but named in the result. What
// fails does not stop the rest; the errors are joined.
func Apply(k Kernel, sysctls []hostplan.Sysctl, links []hostplan.Link) (Result, error) {
	var r Result
	var errs []error
	for _, s := range sysctls {
		errs = append(errs, applySysctl(k, s, &r))
	}
	for _, l := range links {
		have, err := k.Link(l.Name)
		if errors.Is(err, ErrAbsent) {
			r.Absent = append(r.Absent, l.Name)
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read link %s: %w", l.Name, err))
			continue
		}
		if err := applyLink(k, l, have, &r); err != nil {
			errs = append(errs, fmt.Errorf("set link %s: %w", l.Name, err))
		}
	}
	return r, errors.Join(errs...)
}

func applyLink(k Kernel, want hostplan.Link, have State, r *Result) error {
	var errs []error
	try := func(needed bool, what string, do func() error) {
		if !needed {
			return
		}
		if err := do(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			return
		}
		r.did("%s: %s", want.Name, what)
	}
	// The MTU first: with less than 1280 bytes the kernel has no settings for IPv6 (RFC 8200, section 5).
	try(want.MTU != 0 && want.MTU != have.MTU, fmt.Sprintf("MTU %d", want.MTU), func() error { return k.SetMTU(want.Name, want.MTU) })
	// Then settings: IPv6 must be on before an IPv6 address can be added, and off before the link comes up if it is to
	// stay silent.
	for _, s := range want.Sysctls {
		errs = append(errs, applySysctl(k, s, r))
	}
	try(want.MAC != "" && want.MAC != have.MAC, "MAC "+want.MAC, func() error { return k.SetMAC(want.Name, want.MAC) })
	try(want.SoftwareChecksum && have.TxChecksum, "transmit checksum offload off", func() error { return k.SetTxChecksum(want.Name, false) })
	try(have.NoARP, "ARP on", func() error { return k.SetARP(want.Name) })
	try(!have.Up, "up", func() error { return k.SetUp(want.Name) })
	add := func(have State) {
		for _, a := range append(slices.Clone(want.Addresses), want.LinkLocal) {
			there := slices.Contains(slices.Concat(have.Addresses, have.LinkLocal), a) && !slices.Contains(have.Unusable, a)
			try(a.IsValid() && !there, "add "+a.String(), func() error { return k.SetAddress(want.Name, a) })
		}
	}
	// New addresses before old ones go: the kernel drops routes with a source that is gone.
	add(have)
	extra := slices.DeleteFunc(slices.Clone(have.Addresses), func(a netip.Prefix) bool { return slices.Contains(want.Addresses, a) })
	for _, a := range extra {
		try(true, "remove "+a.String(), func() error { return k.DeleteAddress(want.Name, a) })
	}
	if len(extra) > 0 {
		// A wanted one may have gone with it: the kernel removes the secondary addresses of a network with the first
		// one (promote_secondaries of ip-sysctl), and has an IPv6 address with one prefix length only.
		now, err := k.Link(want.Name)
		errs = append(errs, err)
		if err == nil {
			add(now)
		}
	}
	return errors.Join(errs...)
}

// Applied reports whether all settings are as wanted. A setting that cannot be read is not.
func Applied(k Kernel, sysctls []hostplan.Sysctl) bool {
	return !slices.ContainsFunc(sysctls, func(s hostplan.Sysctl) bool {
		have, err := k.Sysctl(s.Path)
		return err != nil || !right(have, s)
	})
}

func applySysctl(k Kernel, s hostplan.Sysctl, r *Result) error {
	have, err := k.Sysctl(s.Path)
	if errors.Is(err, ErrAbsent) && strings.HasPrefix(s.Path, "net/ipv6/") {
		if _, err := k.Sysctl("net/ipv6/conf/all/forwarding"); errors.Is(err, ErrAbsent) {
			return nil // a kernel without IPv6
		}
	}
	if err != nil {
		return fmt.Errorf("read setting %s: %w", s.Path, err)
	}
	if !right(have, s) {
		if err := k.SetSysctl(s.Path, s.Value); err != nil {
			return fmt.Errorf("set %s to %s (it is %s): %w", s.Path, s.Value, have, err)
		}
		r.did("%s = %s", s.Path, s.Value)
	}
	r.Applied = append(r.Applied, s)
	return nil
}

func right(have string, s hostplan.Sysctl) bool {
	if have == s.Value {
		return true
	}
	h, err1 := strconv.Atoi(have)
	w, err2 := strconv.Atoi(s.Value)
	return s.AtLeast && err1 == nil && err2 == nil && h >= w
}
