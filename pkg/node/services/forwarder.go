// SPDX-License-Identifier: Apache-2.0

// Package services forwards packets from outside of OVN to Services: elements of an nftables table, health check ports
// of load balancers, and connections that must be forgotten when backends change.
package services

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/healthport"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/node/runloop"
)

// Tables keeps the table of Services; see package nft.
type Tables interface {
	Apply(ctx context.Context, want hostplan.Table) (string, error)
	Change(ctx context.Context, table string, remove, add []hostplan.Entry) error
	Learned(ctx context.Context, table, name string) ([]hostplan.Entry, error)
}

// Flows is the kernel's connection tracking; see package conntrack.
type Flows interface {
	ForgetUDP(stale func(conntrack.Flow) bool) (int, error)
}

// HealthPorts answers load balancers; see package healthport.
type HealthPorts interface {
	Set(ctx context.Context, want map[types.NamespacedName]healthport.Check) error
	Close()
}

// Edges are everything that [Forwarder] talks to.
type Edges struct {
	Tables Tables
	Flows  Flows
	// Datapath is what OVN tracks.
	Datapath Datapath
	Health   HealthPorts
	// Limits are those of the controller, which reports what exceeds them.
	Limits model.Limits
	Clock  clock.WithTicker
	Log    logr.Logger
	// Changed is called with the number of changes made.
	Changed func(n int)
}

// Forwarder keeps the rules for Services that are reached from outside of OVN. An event costs the elements of its own
// Service.
type Forwarder struct {
	e    Edges
	loop *runloop.Loop

	mu       sync.Mutex
	services map[types.NamespacedName]*model.Service
	slices   map[types.NamespacedName]map[string]*model.EndpointSlice // by Service
	dirty    map[types.NamespacedName]bool
	inputs   *hostplan.Inputs
	// unsure is set when the table may differ from what was last written.
	unsure bool
	// own counts our changes of the table that the kernel has not reported yet.
	own int

	// What follows belongs to the goroutine of Run alone.
	frontends hostplan.FrontendTable
	udp       staleUDP
	context   hostplan.ServiceContext
	pods      map[hostplan.Entry]bool // of this node
	base      string                  // the table without elements, as it was applied last
	health    map[types.NamespacedName]healthport.Check
	started   bool
}

// New returns one that does nothing before [Forwarder.SetInputs] and [Forwarder.Run].
func New(e Edges) *Forwarder {
	return &Forwarder{
		e: e, loop: runloop.New(e.Clock), unsure: true,
		services: map[types.NamespacedName]*model.Service{}, slices: map[types.NamespacedName]map[string]*model.EndpointSlice{},
		dirty: map[types.NamespacedName]bool{}, health: map[types.NamespacedName]healthport.Check{},
	}
}

// ServiceChanged takes a Service that is new, changed or, with gone, deleted.
// The controller reports its problems.
func (s *Forwarder) ServiceChanged(o *corev1.Service, gone bool) {
	name := client.ObjectKeyFromObject(o)
	service, problems := model.ServiceFrom(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	udp := slices.ContainsFunc(service.Ports, func(p model.ServicePort) bool { return p.Protocol == model.UDP })
	if gone || model.Fatal(problems) || !service.Any() && !udp {
		delete(s.services, name)
	} else {
		s.services[name] = &service
	}
	s.touch(name)
}

// SliceChanged takes an EndpointSlice that is new, changed or, with gone, deleted.
func (s *Forwarder) SliceChanged(o *discoveryv1.EndpointSlice, gone bool) {
	slice := projection.SliceOf(o)
	name := types.NamespacedName{Namespace: o.Namespace, Name: slice.Service}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slice.Service == "":
		return
	case gone:
		delete(s.slices[name], o.Name)
		if len(s.slices[name]) == 0 {
			delete(s.slices, name)
		}
	default:
		if s.slices[name] == nil {
			s.slices[name] = map[string]*model.EndpointSlice{}
		}
		s.slices[name][o.Name] = &slice
	}
	if s.services[name] != nil {
		s.touch(name)
	}
}

// touch: the caller holds mu.
func (s *Forwarder) touch(name types.NamespacedName) {
	s.dirty[name] = true
	s.loop.Kick()
}

// SetInputs sets what else the rules depend on.
func (s *Forwarder) SetInputs(w hostplan.Inputs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inputs = &w
	s.loop.Kick()
}

// TableChanged is called for every change of the table by anybody.
func (s *Forwarder) TableChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own > 0 {
		s.own--
		return
	}
	s.unsure = true
	s.loop.Kick()
}

// Run keeps the table in sync until ctx ends. What goes wrong is logged and tried again.
func (s *Forwarder) Run(ctx context.Context) {
	defer s.e.Health.Close()
	s.loop.Run(ctx, func(ctx context.Context, resync bool) (time.Duration, error) {
		if resync {
			s.doubt()
		}
		err := s.pass(ctx)
		if err != nil && ctx.Err() == nil {
			s.e.Log.Error(err, "rules for Services are out of sync, retrying")
		}
		return s.nextUDP(), err
	})
}

// WatchKernel compares the table after changes by others until ctx ends.
func (s *Forwarder) WatchKernel(ctx context.Context) {
	runloop.Keep(ctx, s.e.Clock, s.e.Log, "rules for Services", func(ctx context.Context) error {
		s.doubt() // reports of our own changes may have been missed as well
		return nft.Watch(ctx, hostplan.ServiceTableName, s.TableChanged)
	})
}

// doubt makes the next pass compare the whole table.
func (s *Forwarder) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = true
	s.own = 0
}

// work is what a pass has to look at.
type work struct {
	inputs hostplan.Inputs
	names  []types.NamespacedName
	unsure bool
}

// take empties what has gathered; ok is false as long as the node is not known.
func (s *Forwarder) take() (w work, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inputs == nil {
		return w, false
	}
	w.inputs, w.unsure = *s.inputs, s.unsure
	current := hostplan.ServiceContextOf(w.inputs)
	if !current.Equal(s.context) || !s.started {
		for name := range s.services {
			s.dirty[name] = true
		}
		s.context = current
	}
	w.names = slices.Collect(maps.Keys(s.dirty))
	clear(s.dirty)
	s.unsure = false
	return w, true
}

// pass brings the table up to date.
func (s *Forwarder) pass(ctx context.Context) error {
	w, ok := s.take()
	if !ok {
		return nil
	}
	var change hostplan.Change
	for _, name := range w.names {
		c := s.serve(name)
		change.Remove, change.Add = append(change.Remove, c.Remove...), append(change.Add, c.Add...)
		change.Moved, change.Clients = append(change.Moved, c.Moved...), change.Clients || c.Clients
	}
	s.ownPods(w.inputs, &change)
	if !s.started {
		change.Moved, change.Clients = s.frontends.Frontends(), true // also what was before this process
	}
	if err := s.write(ctx, w, change); err != nil {
		s.mu.Lock()
		s.unsure = true
		s.mu.Unlock()
		s.started = false // connections are looked at when the table is right
		return err
	}
	s.started, s.udp.started = true, true
	err := errors.Join(s.forgetUDP(ctx), s.forget(ctx, w.inputs, change), s.e.Health.Set(ctx, s.health))
	s.started = err == nil // else everything is looked at again
	return err
}

// ownPods adds what pods of this node that came and went change.
func (s *Forwarder) ownPods(w hostplan.Inputs, c *hostplan.Change) {
	now := hostplan.OwnPods(w)
	for e := range now {
		if !s.pods[e] {
			c.Add = append(c.Add, e)
		}
	}
	for e := range s.pods {
		if !now[e] {
			c.Remove = append(c.Remove, e)
		}
	}
	s.pods = now
}

// serve updates the frontends of one Service.
func (s *Forwarder) serve(name types.NamespacedName) hostplan.Change {
	s.mu.Lock()
	service := s.services[name]
	var endpoints []*model.EndpointSlice
	for _, slice := range s.slices[name] {
		endpoints = append(endpoints, slice)
	}
	s.mu.Unlock()
	delete(s.health, name)
	ref := model.Ref{Kind: model.KindService, Namespace: name.Namespace, Name: name.Name}
	if service == nil {
		s.udp.set(name, s.e.Clock.Now(), nil)
		return s.frontends.Set(ref, 0, nil)
	}
	service, endpoints, _ = s.e.Limits.Service(service, endpoints)
	s.udp.set(name, s.e.Clock.Now(), s.context.UDPBackends(service, endpoints))
	rules := s.context.RulesFor(service, endpoints)
	if rules.HealthPort != 0 && len(rules.Forwards) > 0 {
		s.health[name] = healthport.Check{Port: rules.HealthPort, Backends: rules.LocalReady}
	}
	return s.frontends.Set(ref, service.Created, rules.Forwards)
}

// write changes elements if that is all, else it compares the whole table.
func (s *Forwarder) write(ctx context.Context, w work, change hostplan.Change) error {
	table := hostplan.ServiceTable(w.inputs, s.frontends.AffinityTimeouts())
	text, err := json.Marshal(table)
	if err != nil {
		return fmt.Errorf("compare table of Services: %w", err)
	}
	if w.unsure || string(text) != s.base {
		return s.apply(ctx, table, string(text))
	}
	if len(change.Remove)+len(change.Add) == 0 {
		return nil
	}
	s.expect(1)
	if err := s.e.Tables.Change(ctx, table.Name, change.Remove, change.Add); err != nil {
		s.expect(-1)
		s.e.Log.Info("the table of Services was changed by another owner, comparing all of it", "cause", err.Error())
		return s.apply(ctx, table, string(text))
	}
	s.e.Changed(1)
	return nil
}

func (s *Forwarder) apply(ctx context.Context, table hostplan.Table, base string) error {
	table.Fill(slices.AppendSeq(s.frontends.Entries(), maps.Keys(s.pods)))
	s.expect(1)
	did, err := s.e.Tables.Apply(ctx, table)
	if err != nil || did == "" {
		s.expect(-1)
	}
	if err != nil {
		return fmt.Errorf("apply rules for Services: %w", err)
	}
	s.base = base
	if did != "" {
		s.e.Changed(1)
		s.e.Log.Info("rules for Services changed", "changes", did, "services", len(s.frontends.Services()))
	}
	return nil
}

// expect adds to the changes of ours that the kernel has still to report.
func (s *Forwarder) expect(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = max(0, s.own+n)
}

// forget removes connections and remembered clients of former backends from the kernel and the table.
func (s *Forwarder) forget(ctx context.Context, w hostplan.Inputs, c hostplan.Change) error {
	udp := map[hostplan.Frontend]bool{}
	for _, f := range c.Moved {
		if f.Protocol == model.UDP {
			udp[f] = true
		}
	}
	var errs []error
	if c.Clients { // first, so that no new connection uses what is remembered
		errs = append(errs, s.forgetClients(ctx))
	}
	if len(udp) > 0 {
		n, err := s.e.Flows.ForgetUDP(func(c conntrack.Flow) bool {
			f := hostplan.Frontend{AddrPort: c.Asked, Protocol: model.UDP}
			return udp[f] && s.frontends.Stale(f, c.Answers, hostplan.Inside(w, c.Source))
		})
		if n > 0 {
			s.e.Log.V(1).Info("UDP connections to former backends forgotten", "count", n)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// forgetClients removes what is remembered of clients whose backend is gone.
func (s *Forwarder) forgetClients(ctx context.Context) error {
	for _, names := range hostplan.LearnedMaps() {
		backends, err1 := s.e.Tables.Learned(ctx, hostplan.ServiceTableName, names.Backend)
		ports, err2 := s.e.Tables.Learned(ctx, hostplan.ServiceTableName, names.Port)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("read remembered backends of clients: %w", err)
		}
		gone := s.frontends.StaleClients(backends, ports)
		if len(gone) == 0 {
			continue
		}
		stale := slices.DeleteFunc(slices.Concat(backends, ports), func(e hostplan.Entry) bool { return !gone[e.Key] })
		s.expect(1)
		if err := s.e.Tables.Change(ctx, hostplan.ServiceTableName, stale, nil); err != nil {
			s.expect(-1)
			return fmt.Errorf("forget backends of clients: %w", err)
		}
	}
	return nil
}
