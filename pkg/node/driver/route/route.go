// SPDX-License-Identifier: Apache-2.0

// Package route keeps our routes in the kernel's tables. Ours have the protocol number [hostplan.RouteProtocol]. Those
// that are attached to addresses of [hostplan.NodeLink] (see [hostplan.Route.Attached]) are ours as well; they have the
// protocol number of the kernel, which makes and removes them with the addresses. Routes of others are neither read nor
// changed.
package route

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/wovensdn/woven/pkg/node/driver/diff"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ErrExists is wrapped when a route that is not ours has the same destination.
var ErrExists = errors.New("a route of another owner has the same destination")

// Kernel is what the driver needs of an operating system.
type Kernel interface {
	// List returns our routes.
	List() ([]hostplan.Route, error)
	// Add adds a route; the error wraps [ErrExists] if there is one to the destination. An attached route is added
	// behind others to its destination, as the kernel does.
	Add(hostplan.Route) error
	// Replace changes our route with the same key without a gap. It is not called for attached routes.
	Replace(hostplan.Route) error
	// Delete removes our route; a missing one is an error.
	Delete(hostplan.Route) error
}

// Key identifies a route.
type Key struct {
	Table uint32
	Dst   netip.Prefix
	// Attached is the whole route if it is attached: it may be beside another one to the same destination.
	Attached hostplan.Route
}

// KeyOf returns the key of a route.
func KeyOf(r hostplan.Route) Key {
	k := Key{Table: r.Table, Dst: r.Dst}
	if r.Attached() {
		k.Attached = r
	}
	return k
}

// text is a route in the notation of ip-route(8).
func text(r hostplan.Route) string {
	switch {
	case r.Type == hostplan.Throw:
		return fmt.Sprintf("throw %s table %d", r.Dst, r.Table)
	case r.Type == hostplan.Local:
		return fmt.Sprintf("local %s dev %s table local", r.Dst.Addr(), r.Link)
	case r.Type == hostplan.Connected:
		return fmt.Sprintf("%s dev %s", r.Dst, r.Link)
	case r.Table != 0:
		return fmt.Sprintf("%s via %s table %d", r.Dst, r.Gateway, r.Table)
	default:
		return fmt.Sprintf("%s via %s dev %s", r.Dst, r.Gateway, r.Link)
	}
}

// Apply makes our routes those of the plan; see [diff.Kind.Apply]. Routes attached to link-local addresses stay, since
// the kernel makes such addresses by itself.
func Apply(k Kernel, want hostplan.Routes) (changes []string, err error) {
	have, err := k.List()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	kind := diff.Kind[hostplan.Route, Key]{Name: "route", Key: KeyOf, Text: text, Add: k.Add, Replace: k.Replace, Delete: k.Delete}
	return kind.Apply(have, want.Want, func(r hostplan.Route) bool {
		_, taken := hostplan.Taken(r.Dst, want.Never)
		return r.Attached() && r.Dst.Addr().IsLinkLocalUnicast() || want.KeepOthers && (r.Attached() || r.Table != 0 || !taken)
	})
}
