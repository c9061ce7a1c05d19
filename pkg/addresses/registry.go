// SPDX-License-Identifier: Apache-2.0

// Package addresses keeps track of which object has which address of which subnet.
//
// The durable form of an allocation is a record: an IP object today, or any kind with a [model.AddressRecord]. A
// [Registry] follows records, subnets, pools and pods, resolves contests (two records of one address), keeps addresses
// that running pods use without a record, and assigns addresses to claims. It proposes; the caller writes the record.
// It is pure: no I/O and no clock. One goroutine owns it.
package addresses

import (
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Listener receives the consequences of a change of addresses.
type Listener interface {
	// Wake compiles owners again.
	Wake(owners ...model.Ref)
	// Retry executes the wants of an owner again: its claim may succeed now.
	Retry(owner model.Ref)
	// Problem replaces the address problems of an object; without arguments it clears them.
	Problem(of model.Ref, problems ...model.Problem)
}

// Registry contains the addresses of all subnets. Owners are references of any kind.
type Registry struct {
	world     *world.World
	listener  Listener
	allocator *ipam.Allocator

	records    map[model.Kind]recordGetter       // of the kinds that have addresses
	claiming   map[model.Ref]struct{}            // owners whose record is being written
	awaiting   map[string]map[model.Ref]struct{} // by subnet, claimants that wait for an address
	contested  map[string]map[model.Ref]struct{} // by subnet, records whose address belongs to another one
	unrecorded map[model.Ref][]model.Ref         // by pod, owners without a record whose address the pod may use
	repool     map[string]struct{}               // subnets whose pools have changed
	usage      map[string]struct{}               // subnets whose counters have changed
}

// New returns a registry that reads w and reports to listener.
func New(w *world.World, listener Listener) *Registry {
	r := &Registry{
		world: w, listener: listener, allocator: ipam.New(),
		claiming: map[model.Ref]struct{}{}, awaiting: map[string]map[model.Ref]struct{}{},
		contested: map[string]map[model.Ref]struct{}{}, unrecorded: map[model.Ref][]model.Ref{},
		repool: map[string]struct{}{}, usage: map[string]struct{}{}, records: map[model.Kind]recordGetter{},
	}
	Follow(r, w.IPs)
	w.Subnets.OnApply(func(key world.Key, _, _ *model.Subnet) []model.Ref {
		r.subnetChanged(key.Name)
		return nil
	})
	w.IPPools.OnApply(func(_ world.Key, old, now *model.IPPool) []model.Ref {
		r.poolChanged(old, now)
		return nil
	})
	w.Pods.OnApply(func(key world.Key, _, _ *model.Pod) []model.Ref {
		r.podChanged(key.Ref(model.KindPod))
		return nil
	})
	return r
}

type recordGetter func(world.Key) (model.AddressRecord, bool)

// holder is a pointer to a projection of a kind that has addresses.
type holder[T any] interface {
	*T
	model.AddressHolder
}

// Follow registers the objects of a table as owners of addresses: their records are held and contested.
func Follow[T any, P holder[T]](r *Registry, table *world.Table[T]) {
	recordOf := func(o *T) *model.AddressRecord {
		if o == nil {
			return nil
		}
		record := P(o).AddressRecord()
		return &record
	}
	r.records[table.Kind()] = func(key world.Key) (record model.AddressRecord, ok bool) {
		o, ok := table.Get(key)
		if !ok {
			return record, false
		}
		return P(o).AddressRecord(), true
	}
	table.OnApply(func(_ world.Key, old, now *T) []model.Ref { return r.recordChanged(recordOf(old), recordOf(now)) })
}

// record returns the record of an owner.
func (r *Registry) record(owner model.Ref) (record model.AddressRecord, ok bool) {
	get, ok := r.records[owner.Kind]
	if !ok {
		return record, false
	}
	return get(world.KeyOf(owner))
}

// recordChanged handles a change of an owner's record: the API server is the source of truth. A nil old or now means
// that the record did not or does not exist. It returns the owners to compile again.
func (r *Registry) recordChanged(old, now *model.AddressRecord) (woken []model.Ref) {
	if old != nil {
		woken = append(woken, old.User)
		r.usage[old.Subnet] = struct{}{}
	}
	if now == nil {
		if old != nil {
			r.listener.Problem(old.Owner)
			r.uncontest(old)
			r.world.SetContested(old.Owner, "")
			r.lose(old.Owner, old.User)
		}
		return woken
	}
	if old != nil && (old.Subnet != now.Subnet || old.Addrs != now.Addrs || old.MAC != now.MAC) {
		r.uncontest(old)
		r.free(now.Owner)
	}
	r.usage[now.Subnet] = struct{}{}
	r.drop(now.Owner)
	woken = append(woken, r.hold(*now)...)
	return append(woken, now.User)
}

// free releases the addresses of an owner and retries the claims that wait for an address.
func (r *Registry) free(owner model.Ref) {
	if a, ok := r.allocator.Release(owner); ok {
		r.usage[a.Subnet] = struct{}{}
		r.contest(a.Subnet)
		r.retryClaims(a.Subnet)
	}
}

// recorded reports whether there is a record of an owner.
func (r *Registry) recorded(owner model.Ref) bool {
	_, ok := r.record(owner)
	return ok
}

func add[K comparable](sets map[string]map[K]struct{}, name string, k K) {
	if sets[name] == nil {
		sets[name] = map[K]struct{}{}
	}
	sets[name][k] = struct{}{}
}

// gatewayMAC is the MAC of OVN's router port on a subnet.
func gatewayMAC(subnet *model.Subnet) string { return model.GatewayMAC(subnet.Vpc, subnet.Name) }
