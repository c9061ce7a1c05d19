package hostplan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Ledger knows which Service has which frontend. Of several that claim one the
// oldest has it, as a whole; the others get it when that one goes. The zero value is
// empty and ready.
type Ledger struct {
	of     map[string]map[Frontend]Lead
	claims map[Frontend][]claim // the first has it
	sticky map[time.Duration]int
}

type claim struct {
	created int64
	service string
}

// Change is what an event makes of the elements.
type Change struct {
	Remove, Add []Entry
	// Moved are the frontends that lead elsewhere now, or nowhere any more.
	Moved []Frontend
	// Clients tells that some may be remembered with a backend that is theirs no more.
	Clients bool
}

// Set says how a Service's frontends lead on from now on; none means that the
// Service is gone. created, in seconds since the Unix epoch, decides about claims.
func (l *Ledger) Set(service string, created int64, leads map[Frontend]Lead) (c Change) {
	if l.of == nil {
		l.of, l.claims, l.sticky = map[string]map[Frontend]Lead{}, map[Frontend][]claim{}, map[time.Duration]int{}
	}
	before := l.of[service]
	touched := map[Frontend]Lead{} // as they were
	for f := range before {
		touched[f], _ = l.Lead(f)
	}
	for f := range leads {
		touched[f], _ = l.Lead(f)
	}
	for f := range before {
		l.claims[f] = slices.DeleteFunc(l.claims[f], func(c claim) bool { return c.service == service })
		if len(l.claims[f]) == 0 {
			delete(l.claims, f)
		}
	}
	for f := range leads {
		l.claims[f] = append(l.claims[f], claim{created, service})
		slices.SortFunc(l.claims[f], func(a, b claim) int {
			return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.service, b.service))
		})
	}
	l.of[service] = leads
	if len(leads) == 0 {
		delete(l.of, service)
	}
	for f, old := range touched {
		now, _ := l.Lead(f)
		c.compare(f, old, now)
		l.count(old, -1)
		l.count(now, +1)
	}
	return c
}

func (l *Ledger) count(d Lead, by int) {
	if d.Sticky == 0 {
		return
	}
	if l.sticky[d.Sticky] += by; l.sticky[d.Sticky] == 0 {
		delete(l.sticky, d.Sticky)
	}
}

func (c *Change) compare(f Frontend, old, now Lead) {
	had := make(map[Entry]bool, len(old.Entries))
	for _, e := range old.Entries {
		had[e] = true
	}
	for _, e := range now.Entries {
		if !had[e] {
			c.Add = append(c.Add, e)
		}
		delete(had, e)
	}
	for e := range had {
		c.Remove = append(c.Remove, e)
	}
	moved := !slices.Equal(old.Targets, now.Targets) || !slices.Equal(old.Inner, now.Inner)
	if moved {
		c.Moved = append(c.Moved, f)
	}
	c.Clients = c.Clients || old.Sticky > 0 && (moved || now.Sticky == 0)
}

// Lead says how a frontend leads on.
func (l *Ledger) Lead(f Frontend) (Lead, bool) {
	claims := l.claims[f]
	if len(claims) == 0 {
		return Lead{}, false
	}
	return l.of[claims[0].service][f], true
}

// Has reports whether a Service is known.
func (l *Ledger) Has(service string) bool { return l.of[service] != nil }

// Frontends are all that lead somewhere.
func (l *Ledger) Frontends() []Frontend { return slices.Collect(maps.Keys(l.claims)) }

// Entries are the elements of all frontends.
func (l *Ledger) Entries() (out []Entry) {
	for f := range l.claims {
		lead, _ := l.Lead(f)
		out = append(out, lead.Entries...)
	}
	return out
}

// Sticky are the times for which backends are remembered, in order.
func (l *Ledger) Sticky() []time.Duration { return slices.Sorted(maps.Keys(l.sticky)) }

// Services are the names of all that have a frontend or claim one.
func (l *Ledger) Services() []string { return slices.Collect(maps.Keys(l.of)) }

// Stale reports whether a connection that asked a frontend and is answered by an
// address has to be forgotten: its packets would go on to where the frontend does not
// lead any more, or untranslated to where they went before it led anywhere. inside
// tells whether it is a pod or a host of the cluster that asks.
func (l *Ledger) Stale(asked Frontend, answers netip.AddrPort, inside bool) bool {
	lead, ok := l.Lead(asked)
	switch {
	case !ok:
		return answers != asked.AddrPort
	case inside:
		return !slices.Contains(lead.Inner, answers)
	}
	return !slices.Contains(lead.Targets, answers)
}

// Learned are the names of the maps of one family that rules add to.
type Learned struct {
	Backend, Port string
}

// LearnedMaps are those of both families.
func LearnedMaps() (out []Learned) {
	for _, f := range families {
		out = append(out, Learned{clientMap + f.digit, clientPortMap + f.digit})
	}
	return out
}

// StaleClients picks the keys of what is remembered of clients whose backend is none
// any more, from the elements of the two maps of a family. Both are in nft's notation.
func (l *Ledger) StaleClients(backends, ports []Entry) map[string]bool {
	targets := map[string]map[string]bool{} // by number
	for f := range l.claims {
		lead, _ := l.Lead(f)
		if lead.Sticky == 0 {
			continue
		}
		of := map[string]bool{}
		for _, t := range lead.Targets {
			of[dnatTo(t)] = true
		}
		targets[f.number()] = of
	}
	port := make(map[string]string, len(ports))
	for _, e := range ports {
		port[e.Key] = e.Value
	}
	stale := map[string]bool{}
	for _, e := range backends {
		number, _, _ := strings.Cut(e.Key, " . ")
		if !targets[number][e.Value+" . "+port[e.Key]] {
			stale[e.Key] = true
		}
	}
	return stale
}
