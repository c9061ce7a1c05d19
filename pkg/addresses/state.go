// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"cmp"
	"maps"
	"slices"

	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// SubnetState describes the addresses of a subnet for debugging.
type SubnetState struct {
	Subnet    string           `json:"subnet"`
	Available [2]string        `json:"available"` // IPv4, IPv6
	Holders   []HolderState    `json:"holders"`
	Awaiting  []string         `json:"awaiting"`  // objects that wait for an address
	Contested []ContestedState `json:"contested"` // records whose address belongs to another one
}

// HolderState is an object that has addresses.
type HolderState struct {
	Owner     string `json:"owner"`
	Addresses string `json:"addresses"` // comma separated
	MAC       string `json:"mac,omitempty"`
	// Record is "recorded", "being recorded", or "carried": in use by a running pod without a record.
	Record string `json:"record"`
}

// ContestedState is a record whose address belongs to another one.
type ContestedState struct {
	Record string `json:"record"`
	Cause  string `json:"cause"`
}

// State describes the addresses of all subnets, by name.
func (r *Registry) State() []SubnetState {
	bySubnet := map[string]*SubnetState{}
	of := func(name string) *SubnetState {
		if bySubnet[name] == nil {
			stats := r.allocator.Stats(name)
			bySubnet[name] = &SubnetState{
				Subnet: name, Available: [2]string{stats.V4.Available.String(), stats.V6.Available.String()},
				Holders: []HolderState{}, Awaiting: []string{}, Contested: []ContestedState{},
			}
		}
		return bySubnet[name]
	}
	for key := range r.world.Subnets.All() {
		of(key.Name)
	}
	for a := range r.allocator.All() {
		s := of(a.Subnet)
		s.Holders = append(s.Holders, HolderState{Owner: a.Owner.String(), Addresses: model.AddrsText(a.Addrs), MAC: a.MAC, Record: r.recordState(a)})
	}
	for name, claimants := range r.awaiting {
		for claimant := range claimants {
			of(name).Awaiting = append(of(name).Awaiting, claimant.String())
		}
	}
	for name := range r.contested {
		for _, record := range r.contestants(name) {
			of(name).Contested = append(of(name).Contested, ContestedState{Record: record.Owner.String(), Cause: r.world.ContestedBy(record.Owner)})
		}
	}
	out := make([]SubnetState, 0, len(bySubnet))
	for _, name := range slices.Sorted(maps.Keys(bySubnet)) {
		s := bySubnet[name]
		slices.SortFunc(s.Holders, func(a, b HolderState) int { return cmp.Compare(a.Owner, b.Owner) })
		slices.Sort(s.Awaiting)
		out = append(out, *s)
	}
	return out
}

func (r *Registry) recordState(a ipam.Allocation) string {
	_, claiming := r.claiming[a.Owner]
	switch {
	case r.recorded(a.Owner):
		return "recorded"
	case claiming:
		return "being recorded"
	default:
		return "carried"
	}
}
