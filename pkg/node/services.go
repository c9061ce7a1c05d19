package node

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
	"github.com/wovensdn/woven/pkg/node/healthport"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// ServiceTables keeps the table of Services; see package nft.
type ServiceTables interface {
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

// ServiceEdges are everything that [Services] talks to.
type ServiceEdges struct {
	Tables ServiceTables
	Flows  Flows
	// Datapath is what OVN tracks.
	Datapath Datapath
	Health   HealthPorts
	Clock    clock.WithTicker
	Log      logr.Logger
	// Metrics counts changes; see [NewMetrics].
	Metrics *Metrics
}

// Services keeps what the node does for Services that are reached from outside of
// OVN: elements of an nftables table. An event costs the elements of its own Service.
type Services struct {
	e    ServiceEdges
	kick chan struct{}

	mu       sync.Mutex
	services map[types.NamespacedName]*model.Service
	slices   map[types.NamespacedName]map[string]*model.EndpointSlice // by Service
	dirty    map[types.NamespacedName]bool
	world    *hostplan.Inputs
	// unsure is set when the table may differ from what was last written.
	unsure bool
	// own counts our changes of the table that the kernel has not reported yet.
	own int

	// What follows belongs to the goroutine of Run alone.
	frontends hostplan.FrontendTable
	datagrams datagrams
	context   hostplan.ServiceContext
	pods      map[hostplan.Entry]bool // of this node
	base      string                  // the table without elements, as it was applied last
	health    map[types.NamespacedName]healthport.Check
	begun     bool
}

// NewServices returns one that does nothing before [Services.SetWorld] and [Services.Run].
func NewServices(e ServiceEdges) *Services {
	return &Services{
		e: e, kick: make(chan struct{}, 1), unsure: true,
		services: map[types.NamespacedName]*model.Service{}, slices: map[types.NamespacedName]map[string]*model.EndpointSlice{},
		dirty: map[types.NamespacedName]bool{}, health: map[types.NamespacedName]healthport.Check{},
	}
}

// ServiceChanged takes a Service that is new, changed or, with gone, deleted.
// What is wrong with it is told by the controller.
func (s *Services) ServiceChanged(o *corev1.Service, gone bool) {
	name := client.ObjectKeyFromObject(o)
	service, problems := model.ServiceFrom(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	datagrams := slices.ContainsFunc(service.Ports, func(p model.ServicePort) bool { return p.Protocol == model.UDP })
	if gone || model.Fatal(problems) || !service.Any() && !datagrams {
		delete(s.services, name)
	} else {
		s.services[name] = &service
	}
	s.touch(name)
}

// SliceChanged takes an EndpointSlice that is new, changed or, with gone, deleted.
func (s *Services) SliceChanged(o *discoveryv1.EndpointSlice, gone bool) {
	slice := sliceOf(o)
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
func (s *Services) touch(name types.NamespacedName) {
	s.dirty[name] = true
	poke(s.kick)
}

// SetWorld says what else the node knows.
func (s *Services) SetWorld(w hostplan.Inputs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world = &w
	poke(s.kick)
}

// TableChanged is called for every change of the table by anybody.
func (s *Services) TableChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own > 0 {
		s.own--
		return
	}
	s.unsure = true
	poke(s.kick)
}

// Run keeps the table until ctx ends; what goes wrong is logged and tried again. It returns nil.
func (s *Services) Run(ctx context.Context) error {
	defer s.e.Health.Close()
	slow := s.e.Clock.NewTicker(slowInterval)
	defer slow.Stop()
	backoff := minBackoff
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
		case <-again:
		case <-s.nextDatagrams():
		case <-slow.C():
			s.doubt()
		}
		err := s.pass(ctx)
		if ctx.Err() != nil {
			return nil
		}
		again = nil
		if err == nil {
			backoff = minBackoff
		} else {
			s.e.Log.Error(err, "Services are not reached as they must be from outside of OVN, trying again")
			again = s.e.Clock.After(backoff)
			backoff = min(2*backoff, maxBackoff)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.e.Clock.After(passInterval):
		}
	}
}

// doubt has the next pass compare the whole table.
func (s *Services) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = true
	s.own = 0
}

// work is what a pass has to look at.
type work struct {
	world  hostplan.Inputs
	names  []types.NamespacedName
	unsure bool
}

// take empties what has gathered; ok is false as long as the node is not known.
func (s *Services) take() (w work, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world == nil {
		return w, false
	}
	w.world, w.unsure = *s.world, s.unsure
	current := hostplan.ServiceContextOf(w.world)
	if !current.Equal(s.context) || !s.begun {
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
func (s *Services) pass(ctx context.Context) error {
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
	s.ownPods(w.world, &change)
	if !s.begun {
		change.Moved, change.Clients = s.frontends.Frontends(), true // also what was before this process
	}
	if err := s.write(ctx, w, change); err != nil {
		s.mu.Lock()
		s.unsure = true
		s.mu.Unlock()
		s.begun = false // connections are looked at when the table is right
		return err
	}
	s.begun, s.datagrams.told = true, true
	err := errors.Join(s.forgetDatagrams(ctx), s.forget(ctx, w.world, change), s.e.Health.Set(ctx, s.health))
	s.begun = err == nil // else everything is looked at again
	return err
}

// ownPods adds what pods of this node that came and went change.
func (s *Services) ownPods(w hostplan.Inputs, c *hostplan.Change) {
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

// serve brings the frontends up to date with one Service.
func (s *Services) serve(name types.NamespacedName) hostplan.Change {
	s.mu.Lock()
	service := s.services[name]
	var endpoints []*model.EndpointSlice
	for _, slice := range s.slices[name] {
		endpoints = append(endpoints, slice)
	}
	s.mu.Unlock()
	delete(s.health, name)
	if service == nil {
		s.datagrams.set(name, s.e.Clock.Now(), nil)
		return s.frontends.Set(name.String(), 0, nil)
	}
	s.datagrams.set(name, s.e.Clock.Now(), s.context.UDPBackends(service, endpoints))
	rules := s.context.RulesFor(service, endpoints)
	if service.External.HealthPort != 0 && len(rules.Forwards) > 0 {
		s.health[name] = healthport.Check{Port: service.External.HealthPort, Backends: rules.LocalReady}
	}
	return s.frontends.Set(name.String(), service.Created, rules.Forwards)
}

// write changes elements if that is all, else it compares the whole table.
func (s *Services) write(ctx context.Context, w work, change hostplan.Change) error {
	table := hostplan.ServiceTable(w.world, s.frontends.AffinityTimeouts())
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
		s.e.Log.Info("the table of Services is not as it was left, comparing all of it", "because", err.Error())
		return s.apply(ctx, table, string(text))
	}
	s.e.Metrics.repairs(1)
	return nil
}

func (s *Services) apply(ctx context.Context, table hostplan.Table, base string) error {
	table.Fill(slices.AppendSeq(s.frontends.Entries(), maps.Keys(s.pods)))
	s.expect(1)
	did, err := s.e.Tables.Apply(ctx, table)
	if err != nil || did == "" {
		s.expect(-1)
	}
	if err != nil {
		return fmt.Errorf("apply rules of Services: %w", err)
	}
	s.base = base
	if did != "" {
		s.e.Metrics.repairs(1)
		s.e.Log.Info("rules of Services changed", "did", did, "services", len(s.frontends.Services()))
	}
	return nil
}

// expect says that the kernel will report so many changes more that are ours.
func (s *Services) expect(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = max(0, s.own+n)
}

// forget has the kernel and the table forget where connections and clients went,
// where that is not right any more.
func (s *Services) forget(ctx context.Context, w hostplan.Inputs, c hostplan.Change) error {
	udp := map[hostplan.Frontend]bool{}
	for _, f := range c.Moved {
		if f.Protocol == model.UDP {
			udp[f] = true
		}
	}
	var errs []error
	if c.Clients { // first, so that no connection that is made anew asks for what they remember
		errs = append(errs, s.forgetClients(ctx))
	}
	if len(udp) > 0 {
		n, err := s.e.Flows.ForgetUDP(func(c conntrack.Flow) bool {
			f := hostplan.Frontend{AddrPort: c.Asked, Protocol: model.UDP}
			return udp[f] && s.frontends.Stale(f, c.Answers, hostplan.Inside(w, c.Source))
		})
		if n > 0 {
			s.e.Log.V(1).Info("connections of UDP forgotten, their backends are gone", "count", n)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// forgetClients removes what is remembered of clients whose backend is gone.
func (s *Services) forgetClients(ctx context.Context) error {
	for _, names := range hostplan.LearnedMaps() {
		backends, err1 := s.e.Tables.Learned(ctx, hostplan.ServiceTableName, names.Backend)
		ports, err2 := s.e.Tables.Learned(ctx, hostplan.ServiceTableName, names.Port)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("read the clients' backends: %w", err)
		}
		gone := s.frontends.StaleClients(backends, ports)
		if len(gone) == 0 {
			continue
		}
		stale := slices.DeleteFunc(slices.Concat(backends, ports), func(e hostplan.Entry) bool { return !gone[e.Key] })
		s.expect(1)
		if err := s.e.Tables.Change(ctx, hostplan.ServiceTableName, stale, nil); err != nil {
			s.expect(-1)
			return fmt.Errorf("forget the clients' backends: %w", err)
		}
	}
	return nil
}
