// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Datapath is the connection tracking of Open vSwitch; see package conntrack.
type Datapath interface {
	ForgetUDP(ctx context.Context, asked, answers netip.AddrPort) error
	EachUDP(ctx context.Context, each func(asked, answers netip.AddrPort)) error
}

// forgetAfter is how long after a change of a Service's backends its former connections are forgotten. Nothing reports
// to the node when OVN has made its flows of the change; until then a client that goes on sending makes such a
// connection again. OVN's own ct_flush is made once and may be too early as well. Valid connections are not touched, so
// one more time does no harm.
var forgetAfter = []time.Duration{0, time.Second, 4 * time.Second, 15 * time.Second}

// scanAfter is how long after a change all connections to a Service are examined. A few go where no backend ever was:
// an IPv4 connection was seen that was translated to the first bytes of an IPv6 backend (OVN 25.03, Open vSwitch 3.5).
// Most likely ovn-controller reuses the number of a deleted OpenFlow group while datapath flows still refer to it by
// recirculation (selection_method=dp_hash); then the backend may be one of another Service. A scan makes Open vSwitch
// list all its connections, so there is one in each scanInterval at most.
var scanAfter = []time.Duration{4 * time.Second, 15 * time.Second}

const scanInterval = 5 * time.Second

// staleUDP knows the backends of UDP addresses, and which of them changed a short while ago.
type staleUDP struct {
	backends map[types.NamespacedName]map[netip.AddrPort][]netip.AddrPort
	due      []due // by time
	scans    map[time.Time]map[netip.AddrPort]types.NamespacedName
	// started is set after the first pass: the backends at the start are no change.
	started bool
}

// due are connections to forget: those from any client to an address whose replies come from another one, or from the
// address itself, which means that they were not translated.
type due struct {
	when          time.Time
	service       types.NamespacedName
	addr, replies netip.AddrPort
}

// set takes the addresses of one Service and their backends.
func (u *staleUDP) set(name types.NamespacedName, now time.Time, backends map[netip.AddrPort][]netip.AddrPort) {
	if u.backends == nil {
		u.backends = map[types.NamespacedName]map[netip.AddrPort][]netip.AddrPort{}
	}
	before := u.backends[name]
	u.backends[name] = backends
	if len(backends) == 0 {
		delete(u.backends, name)
	}
	if !u.started {
		return
	}
	for addr := range backends {
		if len(before[addr]) == 0 {
			u.forget(now, name, addr, addr)
		}
	}
	for addr, list := range before {
		for _, backend := range list {
			if !slices.Contains(backends[addr], backend) {
				u.forget(now, name, addr, backend)
			}
		}
	}
}

func (u *staleUDP) forget(now time.Time, service types.NamespacedName, addr, replies netip.AddrPort) {
	for _, after := range forgetAfter {
		u.due = append(u.due, due{now.Add(after), service, addr, replies})
	}
	slices.SortStableFunc(u.due, func(a, b due) int { return a.when.Compare(b.when) })
	for _, after := range scanAfter {
		when := now.Add(after + scanInterval - 1).Truncate(scanInterval)
		if u.scans == nil {
			u.scans = map[time.Time]map[netip.AddrPort]types.NamespacedName{}
		}
		if u.scans[when] == nil {
			u.scans[when] = map[netip.AddrPort]types.NamespacedName{}
		}
		u.scans[when][addr] = service
	}
}

// takeScans returns the addresses whose connections are to be examined now, with their backends.
func (u *staleUDP) takeScans(now time.Time) map[netip.AddrPort][]netip.AddrPort {
	out := map[netip.AddrPort][]netip.AddrPort{}
	for when, addresses := range u.scans {
		if when.After(now) {
			continue
		}
		for addr, service := range addresses {
			out[addr] = u.backends[service][addr]
		}
		delete(u.scans, when)
	}
	return out
}

// next is when there is more to do; ok is false if there is nothing.
func (u *staleUDP) next() (at time.Time, ok bool) {
	if len(u.due) > 0 {
		at, ok = u.due[0].when, true
	}
	for when := range u.scans {
		if !ok || when.Before(at) {
			at, ok = when, true
		}
	}
	return at, ok
}

// take returns those whose time has come and that have not become valid again.
func (u *staleUDP) take(now time.Time) (out []due) {
	for len(u.due) > 0 && !u.due[0].when.After(now) {
		if first := u.due[0]; !slices.Contains(u.backends[first.service][first.addr], first.replies) {
			out = append(out, first)
		}
		u.due = u.due[1:]
	}
	return out
}

// forgetUDP makes Open vSwitch forget connections that go to a former backend or to none.
func (s *Forwarder) forgetUDP(ctx context.Context) error {
	var errs []error
	now := s.e.Clock.Now()
	for _, c := range s.udp.take(now) {
		errs = append(errs, s.e.Datapath.ForgetUDP(ctx, c.addr, c.replies))
	}
	return errors.Join(append(errs, s.scanUDP(ctx, s.udp.takeScans(now)))...)
}

// scanUDP makes Open vSwitch forget connections to these addresses that go to none of the backends. Connections that
// were not translated stay: where the kernel and Open vSwitch share one connection table, they are the host's own.
func (s *Forwarder) scanUDP(ctx context.Context, backends map[netip.AddrPort][]netip.AddrPort) error {
	if len(backends) == 0 {
		return nil
	}
	wrong := map[[2]netip.AddrPort]bool{}
	err := s.e.Datapath.EachUDP(ctx, func(addr, replies netip.AddrPort) {
		if valid, scanned := backends[addr]; scanned && replies != addr && !slices.Contains(valid, replies) {
			wrong[[2]netip.AddrPort{addr, replies}] = true
		}
	})
	errs := []error{err}
	if len(wrong) > 0 { // one line: a pod may have any number of connections
		s.e.Log.Info("UDP connections to no backend of the Service forgotten", "pairs", len(wrong))
	}
	for c := range wrong {
		errs = append(errs, s.e.Datapath.ForgetUDP(ctx, c[0], c[1]))
	}
	return errors.Join(errs...)
}

// nextUDP is the time until there is more to do for UDP connections; 0 for never.
func (s *Forwarder) nextUDP() time.Duration {
	at, ok := s.udp.next()
	if !ok {
		return 0
	}
	return max(1, at.Sub(s.e.Clock.Now()))
}
