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
	ForgetUntranslated(ctx context.Context, at netip.AddrPort) error
}

// forgetAfter is how long after an address has got its first backend connections are
// looked at that were there before. The node is not told when OVN has made its flows
// of it, and until then a client that goes on sending makes such a connection anew.
// Connections that OVN has translated are not touched, so that once more does no harm.
var forgetAfter = []time.Duration{0, time.Second, 4 * time.Second, 15 * time.Second}

// datagrams knows which addresses of UDP have backends, and which got their first a
// short while ago.
type datagrams struct {
	of   map[types.NamespacedName][]netip.AddrPort
	due  []due // by time
	told bool  // what was there at the start is not new
}

type due struct {
	when time.Time
	at   netip.AddrPort
}

// set takes the addresses of one Service.
func (d *datagrams) set(name types.NamespacedName, at []netip.AddrPort, now time.Time) {
	if d.of == nil {
		d.of = map[types.NamespacedName][]netip.AddrPort{}
	}
	for _, a := range at {
		if d.told && !slices.Contains(d.of[name], a) {
			for _, after := range forgetAfter {
				d.due = append(d.due, due{now.Add(after), a})
			}
		}
	}
	slices.SortStableFunc(d.due, func(a, b due) int { return a.when.Compare(b.when) })
	d.of[name] = at
	if len(at) == 0 {
		delete(d.of, name)
	}
}

// take gives the addresses whose time has come, and when the next ones' will have.
func (d *datagrams) take(now time.Time) (at []netip.AddrPort, next time.Time) {
	for len(d.due) > 0 && !d.due[0].when.After(now) {
		at = append(at, d.due[0].at)
		d.due = d.due[1:]
	}
	if len(d.due) > 0 {
		next = d.due[0].when
	}
	return at, next
}

// forgetDatagrams has Open vSwitch forget connections that were there before their
// address had a backend.
func (s *Services) forgetDatagrams(ctx context.Context) error {
	at, _ := s.datagrams.take(s.e.Clock.Now())
	var errs []error
	for _, a := range at {
		errs = append(errs, s.e.Datapath.ForgetUntranslated(ctx, a))
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
