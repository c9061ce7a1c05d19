// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/netip"
	"sync"

	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Cluster contains the objects of the cluster: it receives the same events as the engine, and shares its projections.
// It adds an index of the addresses in use. Its methods may be called from any goroutine.
type Cluster struct {
	placement      model.PlacementRules
	infrastructure model.InfrastructureConfig

	mu         sync.RWMutex
	synced     bool
	world      *world.World // with the tables below, and no others
	subnets    *world.Table[model.Subnet]
	namespaces *world.Table[model.Namespace]
	vpcs       *world.Table[model.Vpc]
	pools      *world.Table[model.IPPool]
	nodes      *world.Table[model.Node]
	ips        *world.Table[model.IP]
	services   *world.Table[model.ServiceCIDR]
	apiServers *world.Table[model.EndpointSlice] // of the Service kubernetes alone
	holders    map[held]*model.IP
}

// held is an address or a MAC of a subnet.
type held struct {
	subnet string
	addr   netip.Addr
	mac    string
}

const indexSubnet = "subnet" // IPs by their subnet

var (
	_ model.AdmissionView = (*Cluster)(nil)
	_ kube.Listener       = (*Cluster)(nil)
)

// NewCluster returns a Cluster without objects.
func NewCluster(placement model.PlacementRules, infrastructure model.InfrastructureConfig) *Cluster {
	w := world.Bare()
	c := &Cluster{
		placement: placement, infrastructure: infrastructure, world: w, holders: map[held]*model.IP{},
		subnets:    world.AddTable[model.Subnet](w, model.KindSubnet),
		namespaces: world.AddTable[model.Namespace](w, model.KindNamespace),
		vpcs:       world.AddTable[model.Vpc](w, model.KindVpc),
		pools:      world.AddTable[model.IPPool](w, model.KindIPPool),
		nodes:      world.AddTable[model.Node](w, model.KindNode),
		services:   world.AddTable[model.ServiceCIDR](w, model.KindServiceCIDR),
		apiServers: world.AddTable[model.EndpointSlice](w, model.KindEndpointSlice),
		ips: world.AddTable(w, model.KindIP, world.Index[model.IP]{Name: indexSubnet, Buckets: func(ip *model.IP) []world.Key {
			return []world.Key{{Name: ip.Subnet}}
		}}),
	}
	c.ips.OnApply(c.hold)
	return c
}

// Apply applies the projection of an object, nil if the object is deleted.
func (c *Cluster) Apply(ref model.Ref, projection any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slice, ok := projection.(*model.EndpointSlice); ok && (slice.Namespace != model.APIServerNamespace || slice.Service != model.APIServerService) {
		projection = nil // there are many, and the others are not needed
	}
	if _, needed := c.world.Table(ref.Kind); needed {
		_, _ = c.world.Apply(ref, projection, false) // it fails only where the engine fails, too, and logs it
	}
}

// Synced reports that all objects are known.
func (c *Cluster) Synced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = true
}

// hold updates the index of the addresses in use. The caller holds the lock.
func (c *Cluster) hold(_ world.Key, before, now *model.IP) []model.Ref {
	for _, h := range holdings(before) {
		if c.holders[h] == before {
			delete(c.holders, h)
		}
	}
	for _, h := range holdings(now) {
		c.holders[h] = now
	}
	return nil
}

func holdings(ip *model.IP) []held {
	if ip == nil {
		return nil
	}
	var out []held
	for _, addr := range model.Families(ip.Addrs) {
		out = append(out, held{subnet: ip.Subnet, addr: addr})
	}
	if ip.MAC != "" {
		out = append(out, held{subnet: ip.Subnet, mac: ip.MAC})
	}
	return out
}

// Known returns the cluster once all its objects are known; nil before.
func (c *Cluster) Known() model.AdmissionView {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.synced {
		return nil
	}
	return c
}

// Placement is the argument of [NewCluster].
func (c *Cluster) Placement() model.PlacementRules { return c.placement }

// Infrastructure holds the addresses that no Subnet may have.
func (c *Cluster) Infrastructure() model.Infrastructure {
	var nodes model.Prefixes
	if s, ok := c.Subnet(c.infrastructure.NodeSubnet); ok {
		nodes = s.CIDR
	}
	return c.infrastructure.With(list(c, c.services), nodes, list(c, c.apiServers))
}

// Subnet returns a subnet.
func (c *Cluster) Subnet(name string) (*model.Subnet, bool) { return get(c, c.subnets, name) }

// Namespace returns a namespace.
func (c *Cluster) Namespace(name string) (*model.Namespace, bool) { return get(c, c.namespaces, name) }

// Vpc returns a Vpc.
func (c *Cluster) Vpc(name string) (*model.Vpc, bool) { return get(c, c.vpcs, name) }

// IPPool returns an IPPool.
func (c *Cluster) IPPool(name string) (*model.IPPool, bool) { return get(c, c.pools, name) }

// Subnets lists all subnets by name.
func (c *Cluster) Subnets() []*model.Subnet { return list(c, c.subnets) }

// Vpcs lists all Vpcs by name.
func (c *Cluster) Vpcs() []*model.Vpc { return list(c, c.vpcs) }

// IPPools lists all IPPools by name.
func (c *Cluster) IPPools() []*model.IPPool { return list(c, c.pools) }

// Nodes lists all nodes by name.
func (c *Cluster) Nodes() []*model.Node { return list(c, c.nodes) }

// IPs lists the IP objects of a subnet by name.
func (c *Cluster) IPs(subnet string) []*model.IP {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ips.Bucket(indexSubnet, world.Key{Name: subnet})
}

// Holder returns the IP object that has an address of a subnet.
func (c *Cluster) Holder(subnet string, addr netip.Addr) (*model.IP, bool) {
	return c.holder(held{subnet: subnet, addr: addr})
}

// HolderOfMAC returns the IP object that has a MAC in a subnet.
func (c *Cluster) HolderOfMAC(subnet, mac string) (*model.IP, bool) {
	return c.holder(held{subnet: subnet, mac: mac})
}

func (c *Cluster) holder(h held) (*model.IP, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ip, ok := c.holders[h]
	return ip, ok
}

func get[T any](c *Cluster, t *world.Table[T], name string) (*T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return t.Get(world.Key{Name: name})
}

func list[T any](c *Cluster, t *world.Table[T]) []*T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return t.List()
}
