// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Apply applies the change of one object to the world, and queues the objects that read it.
func (c *Core) Apply(ch Change) error {
	woken, err := c.world.Apply(ch.Ref, ch.Object, ch.Object == nil && model.Fatal(ch.Problems))
	if err != nil {
		return fmt.Errorf("apply %s: %w", ch.Ref, err)
	}
	c.toCompile.add(woken...)
	c.cfg.Observer.Woken(ch.Ref.Kind, len(woken))
	generation := int64(0)
	if c.cfg.Writer.HasStatus(ch.Ref.Kind) {
		generation = ch.Generation
	}
	if s := c.owners[ch.Ref]; s != nil || len(ch.Problems) > 0 || generation != 0 {
		s = c.state(ch.Ref)
		s.input, s.generation = ch.Problems, generation
		c.toReconcile.add(ch.Ref)
	}
	return nil
}

// addressEvents handles the events of the address registry.
type addressEvents struct{ c *Core }

func (e addressEvents) Wake(owners ...model.Ref) { e.c.toCompile.add(owners...) }

func (e addressEvents) Retry(owner model.Ref) { e.c.toReconcile.add(owner) }

func (e addressEvents) Problem(of model.Ref, problems ...model.Problem) {
	e.c.problem(of, sourceAddress, problems...)
}

// FlushUsage reports the counters of the subnets that have changed, and of their pools.
func (c *Core) FlushUsage() {
	if !c.active {
		return
	}
	for _, u := range c.addresses.TakeUsage() {
		c.cfg.Writer.Usage(u)
	}
}

// flushUsageOf reports the counters that belong to the report of a Subnet or IPPool, so that both are in one write.
func (c *Core) flushUsageOf(ref model.Ref) {
	subnet := ref.Name
	if ref.Kind == model.KindIPPool {
		if pool, ok := c.world.IPPools.Get(world.Key{Name: ref.Name}); ok {
			subnet = pool.Subnet
		}
	} else if ref.Kind != model.KindSubnet {
		return
	}
	for _, u := range c.addresses.TakeUsageOf(subnet) {
		c.cfg.Writer.Usage(u)
	}
}
