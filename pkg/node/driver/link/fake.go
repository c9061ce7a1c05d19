// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Fake is a [Kernel] in memory. It refuses what Linux refuses: the removal of an address that does not exist, the copy
// of one that does, an invalid MAC, IPv6 on a link where it is off, a route over a link that is down or whose networks
// do not contain the gateway, any change of a link or setting that does not exist. With the address that a gateway is
// reached by it removes the routes through that gateway, and with the first IPv4 address of a network all others of it
// (promote_secondaries is 0, ip-sysctl.rst).
type Fake struct {
	Links map[string]*State
	// RouteList has the routes of all links.
	RouteList []Route
	Sysctls   map[string]string
}

// NewFake returns a kernel with IPv6 and without links.
func NewFake() *Fake {
	return &Fake{Links: map[string]*State{}, Sysctls: map[string]string{
		"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0",
	}}
}

// Plug adds a link as OVS does: down, with offloads and the settings that Linux gives a new link.
func (f *Fake) Plug(name, mac string) {
	f.Links[name] = &State{MAC: mac, MTU: 1500, TxChecksum: true}
	for p, v := range map[string]string{
		"ipv4/conf/%s/forwarding": "0", "ipv4/conf/%s/rp_filter": "0", "ipv4/conf/%s/arp_ignore": "0", "ipv6/conf/%s/disable_ipv6": "0",
		"ipv6/conf/%s/accept_ra": "1", "ipv6/conf/%s/accept_redirects": "1",
	} {
		f.Sysctls["net/"+fmt.Sprintf(p, name)] = v
	}
}

// Link implements [Kernel].
func (f *Fake) Link(name string) (State, error) {
	s, err := f.get(name)
	if err != nil {
		return State{}, err
	}
	c := *s
	c.Addresses, c.LinkLocal, c.Unusable = slices.Clone(s.Addresses), slices.Clone(s.LinkLocal), slices.Clone(s.Unusable)
	return c, nil
}

func (f *Fake) get(name string) (*State, error) {
	s := f.Links[name]
	if s == nil {
		return nil, fmt.Errorf("link %s: %w", name, ErrAbsent)
	}
	return s, nil
}

// SetMAC implements [Kernel].
func (f *Fake) SetMAC(name, mac string) error {
	s, err := f.get(name)
	if err != nil {
		return err
	}
	if len(mac) != len("00:00:00:00:00:00") {
		return fmt.Errorf("invalid MAC %q", mac)
	}
	s.MAC = mac
	return nil
}

// SetMTU implements [Kernel].
func (f *Fake) SetMTU(name string, mtu int) error {
	s, err := f.get(name)
	if err != nil {
		return err
	}
	if mtu < 68 || mtu > 65535 {
		return fmt.Errorf("invalid MTU %d", mtu)
	}
	s.MTU = mtu
	return nil
}

// SetUp implements [Kernel].
func (f *Fake) SetUp(name string) error {
	s, err := f.get(name)
	if err == nil {
		s.Up = true
	}
	return err
}

// SetARP implements [Kernel].
func (f *Fake) SetARP(name string) error {
	s, err := f.get(name)
	if err == nil {
		s.NoARP = false
	}
	return err
}

// SetAddress implements [Kernel].
func (f *Fake) SetAddress(name string, a netip.Prefix) error {
	s, err := f.get(name)
	if err != nil {
		return err
	}
	if a.Addr().Is6() && f.Sysctls["net/ipv6/conf/"+name+"/disable_ipv6"] != "0" {
		return fmt.Errorf("IPv6 is off on %s", name)
	}
	s.Unusable = slices.DeleteFunc(s.Unusable, func(u netip.Prefix) bool { return u == a })
	list := &s.Addresses
	if a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() {
		list = &s.LinkLocal
	}
	if !slices.Contains(*list, a) {
		*list = append(*list, a)
	}
	return nil
}

// DeleteAddress implements [Kernel].
func (f *Fake) DeleteAddress(name string, a netip.Prefix) error {
	s, err := f.get(name)
	if err != nil {
		return err
	}
	i := slices.Index(s.Addresses, a)
	if i < 0 {
		return fmt.Errorf("no address %s", a)
	}
	s.Addresses = slices.Delete(s.Addresses, i, i+1)
	first := !slices.ContainsFunc(s.Addresses[:i], func(o netip.Prefix) bool { return o.Masked() == a.Masked() })
	if first && a.Addr().Is4() {
		s.Addresses = slices.DeleteFunc(s.Addresses, func(o netip.Prefix) bool { return o.Masked() == a.Masked() })
	}
	f.RouteList = slices.DeleteFunc(f.RouteList, func(r Route) bool { return r.Link == name && !s.reaches(r) })
	return nil
}

// reaches reports whether the gateway of a route is on a network of the link.
func (s *State) reaches(r Route) bool {
	same := slices.DeleteFunc(slices.Clone(s.Addresses), func(a netip.Prefix) bool { return a.Addr().Is4() != r.Dst.Addr().Is4() })
	if !r.Gateway.IsValid() {
		return len(same) > 0
	}
	return slices.ContainsFunc(same, func(a netip.Prefix) bool { return a.Contains(r.Gateway) })
}

// CopyAddress implements [Kernel].
func (f *Fake) CopyAddress(from, to string, a netip.Prefix) error {
	s, err := f.get(from)
	if err != nil {
		return err
	}
	if !slices.Contains(s.Addresses, a) {
		return fmt.Errorf("address %s of %s: %w", a, from, ErrAbsent)
	}
	if t := f.Links[to]; t != nil && slices.Contains(t.Addresses, a) {
		return fmt.Errorf("address %s exists", a)
	}
	return f.SetAddress(to, a)
}

// Routes implements [Kernel].
func (f *Fake) Routes(name string) ([]Route, error) {
	if _, err := f.get(name); err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(f.RouteList), func(r Route) bool { return r.Link != name })
	slices.SortFunc(out, compareRoutes)
	return out, nil
}

// MoveRoute implements [Kernel].
func (f *Fake) MoveRoute(r Route, to string) error {
	i := slices.Index(f.RouteList, r)
	s, err := f.get(to)
	switch {
	case err != nil:
		return err
	case i < 0:
		return fmt.Errorf("route %s: %w", r, ErrAbsent)
	case !s.Up:
		return fmt.Errorf("link %s is down", to)
	case !s.reaches(r):
		return fmt.Errorf("gateway %s is on no network of %s", r.Gateway, to)
	}
	f.RouteList[i].Link = to
	return nil
}

// SetTxChecksum implements [Kernel].
func (f *Fake) SetTxChecksum(name string, on bool) error {
	s, err := f.get(name)
	if err == nil {
		s.TxChecksum = on
	}
	return err
}

// Sysctl implements [Kernel].
func (f *Fake) Sysctl(path string) (string, error) {
	v, ok := f.Sysctls[path]
	if !ok {
		return "", fmt.Errorf("setting %s: %w", path, ErrAbsent)
	}
	return v, nil
}

// SetSysctl implements [Kernel].
func (f *Fake) SetSysctl(path, value string) error {
	if _, ok := f.Sysctls[path]; !ok {
		return fmt.Errorf("setting %s: %w", path, ErrAbsent)
	}
	if strings.TrimSpace(value) == "" {
		return fmt.Errorf("setting %s: empty value", path)
	}
	f.Sysctls[path] = value
	return nil
}

var (
	_ Kernel = (*Fake)(nil)
	_ Kernel = (*Linux)(nil)
)
