// Package route keeps our routes in the kernel's tables. They are known by
// their protocol number ([hostplan.RouteProtocol]); routes of anybody else are
// neither read nor changed.
package route

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ErrExists is wrapped when somebody else's route has the same destination.
var ErrExists = errors.New("somebody else has a route to it")

// Kernel is what the driver needs of an operating system.
type Kernel interface {
	// List returns the routes with our protocol number.
	List() ([]hostplan.Route, error)
	// Add adds a route; the error wraps [ErrExists] if there is one to the destination.
	Add(hostplan.Route) error
	// Replace changes our route to the same destination without a gap.
	Replace(hostplan.Route) error
	// Delete removes our route; a missing one is an error.
	Delete(hostplan.Route) error
}

// Key tells routes apart.
type Key struct {
	Table uint32
	Dst   netip.Prefix
}

// KeyOf returns the key of a route.
func KeyOf(r hostplan.Route) Key { return Key{Table: r.Table, Dst: r.Dst} }

// text is a route in the words of ip-route(8).
func text(r hostplan.Route) string {
	switch {
	case r.Throw:
		return fmt.Sprintf("throw %s table %d", r.Dst, r.Table)
	case r.Table != 0:
		return fmt.Sprintf("%s via %s table %d", r.Dst, r.Gateway, r.Table)
	default:
		return fmt.Sprintf("%s via %s dev %s", r.Dst, r.Gateway, r.Link)
	}
}

// Apply makes our routes those of the plan and says, one sentence each, what it
// changed. What fails does not stop the rest; the errors are joined.
func Apply(k Kernel, want hostplan.Routes) (changes []string, err error) {
	list, err := k.List()
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	have := make(map[Key]hostplan.Route, len(list))
	for _, r := range list {
		have[KeyOf(r)] = r
	}
	var errs []error
	try := func(what string, r hostplan.Route, do func(hostplan.Route) error) {
		if err := do(r); err != nil {
			errs = append(errs, fmt.Errorf("%s route %s: %w", what, text(r), err))
			return
		}
		changes = append(changes, fmt.Sprintf("%s route %s", what, text(r)))
	}
	for _, r := range want.Want {
		old, ok := have[KeyOf(r)]
		switch {
		case !ok:
			try("add", r, k.Add)
		case old != r:
			try("replace", r, k.Replace)
		}
		delete(have, KeyOf(r))
	}
	if want.KeepOthers {
		return changes, errors.Join(errs...)
	}
	for _, r := range list {
		if _, extra := have[KeyOf(r)]; extra {
			try("remove", r, k.Delete)
		}
	}
	return changes, errors.Join(errs...)
}
