// SPDX-License-Identifier: Apache-2.0

package ipam

import "github.com/wovensdn/woven/pkg/model"

// Complete adds what the record of an owner lacks: addresses if it has none, and a MAC. Existing values stay, so that
// Complete can be repeated. Errors are those of [Allocator.Claim], and [ErrInvalid] for an owner without an allocation.
func (a *Allocator) Complete(owner model.Ref) (Allocation, error) {
	al, ok := a.owners[owner]
	if !ok {
		return Allocation{}, invalidf("%s has no allocation", owner.Text())
	}
	s := a.subnets[al.Subnet]
	if s.def == nil {
		return Allocation{}, &NoSubnetError{Subnet: al.Subnet}
	}
	var err error
	full := *al
	if full.Addrs == (model.Addrs{}) {
		if full.Addrs, err = s.assign(Request{Owner: owner}); err != nil {
			return Allocation{}, err
		}
	}
	if full.MAC == "" {
		if full.MAC, err = s.assignMAC(owner, "", a.macs); err != nil {
			return Allocation{}, err
		}
	}
	if full != *al {
		a.Release(owner)
		a.hold(a.subnet(full.Subnet), &full)
	}
	return full, nil
}
