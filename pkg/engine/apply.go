package engine

import (
	"fmt"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Apply takes news of one object into the world and wakes whom it concerns.
func (c *Core) Apply(ch Change) error {
	woken, err := c.apply(ch)
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

func (c *Core) apply(ch Change) ([]model.Ref, error) {
	invalid := ch.Object == nil && fatal(ch.Problems)
	switch ch.Ref.Kind {
	case model.KindVpc:
		return store(c.world.Vpcs, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	case model.KindNode:
		return store(c.world.Nodes, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	case model.KindNamespace:
		return store(c.world.Namespaces, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	case model.KindPod:
		woken, err := store(c.world.Pods, ch.Ref, world.PodKey(ch.Ref.Namespace, ch.Ref.Name), ch.Object, invalid)
		c.reconsider(ch.Ref)
		return woken, err
	case model.KindStatefulSet:
		return store(c.world.StatefulSets, ch.Ref, world.PodKey(ch.Ref.Namespace, ch.Ref.Name), ch.Object, invalid)
	case model.KindVirtualMachine:
		return store(c.world.VirtualMachines, ch.Ref, world.PodKey(ch.Ref.Namespace, ch.Ref.Name), ch.Object, invalid)
	case model.KindService:
		return store(c.world.Services, ch.Ref, world.PodKey(ch.Ref.Namespace, ch.Ref.Name), ch.Object, invalid)
	case model.KindEndpointSlice:
		return store(c.world.EndpointSlices, ch.Ref, world.PodKey(ch.Ref.Namespace, ch.Ref.Name), ch.Object, invalid)
	case model.KindDefinition:
		return store(c.world.Definitions, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	case model.KindHeartbeat:
		return store(c.world.Heartbeats, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	case model.KindNetworkPolicy, model.KindAdminNetworkPolicy, model.KindBaselineAdminNetworkPolicy, model.KindClusterNetworkPolicy:
		return store(c.world.Policies[ch.Ref.Kind], ch.Ref, world.ObjectKey(ch.Ref), ch.Object, invalid)
	default:
		return c.applyAddresses(ch, invalid)
	}
}

// applyAddresses takes in what the allocator knows of, too.
func (c *Core) applyAddresses(ch Change, invalid bool) ([]model.Ref, error) {
	switch ch.Ref.Kind {
	case model.KindSubnet:
		return c.applySubnet(ch, invalid)
	case model.KindIPPool:
		return c.applyIPPool(ch, invalid)
	case model.KindIP:
		return c.applyIP(ch, invalid)
	default:
		return nil, fmt.Errorf("unknown kind %q", ch.Ref.Kind)
	}
}

// store puts an object into its table. A change wakes the readers, and the
// object's own owner, which has read nothing before it is compiled for the first time.
func store[T any](t *world.Table[T], ref model.Ref, key string, object any, invalid bool) ([]model.Ref, error) {
	var woken []model.Ref
	switch o, ok := object.(*T); {
	case invalid:
		woken = t.Invalidate(key)
		return append(woken, ref), nil
	case object == nil:
		woken = t.Delete(key)
	case !ok:
		return nil, fmt.Errorf("%T is not a projection of this kind", object)
	default:
		old, had := t.Get(key)
		if had && !t.Invalid(key) && model.Equal(*old, *o) {
			return nil, nil
		}
		woken = t.Set(key, o)
	}
	return append(woken, ref), nil
}

// applySubnet keeps the allocator's ranges as the subnet says.
func (c *Core) applySubnet(ch Change, invalid bool) ([]model.Ref, error) {
	woken, err := store(c.world.Subnets, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	if err != nil || invalid || len(woken) == 0 {
		return woken, err
	}
	c.define(ch.Ref.Name)
	return woken, nil
}

// applyIP keeps the allocator as the records say: the API server is the truth.
func (c *Core) applyIP(ch Change, invalid bool) ([]model.Ref, error) {
	old, had := c.world.IPs.Get(ch.Ref.Name)
	woken, err := store(c.world.IPs, ch.Ref, ch.Ref.Name, ch.Object, invalid)
	if err != nil || len(woken) == 0 {
		return nil, err
	}
	if had {
		woken = append(woken, holder(old))
		c.usage[old.Subnet] = struct{}{}
	}
	now, ok := c.world.IPs.Get(ch.Ref.Name)
	if !ok {
		c.problem(ch.Ref, sourceAddress)
		if had {
			c.uncontest(old)
			c.lose(ch.Ref.Name, holder(old))
		}
		return woken, nil
	}
	if had && (old.Subnet != now.Subnet || old.Addrs != now.Addrs || old.MAC != now.MAC) {
		c.uncontest(old)
		c.free(ch.Ref.Name)
	}
	c.usage[now.Subnet] = struct{}{}
	woken = append(woken, c.hold(now)...)
	return append(woken, holder(now)), nil
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
