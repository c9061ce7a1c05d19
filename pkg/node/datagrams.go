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
}

// forgetAfter is how long after a Service's backends have changed connections are
// looked at that were there before. The node is not told when OVN has made its flows
// of the change, and until then a client that goes on sending makes such a connection
// anew; OVN's own ct_flush is made once and may come too early, too. Connections that
// are as they must be are not touched, so that once more does no harm.
var forgetAfter = []time.Duration{0, time.Second, 4 * time.Second, 15 * time.Second}

// datagrams knows the backends of addresses of UDP, and which changed a short while ago.
type datagrams struct {
	of   map[types.NamespacedName]map[netip.AddrPort][]netip.AddrPort
	due  []due // by time
	told bool  // what was there at the start is not new
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
	for _, c := range s.datagrams.take(s.e.Clock.Now()) {
		errs = append(errs, s.e.Datapath.ForgetUDP(ctx, c.asked, c.answers))
	}
	return errors.Join(errs...)
}

// nextDatagrams is when there is more of it to do; nil for never.
func (s *Services) nextDatagrams() <-chan time.Time {
	if len(s.datagrams.due) == 0 {
		return nil
	}
	return s.e.Clock.After(max(0, s.datagrams.due[0].when.Sub(s.e.Clock.Now())))
}
