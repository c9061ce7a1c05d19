// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// writeKey identifies a write: two writes of one sort to one object are never under way at once.
type writeKey struct {
	sort   compile.Sort
	target model.Ref
}

// WriteDone is the result of a write to the API server.
type WriteDone struct {
	Owner fact.Owner
	Key   writeKey
	Err   error
}

// carryOut starts the write of a want, unless it is under way.
func (c *Core) carryOut(owner fact.Owner, w compile.Want) {
	k := writeKey{sort: w.Sort(), target: w.Target()}
	if !c.begin(k, w) {
		return
	}
	switch w := w.(type) {
	case compile.Claim:
		c.claim(owner, w, k)
	case compile.Adopt:
		c.adopt(owner, w, k)
	default:
		c.cfg.Writer.Write(w, c.finish(owner, k))
	}
}

func (c *Core) begin(k writeKey, w compile.Want) bool {
	if _, busy := c.writing[k]; busy {
		return false
	}
	if _, announces := w.(compile.Annotate); announces && c.releasing(k.target) {
		return false
	}
	c.writing[k] = w
	return true
}

// claim assigns addresses and writes their record.
func (c *Core) claim(owner fact.Owner, w compile.Claim, k writeKey) {
	var ok bool
	if w.Allocation, ok = c.addresses.Claim(owner, w); !ok {
		delete(c.writing, k)
		return
	}
	c.cfg.Writer.Write(w, c.finish(owner, k))
}

// adopt completes a record with the addresses that it does not specify.
func (c *Core) adopt(owner fact.Owner, w compile.Adopt, k writeKey) {
	var ok bool
	if w.Allocation, ok = c.addresses.Complete(owner, w.Target()); !ok {
		delete(c.writing, k)
		return
	}
	c.cfg.Writer.Write(w, c.finish(owner, k))
}

func (c *Core) finish(owner fact.Owner, k writeKey) func(error) {
	return func(err error) { c.cfg.Deliver(WriteDone{Owner: owner, Key: k, Err: err}) }
}

// Written records the result of a write.
func (c *Core) Written(d WriteDone) {
	w := c.writing[d.Key]
	delete(c.writing, d.Key)
	if claim, ok := w.(compile.Claim); ok {
		c.addresses.ClaimEnded(claim)
	}
	s := c.state(d.Owner)
	if d.Err == nil {
		s.retryAt, s.attempts = time.Time{}, 0
		delete(c.retrying, d.Owner)
		c.problem(d.Owner, sourceWrite)
		c.toReconcile.add(d.Owner)
		return
	}
	s.attempts++
	s.retryAt = c.cfg.Now().Add(backoff(s.attempts))
	c.retrying[d.Owner] = struct{}{}
	c.problem(d.Owner, sourceWrite, model.Problem{Reason: model.ReasonWriteFailed, Message: d.Err.Error()})
}

// backoff doubles from 100 ms to 30 s.
func backoff(attempts int) time.Duration {
	const first, most = 100 * time.Millisecond, 30 * time.Second
	if attempts > 8 {
		return most
	}
	return first << (attempts - 1)
}

// releasing reports whether a record of a pod is being released. A recreated pod must not get that address: the record
// still exists, but not for long.
func (c *Core) releasing(of model.Ref) bool {
	if len(c.writing) == 0 || of.Kind != model.KindPod {
		return false
	}
	pod, ok := c.world.Pods.Get(world.KeyOf(of))
	if !ok {
		return false
	}
	return slices.ContainsFunc(pod.NICs, func(nic model.PodNIC) bool {
		ip := model.Ref{Kind: model.KindIP, Name: pod.PortName(nic.Provider)}
		_, busy := c.writing[writeKey{sort: compile.SortRelease, target: ip}]
		return busy
	})
}
