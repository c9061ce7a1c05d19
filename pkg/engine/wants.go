package engine

import (
	"errors"
	"strings"
	"time"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ipam"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// writeKey is what a write is about: two writes of one sort to one object are
// never under way at once.
type writeKey struct {
	sort   compile.Sort
	target model.Ref
}

// WriteDone is the end of a write at the API server.
type WriteDone struct {
	Owner fact.Owner
	Key   writeKey
	Err   error
}

// carryOut starts the write that a want stands for, unless it is under way.
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
	if _, announces := w.(compile.Annotate); announces && c.onItsWayOut(k.target) {
		return false
	}
	c.writing[k] = w
	return true
}

// claim chooses an address and has it recorded.
func (c *Core) claim(owner fact.Owner, w compile.Claim, k writeKey) {
	allocation, err := c.choose(w)
	if err != nil {
		delete(c.writing, k)
		for _, subnet := range w.Subnets {
			c.starve(owner, subnet)
		}
		c.problem(owner, sourceAddress, model.Problem{Reason: model.ReasonAcquireAddressFailed, Message: describe(w.For) + ": " + err.Error()})
		return
	}
	c.problem(owner, sourceAddress)
	c.usage[allocation.Subnet] = struct{}{}
	w.Allocation = allocation
	c.cfg.Writer.Write(w, c.finish(owner, k))
}

// adopt chooses what a record leaves open, and has it written.
func (c *Core) adopt(owner fact.Owner, w compile.Adopt, k writeKey) {
	allocation, err := c.ipam.Complete(w.IP)
	if err != nil {
		delete(c.writing, k)
		if ip, ok := c.world.IPs.Get(world.Key{Name: w.IP}); ok {
			c.starve(owner, ip.Subnet)
		}
		c.problem(owner, sourceAddress, model.Problem{Reason: model.ReasonAcquireAddressFailed, Message: "IP " + w.IP + ": " + err.Error()})
		return
	}
	c.problem(owner, sourceAddress)
	w.Allocation = allocation
	c.cfg.Writer.Write(w, c.finish(owner, k))
}

// starve makes an owner look again when an address of the subnet is free.
func (c *Core) starve(owner fact.Owner, subnet string) {
	if c.starving[subnet] == nil {
		c.starving[subnet] = map[fact.Owner]struct{}{}
	}
	c.starving[subnet][owner] = struct{}{}
}

// choose tries the subnets in order of preference; the next one only if one is
// full or not there.
func (c *Core) choose(w compile.Claim) (ipam.Allocation, error) {
	var all error
	for i, subnet := range w.Subnets {
		request := w.Request
		if len(w.Pools) > 0 {
			request.Pool = w.Pools[i]
		}
		a, err := c.ipam.Claim(subnet, request)
		if err == nil {
			return a, nil
		}
		var held *ipam.HeldError
		if errors.As(err, &held) { // of an earlier wish that was not written
			if _, recorded := c.world.IPs.Get(world.Key{Name: w.IP}); !recorded {
				c.free(w.IP)
				a, err = c.ipam.Claim(subnet, request)
			}
		}
		if err == nil {
			return a, nil
		}
		all = errors.Join(all, err)
	}
	return ipam.Allocation{}, all
}

func (c *Core) finish(owner fact.Owner, k writeKey) func(error) {
	return func(err error) { c.cfg.Deliver(WriteDone{Owner: owner, Key: k, Err: err}) }
}

// Written takes in the end of a write.
func (c *Core) Written(d WriteDone) {
	w := c.writing[d.Key]
	delete(c.writing, d.Key)
	if claim, ok := w.(compile.Claim); ok {
		if _, recorded := c.world.IPs.Get(world.Key{Name: claim.IP}); !recorded {
			c.lose(claim.IP, claim.For)
		}
	}
	s := c.state(d.Owner)
	if d.Err == nil {
		s.retryAt, s.attempts = time.Time{}, 0
		delete(c.retrying, d.Owner)
		c.problem(d.Owner, sourceWrite)
		c.toSettle.add(d.Owner)
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

// describe names an object as kubectl users do: "pod default/web-0".
func describe(ref model.Ref) string {
	name := ref.Name
	if ref.Namespace != "" {
		name = ref.Namespace + "/" + name
	}
	return strings.ToLower(string(ref.Kind)) + " " + name
}
