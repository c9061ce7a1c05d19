// SPDX-License-Identifier: Apache-2.0

// Package ipam allocates addresses and MACs of subnets.
//
// It is a pure data structure: no clients, no clock, not safe for concurrent use. It proposes and holds allocations;
// the durable record of an allocation is an IP object, and an allocator is rebuilt from those with
// [Allocator.SetSubnet] and [Allocator.Record], in any order.
//
// A dynamic allocation is the lowest address never used, then the one released longest ago, so that an address is not
// allocated again while stale flows or neighbour entries remain. Every operation costs O(log n) or less on average, and
// memory is proportional to the number of allocations, whatever the size of the prefix.
package ipam

import (
	"fmt"
	"iter"
	"net/netip"
	"reflect"

	"github.com/wovensdn/woven/pkg/model"
)

// defaultCooldownLimit is the maximum number of released addresses of one IP family of a subnet that are kept separate
// from those never used.
const defaultCooldownLimit = 1 << 16

// Allocator contains the allocations of all subnets.
type Allocator struct {
	subnets       map[string]*subnet
	owners        map[model.Ref]*Allocation
	macs          MACSource
	cooldownLimit int
}

// subnet is the state of one subnet. Without a definition it contains only the allocations of a subnet that does not
// exist (yet, or any longer).
type subnet struct {
	def        *Subnet
	spaces     model.Dual[space] // without the addresses of pools
	pools      map[string]*pool
	macs       map[string]*Allocation
	gatewayMAC string // empty for none
	held       int
}

// Option changes a new [Allocator].
type Option func(*Allocator)

// WithMACSource replaces [HashMAC].
func WithMACSource(source MACSource) Option { return func(a *Allocator) { a.macs = source } }

// New returns an allocator without subnets.
func New(options ...Option) *Allocator {
	a := &Allocator{
		subnets: map[string]*subnet{}, owners: map[model.Ref]*Allocation{},
		macs: HashMAC, cooldownLimit: defaultCooldownLimit,
	}
	for _, o := range options {
		o(a)
	}
	return a
}

// Subnet is a range of addresses to allocate from. Without a CIDR it allocates only MACs.
type Subnet struct {
	Name       string
	CIDR       model.Prefixes
	Exclude    []model.Range // never allocated dynamically; may include the gateways
	Gateway    model.Addrs   // never allocated
	GatewayMAC string        // never allocated; empty for none
	Pools      []Pool        // allocated only to requests that name them
}

// SetSubnet adds or changes a subnet. Existing allocations stay, even if they are now excluded, outside or equal to a
// new gateway; [Allocator.Holder] reports the latter. An error is an [ErrInvalid] and leaves the subnet unchanged.
// Setting an equal subnet is O(1); a change costs O(n log n) in the allocations of the subnet.
func (a *Allocator) SetSubnet(def Subnet) error {
	gatewayMAC, err := checkSubnet(def)
	if err != nil {
		return fmt.Errorf("set subnet %s: %w", def.Name, err)
	}
	s := a.subnet(def.Name)
	if s.def != nil && reflect.DeepEqual(*s.def, def) {
		return nil
	}
	def.Exclude = append([]model.Range(nil), def.Exclude...)
	s.def, s.gatewayMAC = &def, gatewayMAC
	aside := def.setAside()
	s.spaces.V4.set(def.CIDR.V4, def.Gateway.V4, aside)
	s.spaces.V6.set(def.CIDR.V6, def.Gateway.V6, aside)
	s.setPools(def)
	return nil
}

// DeleteSubnet removes the definition of a subnet. Its allocations stay until they are released.
func (a *Allocator) DeleteSubnet(name string) {
	s, ok := a.subnets[name]
	if !ok {
		return
	}
	s.def, s.gatewayMAC, s.pools = nil, "", nil
	s.spaces.V4.set(netip.Prefix{}, netip.Addr{}, nil)
	s.spaces.V6.set(netip.Prefix{}, netip.Addr{}, nil)
	a.forgetIfEmpty(name)
}

// Request is a request for an allocation.
type Request struct {
	Owner  model.Ref     // the object that records the allocation
	IPs    model.Addrs   // static addresses; an invalid one stands for any
	MAC    string        // static MAC; empty for any
	Family model.Family  // the requested IP families; the zero value means all that the subnet has
	Pool   string        // of the subnet, for dynamic addresses; empty for addresses that are in no pool
	Within []model.Range // limits dynamic addresses of the IP families that it contains; empty for no limit
	// Candidates are static addresses, or pairs, any one of which satisfies the request; empty for none. IPs take
	// precedence over them.
	Candidates model.AddressList
}

// Allocation is what one owner has: at most one address for each IP family, and a MAC.
type Allocation struct {
	Subnet string
	Owner  model.Ref // the object that records it: an IP, or another kind with addresses
	Addrs  model.Addrs
	MAC    string // lower case with colons; empty for none
}

// Claim proposes an allocation and holds it: all of it or nothing. An owner that claims again gets its present
// allocation; if that does not satisfy the request's subnet, static addresses or MAC, the error is a [*HeldError].
//
// Other errors are [*NoSubnetError], [*NoPoolError], [*ExhaustedError], [*OutsideError], [*GatewayError],
// [*ConflictError], [*NoCandidateError] and [ErrInvalid]. A static address may be an excluded one.
func (a *Allocator) Claim(subnetName string, r Request) (Allocation, error) {
	if err := checkRequest(r); err != nil {
		return Allocation{}, err
	}
	wanted, err := normalMAC(r.MAC)
	if err != nil {
		return Allocation{}, err
	}
	if held, ok := a.owners[r.Owner]; ok {
		return reclaim(*held, subnetName, r, wanted)
	}
	s, ok := a.subnets[subnetName]
	if !ok || s.def == nil {
		return Allocation{}, &NoSubnetError{Subnet: subnetName}
	}
	al := Allocation{Subnet: subnetName, Owner: r.Owner}
	assign := s.assign
	if len(r.Candidates) > 0 && r.IPs == (model.Addrs{}) {
		assign = s.assignCandidate
	}
	if al.Addrs, err = assign(r); err != nil {
		return Allocation{}, err
	}
	if al.MAC, err = s.assignMAC(r.Owner, wanted, a.macs); err != nil {
		return Allocation{}, err
	}
	a.hold(s, &al)
	return al, nil
}

func reclaim(held Allocation, subnetName string, r Request, mac string) (Allocation, error) {
	ips := r.IPs
	if held.Subnet != subnetName || len(r.Candidates) > 0 && ips == (model.Addrs{}) && !r.Candidates.Holds(held.Addrs) ||
		ips.V4.IsValid() && ips.V4 != held.Addrs.V4 ||
		ips.V6.IsValid() && ips.V6 != held.Addrs.V6 ||
		mac != "" && mac != held.MAC {
		return Allocation{}, &HeldError{Held: held}
	}
	return held, nil
}

// Record holds an allocation that was read from its durable record; it replaces the owner's allocation. The subnet need
// not exist yet. An excluded address, and one outside the CIDR, is accepted: it is in use, so no other owner may get
// it. The gateway's address or MAC is refused unless the owner has it already. Errors are [*ConflictError],
// [*GatewayError] and [ErrInvalid]; they change nothing.
func (a *Allocator) Record(al Allocation) error {
	if err := checkRecord(al); err != nil {
		return err
	}
	normal, err := normalMAC(al.MAC)
	if err != nil {
		return err
	}
	al.MAC = normal
	var held Allocation
	holds, had := a.owners[al.Owner]
	if had {
		held = *holds
	}
	if held == al {
		return nil
	}
	if s, ok := a.subnets[al.Subnet]; ok {
		if held.Subnet != al.Subnet {
			held = Allocation{} // addresses of another subnet do not count here
		}
		if err := s.checkRecord(al, held); err != nil {
			return err
		}
	}
	if had {
		a.Release(al.Owner)
	}
	a.hold(a.subnet(al.Subnet), &al)
	return nil
}

// Release releases the allocation of an owner; its addresses go to the end of the queue.
func (a *Allocator) Release(owner model.Ref) (Allocation, bool) {
	al, ok := a.owners[owner]
	if !ok {
		return Allocation{}, false
	}
	delete(a.owners, owner)
	s := a.subnets[al.Subnet]
	s.held--
	s.release(al.Addrs.V4, a.cooldownLimit)
	s.release(al.Addrs.V6, a.cooldownLimit)
	if al.MAC != "" {
		delete(s.macs, al.MAC)
	}
	a.forgetIfEmpty(al.Subnet)
	return *al, true
}

// Get returns the allocation of an owner.
func (a *Allocator) Get(owner model.Ref) (Allocation, bool) {
	al, ok := a.owners[owner]
	if !ok {
		return Allocation{}, false
	}
	return *al, true
}

// All yields every allocation, in no particular order.
func (a *Allocator) All() iter.Seq[Allocation] {
	return func(yield func(Allocation) bool) {
		for _, al := range a.owners {
			if !yield(*al) {
				return
			}
		}
	}
}

// Holder returns the owner of an address of a subnet.
func (a *Allocator) Holder(subnet string, ip netip.Addr) (model.Ref, bool) {
	s, ok := a.subnets[subnet]
	if !ok {
		return model.Ref{}, false
	}
	al, ok := s.spaces.V4.held[ip]
	if !ok {
		al, ok = s.spaces.V6.held[ip]
	}
	if !ok {
		return model.Ref{}, false
	}
	return al.Owner, true
}

// subnet returns the named subnet; it creates one without a definition if there is none.
func (a *Allocator) subnet(name string) *subnet {
	s, ok := a.subnets[name]
	if !ok {
		s = &subnet{spaces: model.Dual[space]{V4: newSpace(), V6: newSpace()}, macs: map[string]*Allocation{}}
		a.subnets[name] = s
	}
	return s
}

func (a *Allocator) forgetIfEmpty(name string) {
	if s := a.subnets[name]; s.def == nil && s.held == 0 {
		delete(a.subnets, name)
	}
}

func (a *Allocator) hold(s *subnet, al *Allocation) {
	a.owners[al.Owner] = al
	s.held++
	s.hold(al.Addrs.V4, al)
	s.hold(al.Addrs.V6, al)
	if al.MAC != "" {
		s.macs[al.MAC] = al
	}
}
