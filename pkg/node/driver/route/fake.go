// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Fake is a [Kernel] in memory. It refuses what Linux refuses: a second route to
// one destination, the change or removal of a missing one, a link that is not
// there, a source that the host does not have.
type Fake struct {
	Routes map[Key]hostplan.Route
	// Foreign are other people's routes.
	Foreign map[Key]bool
	// Links has the addresses of each link.
	Links map[string][]netip.Prefix
}

// NewFake returns a kernel without routes and links.
func NewFake() *Fake {
	return &Fake{
		Routes:  map[Key]hostplan.Route{},
		Foreign: map[Key]bool{},
		Links:   map[string][]netip.Prefix{},
	}
}

// List implements [Kernel].
func (f *Fake) List() ([]hostplan.Route, error) {
	var out []hostplan.Route
	for _, r := range f.Routes {
		out = append(out, r)
	}
	return out, nil
}

// Add implements [Kernel].
func (f *Fake) Add(r hostplan.Route) error {
	if _, ok := f.Routes[KeyOf(r)]; ok || f.Foreign[KeyOf(r)] {
		return ErrExists
	}
	return f.put(r)
}

// Replace implements [Kernel].
func (f *Fake) Replace(r hostplan.Route) error {
	if _, ok := f.Routes[KeyOf(r)]; !ok {
		return fmt.Errorf("no route to %s", r.Dst)
	}
	return f.put(r)
}

// Delete implements [Kernel].
func (f *Fake) Delete(r hostplan.Route) error {
	if f.Routes[KeyOf(r)] != r {
		return fmt.Errorf("no route to %s", r.Dst)
	}
	delete(f.Routes, KeyOf(r))
	return nil
}

func (f *Fake) put(r hostplan.Route) error {
	if _, ok := f.Links[r.Link]; !ok && r.Link != "" {
		return fmt.Errorf("no link %s", r.Link)
	}
	source, reach := !r.Source.IsValid() || r.Type == hostplan.Local, r.Type != ""
	for name, as := range f.Links {
		for _, a := range as {
			source = source || a.Addr() == r.Source
			reach = reach || a.Contains(r.Gateway) && (r.Link == "" || r.Link == name)
		}
	}
	switch {
	case !source:
		return fmt.Errorf("source %s is not an address of the host", r.Source)
	case !reach:
		return fmt.Errorf("gateway %s is not on a connected network", r.Gateway)
	case r.Dst != r.Dst.Masked():
		return fmt.Errorf("%s has host bits", r.Dst)
	}
	f.Routes[KeyOf(r)] = r
	return nil
}

var (
	_ Kernel = (*Fake)(nil)
	_ Kernel = (*Linux)(nil)
)
