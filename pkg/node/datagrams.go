package node

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

// forgetAfter is how long after a Service's backends have changed connections are
// forgotten that were there before. The node is not told when OVN has made its flows
// of the change, and until then a client that goes on sending makes such a connection
// anew; OVN's own ct_flush is made once and may come too early, too. Connections that
// are as they must be are not touched, so that once more does no harm.
var forgetAfter = []time.Duration{0, time.Second, 4 * time.Second, 15 * time.Second}

// lookAfter is how long after a change all connections to a Service are looked at.
// A few go where no backend of it ever was: an IPv4 connection was seen that was translated to the
// first bytes of an IPv6 backend (OVN 25.03, Open vSwitch 3.5). Most likely ovn-controller gives the
// number of a group of OpenFlow that is gone to the next one, while datapath flows still lead to that number by way
// of a recirculation (selection_method=dp_hash): then it may be another Service's backend, too. For a
// look Open vSwitch tells of all its connections, so that there is one every lookInterval at most.
var lookAfter = []time.Duration{4 * time.Second, 15 * time.Second}

const lookInterval = 5 * time.Second

// datagrams knows the backends of addresses of UDP, and which changed a short while ago.
type datagrams struct {
	of    map[types.NamespacedName]map[netip.AddrPort][]netip.AddrPort
	due   []due // by time
	looks map[time.Time]map[netip.AddrPort]types.NamespacedName
	told  bool // what was there at the start is not new
}

// due are connections to forget: those that asked an address and are answered by
// another one, or by itself, which is to say by nobody.
type due struct {
	when           time.Time
	service        types.NamespacedName
	asked, answers netip.AddrPort
}

// set takes the addresses of one Service and their backends.
func (d *datagrams) set(name types.NamespacedName, now time.Time, backends map[netip.AddrPort][]netip.AddrPort) {
	if d.of == nil {
		d.of = map[types.NamespacedName]map[netip.AddrPort][]netip.AddrPort{}
	}
	before := d.of[name]
	d.of[name] = backends
	if len(backends) == 0 {
		delete(d.of, name)
	}
	if !d.told {
		return
	}
	for at := range backends {
		if len(before[at]) == 0 {
			d.forget(now, name, at, at)
		}
	}
	for at, list := range before {
		for _, backend := range list {
			if !slices.Contains(backends[at], backend) {
				d.forget(now, name, at, backend)
			}
		}
	}
}

func (d *datagrams) forget(now time.Time, service types.NamespacedName, asked, answers netip.AddrPort) {
	for _, after := range forgetAfter {
		d.due = append(d.due, due{now.Add(after), service, asked, answers})
	}
	slices.SortStableFunc(d.due, func(a, b due) int { return a.when.Compare(b.when) })
	for _, after := range lookAfter {
		when := now.Add(after + lookInterval - 1).Truncate(lookInterval)
		if d.looks == nil {
			d.looks = map[time.Time]map[netip.AddrPort]types.NamespacedName{}
		}
		if d.looks[when] == nil {
			d.looks[when] = map[netip.AddrPort]types.NamespacedName{}
		}
		d.looks[when][asked] = service
	}
}

// takeLooks gives the addresses that are to be looked at now, with their backends.
func (d *datagrams) takeLooks(now time.Time) map[netip.AddrPort][]netip.AddrPort {
	out := map[netip.AddrPort][]netip.AddrPort{}
	for when, addresses := range d.looks {
		if when.After(now) {
			continue
		}
		for asked, service := range addresses {
			out[asked] = d.of[service][asked]
		}
		delete(d.looks, when)
	}
	return out
}

// next is when there is more to do.
func (d *datagrams) next() (at time.Time, ok bool) {
	if len(d.due) > 0 {
		at, ok = d.due[0].when, true
	}
	for when := range d.looks {
		if !ok || when.Before(at) {
			at, ok = when, true
		}
	}
	return at, ok
}

// take gives those whose time has come and that have not become right again.
func (d *datagrams) take(now time.Time) (out []due) {
	for len(d.due) > 0 && !d.due[0].when.After(now) {
		if first := d.due[0]; !slices.Contains(d.of[first.service][first.asked], first.answers) {
			out = append(out, first)
		}
		d.due = d.due[1:]
	}
	return out
}

// forgetDatagrams has Open vSwitch forget connections that go where a Service does
// not lead any more, or that do not go to a backend at all.
func (s *Services) forgetDatagrams(ctx context.Context) error {
	var errs []error
	now := s.e.Clock.Now()
	for _, c := range s.datagrams.take(now) {
		errs = append(errs, s.e.Datapath.ForgetUDP(ctx, c.asked, c.answers))
	}
	return errors.Join(append(errs, s.lookAtDatagrams(ctx, s.datagrams.takeLooks(now)))...)
}

// lookAtDatagrams has Open vSwitch forget connections to these addresses that go to none of the backends. Those that
// nobody has translated stay: where the kernel's connections are Open vSwitch's, too, they are the host's own.
func (s *Services) lookAtDatagrams(ctx context.Context, backends map[netip.AddrPort][]netip.AddrPort) error {
	if len(backends) == 0 {
		return nil
	}
	wrong := map[[2]netip.AddrPort]bool{}
	err := s.e.Datapath.EachUDP(ctx, func(asked, answers netip.AddrPort) {
		if right, looked := backends[asked]; looked && answers != asked && !slices.Contains(right, answers) {
			wrong[[2]netip.AddrPort{asked, answers}] = true
		}
	})
	errs := []error{err}
	for c := range wrong {
		s.e.Log.Info("connections of UDP go to no backend of the Service, forgotten", "asked", c[0], "answers", c[1])
		errs = append(errs, s.e.Datapath.ForgetUDP(ctx, c[0], c[1]))
	}
	return errors.Join(errs...)
}

// nextDatagrams is when there is more of it to do; nil for never.
func (s *Services) nextDatagrams() <-chan time.Time {
	at, ok := s.datagrams.next()
	if !ok {
		return nil
	}
	return s.e.Clock.After(max(0, at.Sub(s.e.Clock.Now())))
}
