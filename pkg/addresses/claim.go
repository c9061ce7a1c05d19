// SPDX-License-Identifier: Apache-2.0

package addresses

import (
	"errors"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
)

// Claim assigns addresses to a claim of claimant and holds them until [Registry.ClaimEnded]. ok is false if none can be
// assigned: the claimant then has a problem with the cause, and is retried when an address of one of the subnets is
// released.
func (r *Registry) Claim(claimant model.Ref, w compile.Claim) (a ipam.Allocation, ok bool) {
	a, err := r.assign(w)
	if err != nil {
		for _, subnet := range w.Subnets {
			add(r.awaiting, subnet, claimant)
		}
		r.refuse(claimant, w.For, err)
		return ipam.Allocation{}, false
	}
	r.listener.Problem(claimant)
	r.usage[a.Subnet] = struct{}{}
	r.claiming[w.Request.Owner] = struct{}{}
	return a, true
}

// ClaimEnded completes a claim: its record has been written, or cannot be written. Assigned addresses that are not
// recorded are released, unless the pod uses them.
func (r *Registry) ClaimEnded(w compile.Claim) {
	delete(r.claiming, w.Request.Owner)
	if !r.recorded(w.Request.Owner) {
		r.lose(w.Request.Owner, w.For)
	}
}

// Complete assigns what the record of an owner lacks; see [Registry.Claim].
func (r *Registry) Complete(claimant, owner model.Ref) (a ipam.Allocation, ok bool) {
	a, err := r.allocator.Complete(owner)
	if err != nil {
		if record, recorded := r.record(owner); recorded {
			add(r.awaiting, record.Subnet, claimant)
		}
		r.refuse(claimant, owner, err)
		return ipam.Allocation{}, false
	}
	r.listener.Problem(claimant)
	return a, true
}

func (r *Registry) refuse(claimant, of model.Ref, err error) {
	r.listener.Problem(claimant, model.Problem{Reason: model.ReasonAcquireAddressFailed, Message: of.Text() + ": " + err.Error()})
}

// assign tries the subnets in order of preference: the next one only if one is full or missing.
func (r *Registry) assign(w compile.Claim) (ipam.Allocation, error) {
	var all error
	for i, subnet := range w.Subnets {
		request := w.Request
		if len(w.Pools) > 0 {
			request.Pool = w.Pools[i]
		}
		a, err := r.allocator.Claim(subnet, request)
		if errors.Is(err, ipam.ErrHeld) && !r.recorded(request.Owner) && !r.world.IsKept(request.Owner) { // of an earlier claim that was not recorded
			r.free(request.Owner)
			a, err = r.allocator.Claim(subnet, request)
		}
		if err == nil {
			return a, nil
		}
		all = errors.Join(all, err)
	}
	return ipam.Allocation{}, all
}

// retryClaims retries the claims that found a subnet full.
func (r *Registry) retryClaims(subnet string) {
	for claimant := range r.awaiting[subnet] {
		r.listener.Retry(claimant)
	}
	delete(r.awaiting, subnet)
}
