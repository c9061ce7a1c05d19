package engine

import (
	"fmt"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Apply takes news of one object into the world and wakes whom it concerns.
func (c *Core) Apply(ch Change) error {
	woken, err := c.world.Apply(ch.Ref, ch.Object, ch.Object == nil && model.Fatal(ch.Problems))
	if err != nil {
		return fmt.Errorf("apply %s: %w", ch.Ref, err)
	}
	c.toCompile.add(woken...)
	c.cfg.Observer.Woken(ch.Ref.Kind, len(woken))
	if s := c.owners[ch.Ref]; s != nil || len(ch.Problems) > 0 {
		c.state(ch.Ref).input = ch.Problems
		c.toSettle.add(ch.Ref)
	}
	return nil
}

// listen keeps the allocator as the objects say. The API server is the truth.
func (c *Core) listen() {
	c.world.Subnets.OnApply(func(key world.Key, _, _ *model.Subnet) []model.Ref {
		c.define(key.Name)
		return nil
	})
	c.world.IPPools.OnApply(c.applyIPPool)
	c.world.IPs.OnApply(c.applyIP)
	c.world.Pods.OnApply(func(key world.Key, _, _ *model.Pod) []model.Ref {
		c.reconsider(key.Ref(model.KindPod))
		return nil
	})
}

// applyIP keeps the allocator as the records say.
func (c *Core) applyIP(key world.Key, old, now *model.IP) (woken []model.Ref) {
	if old != nil {
		woken = append(woken, holder(old))
		c.usage[old.Subnet] = struct{}{}
	}
	if now == nil {
		c.problem(key.Ref(model.KindIP), sourceAddress)
		if old != nil {
			c.uncontest(old)
			c.lose(key.Name, holder(old))
		}
		return woken
	}
	if old != nil && (old.Subnet != now.Subnet || old.Addrs != now.Addrs || old.MAC != now.MAC) {
		c.uncontest(old)
		c.free(key.Name)
	}
	c.usage[now.Subnet] = struct{}{}
	woken = append(woken, c.hold(now)...)
	return append(woken, holder(now))
}

// holder is the object that uses a recorded address.
func holder(ip *model.IP) model.Ref {
	if ip.Namespace == "" {
		return model.Ref{Kind: model.KindNode, Name: ip.PodName}
	}
	if ip.PodType == model.PodTypeVirtualMachine {
		return model.Ref{Kind: model.KindVirtualMachine, Namespace: ip.Namespace, Name: ip.PodName}
	}
	return model.Ref{Kind: model.KindPod, Namespace: ip.Namespace, Name: ip.PodName}
}

// free gives an address back and wakes those that wait for one.
func (c *Core) free(ip string) {
	if a, ok := c.ipam.Release(ip); ok {
		c.usage[a.Subnet] = struct{}{}
		c.contest(a.Subnet)
		c.feed(a.Subnet)
	}
}

// feed looks again at the claims that found a subnet full.
func (c *Core) feed(subnet string) {
	for owner := range c.starving[subnet] {
		c.toSettle.add(owner)
	}
	delete(c.starving, subnet)
}
