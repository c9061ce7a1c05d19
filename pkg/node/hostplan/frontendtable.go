// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/wovensdn/woven/pkg/model"
)

// FrontendTable says which Service has which frontend. If several claim one, the oldest has it as a whole; when that
// one goes, the next gets it. The zero value is empty and ready to use.
type FrontendTable struct {
	of       map[model.Ref]map[Frontend]Forward
	claims   map[Frontend][]claim // the first has it
	affinity map[time.Duration]int
}

type claim struct {
	created int64
	service model.Ref
}

// older orders claims as the controller does.
func (c claim) older(than claim) bool {
	meta := func(c claim) model.Meta {
		return model.Meta{Created: c.created, Namespace: c.service.Namespace, Name: c.service.Name}
	}
	return model.Older(meta(c), meta(than))
}

// Change is the difference that an event makes.
type Change struct {
	// Remove and Add are elements.
	Remove, Add []Entry
	// Moved are the frontends whose targets are others now, or that have none any more.
	Moved []Frontend
	// Clients is set if the backend that is remembered for a client may be none of its frontend any more.
	Clients bool
}

// Set replaces the frontends of a Service; none means that the Service is gone. created, in seconds since the Unix
// epoch, decides between Services that claim the same frontend.
func (t *FrontendTable) Set(service model.Ref, created int64, forwards map[Frontend]Forward) (c Change) {
	if t.of == nil {
		t.of, t.claims, t.affinity = map[model.Ref]map[Frontend]Forward{}, map[Frontend][]claim{}, map[time.Duration]int{}
	}
	before := t.of[service]
	touched := map[Frontend]Forward{} // as they were
	for f := range before {
		touched[f], _ = t.Forward(f)
	}
	for f := range forwards {
		touched[f], _ = t.Forward(f)
	}
	for f := range before {
		t.claims[f] = slices.DeleteFunc(t.claims[f], func(c claim) bool { return c.service == service })
		if len(t.claims[f]) == 0 {
			delete(t.claims, f)
		}
	}
	for f := range forwards {
		c := claim{created, service}
		at := slices.IndexFunc(t.claims[f], c.older)
		if at < 0 {
			at = len(t.claims[f])
		}
		t.claims[f] = slices.Insert(t.claims[f], at, c)
	}
	t.of[service] = forwards
	if len(forwards) == 0 {
		delete(t.of, service)
	}
	for f, old := range touched {
		now, _ := t.Forward(f)
		c.compare(f, old, now)
		t.count(old, -1)
		t.count(now, +1)
	}
	return c
}

func (t *FrontendTable) count(d Forward, by int) {
	if d.Affinity == 0 {
		return
	}
	if t.affinity[d.Affinity] += by; t.affinity[d.Affinity] == 0 {
		delete(t.affinity, d.Affinity)
	}
}

func (c *Change) compare(f Frontend, old, now Forward) {
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
	c.Clients = c.Clients || old.Affinity > 0 && (moved || now.Affinity == 0)
}

// Forward returns how packets to a frontend are forwarded; ok is false if no Service has it.
func (t *FrontendTable) Forward(f Frontend) (forward Forward, ok bool) {
	claims := t.claims[f]
	if len(claims) == 0 {
		return Forward{}, false
	}
	return t.of[claims[0].service][f], true
}

// Frontends returns all frontends that a Service has.
func (t *FrontendTable) Frontends() []Frontend { return slices.Collect(maps.Keys(t.claims)) }

// Entries returns the elements of all frontends.
func (t *FrontendTable) Entries() (out []Entry) {
	for f := range t.claims {
		forward, _ := t.Forward(f)
		out = append(out, forward.Entries...)
	}
	return out
}

// AffinityTimeouts returns the times for which backends of clients are remembered, in order.
func (t *FrontendTable) AffinityTimeouts() []time.Duration {
	return slices.Sorted(maps.Keys(t.affinity))
}

// Services returns the names of those that have a frontend or claim one.
func (t *FrontendTable) Services() []model.Ref { return slices.Collect(maps.Keys(t.of)) }

// Stale reports whether a connection to a frontend has to be forgotten. replies is where its replies come from: the
// backend that it was translated to, or the frontend itself if it was not translated. inside says that the client is a
// pod or a host of the cluster. Packets of a stale connection would still go to a former backend.
func (t *FrontendTable) Stale(f Frontend, replies netip.AddrPort, inside bool) bool {
	forward, ok := t.Forward(f)
	switch {
	case !ok:
		return replies != f.AddrPort
	case inside:
		return !slices.Contains(forward.Inner, replies)
	}
	return !slices.Contains(forward.Targets, replies)
}

// Learned are the names of the maps of one family that rules add to.
type Learned struct {
	Backend, Port string
}

// LearnedMaps returns those of both families.
func LearnedMaps() (out []Learned) {
	for _, f := range families {
		out = append(out, Learned{clientMap + f.digit, clientPortMap + f.digit})
	}
	return out
}

// StaleClients returns the keys of remembered clients whose backend is none of the frontend's any more. backends and
// ports are the elements of the two maps of a family, in nft's notation.
func (t *FrontendTable) StaleClients(backends, ports []Entry) map[string]bool {
	targets := map[string]map[string]bool{} // by the number of the frontend
	for f := range t.claims {
		forward, _ := t.Forward(f)
		if forward.Affinity == 0 {
			continue
		}
		of := map[string]bool{}
		for _, target := range forward.Targets {
			of[dnatTo(target)] = true
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
