// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"cmp"
	"errors"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// hold records addresses in the allocator. Of two records with the same address or MAC, the older one has it,
// regardless of the order of events; the other one is contested, and its user cannot use it until the address is free.
func (r *Registry) hold(record model.AddressRecord) (woken []model.Ref) {
	err := r.allocator.Record(allocationOf(record))
	rivals := []model.AddressRecord{record}
	for {
		var conflict *ipam.ConflictError
		if !errors.As(err, &conflict) {
			break
		}
		other, ok := r.record(conflict.Holder)
		if !ok || byAge(other, record) <= 0 {
			break
		}
		r.allocator.Release(other.Owner)
		rivals = append(rivals, other)
		err = r.allocator.Record(allocationOf(record))
	}
	if len(rivals) == 1 {
		return r.award(record, err)
	}
	r.allocator.Release(record.Owner)
	slices.SortFunc(rivals, byAge)
	for _, rival := range rivals {
		woken = append(woken, r.award(rival, r.allocator.Record(allocationOf(rival)))...)
	}
	for _, other := range r.contestants(record.Subnet) { // their problem may name the previous holder
		if !slices.Contains(rivals, other) {
			woken = append(woken, r.award(other, r.allocator.Record(allocationOf(other)))...)
		}
	}
	return woken
}

func allocationOf(record model.AddressRecord) ipam.Allocation {
	return ipam.Allocation{Subnet: record.Subnet, Owner: record.Owner, Addrs: record.Addrs, MAC: record.MAC}
}

// byAge orders records, the oldest first. The age in the API server has a resolution of one second; within the same
// second, a record of a user counts as younger, because a controller records only free addresses.
func byAge(a, b model.AddressRecord) int {
	byUser := func(r model.AddressRecord) int {
		if r.ByUser {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(byUser(a), byUser(b)), a.Owner.Compare(b.Owner))
}

// award stores in the world whether a record has its addresses, and if not, why.
func (r *Registry) award(record model.AddressRecord, err error) []model.Ref {
	cause := ""
	r.uncontest(&record)
	if err == nil {
		r.listener.Problem(record.Owner)
	} else {
		cause = err.Error()
		r.listener.Problem(record.Owner, model.Problem{
			Reason: model.ReasonAddressConflict, Field: record.Field, Message: record.Owner.Text() + ": " + cause,
		})
		add(r.contested, record.Subnet, record.Owner)
	}
	woken, changed := r.world.SetContested(record.Owner, cause)
	if changed {
		woken = append(woken, record.User)
	}
	return woken
}

func (r *Registry) uncontest(record *model.AddressRecord) {
	delete(r.contested[record.Subnet], record.Owner)
	if len(r.contested[record.Subnet]) == 0 {
		delete(r.contested, record.Subnet)
	}
}

// contest evaluates the contested records of a subnet again: an address may be free now.
func (r *Registry) contest(subnet string) {
	for _, record := range r.contestants(subnet) {
		r.listener.Wake(r.hold(record)...)
	}
}

// contestants returns the contested records of a subnet, the oldest first.
func (r *Registry) contestants(subnet string) (records []model.AddressRecord) {
	for owner := range r.contested[subnet] {
		if record, ok := r.record(owner); ok {
			records = append(records, record)
		}
	}
	slices.SortFunc(records, byAge)
	return records
}
