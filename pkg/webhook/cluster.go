package webhook

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
)

// Cluster knows what a cluster has: it listens to what the engine is told. The
// projections are the engine's own; what is added is an index of the addresses in
// use. Its methods may be called from any goroutine.
type Cluster struct {
	defaultSubnet string
	apiServers    []netip.Addr

	mu         sync.RWMutex
	synced     bool
	subnets    table[model.Subnet]
	namespaces table[model.Namespace]
	vpcs       table[model.Vpc]
	pools      table[model.IPPool]
	nodes      table[model.Node]
	ips        map[string]table[model.IP] // by subnet and name
	subnetOf   map[string]string          // of the IP objects, by name
	holders    map[held]*model.IP
}

// held is an address or a MAC of a subnet.
type held struct {
	subnet string
	addr   netip.Addr
	mac    string
}

type table[T any] map[string]*T

var (
	_ model.Cluster = (*Cluster)(nil)
	_ kube.Listener = (*Cluster)(nil)
)

// NewCluster knows nothing yet. defaultSubnet is the name of the subnet of
// namespaces that are bound to no other, apiServers are the addresses of the API
// server.
func NewCluster(defaultSubnet string, apiServers []netip.Addr) *Cluster {
	return &Cluster{
		defaultSubnet: defaultSubnet, apiServers: apiServers,
		subnets: table[model.Subnet]{}, namespaces: table[model.Namespace]{}, vpcs: table[model.Vpc]{},
		pools: table[model.IPPool]{}, nodes: table[model.Node]{},
		ips: map[string]table[model.IP]{}, subnetOf: map[string]string{}, holders: map[held]*model.IP{},
	}
}

// Learn takes the projection of an object, nil if the object is gone.
func (c *Cluster) Learn(ref model.Ref, projection any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ref.Kind {
	case model.KindSubnet:
		set(c.subnets, ref.Name, projection)
	case model.KindNamespace:
		set(c.namespaces, ref.Name, projection)
	case model.KindVpc:
		set(c.vpcs, ref.Name, projection)
	case model.KindIPPool:
		set(c.pools, ref.Name, projection)
	case model.KindNode:
		set(c.nodes, ref.Name, projection)
	case model.KindIP:
		c.learnIP(ref.Name, projection)
	}
}

// Learned says that everything is known.
func (c *Cluster) Learned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = true
}

func set[T any](t table[T], name string, projection any) {
	if o, ok := projection.(*T); ok {
		t[name] = o
	} else {
		delete(t, name)
	}
}

// learnIP is called with the lock held.
func (c *Cluster) learnIP(name string, projection any) {
	if subnet, known := c.subnetOf[name]; known {
		before := c.ips[subnet][name]
		for _, h := range holdings(before) {
			if c.holders[h] == before {
				delete(c.holders, h)
			}
		}
		delete(c.ips[subnet], name)
		if len(c.ips[subnet]) == 0 {
			delete(c.ips, subnet)
		}
		delete(c.subnetOf, name)
	}
	ip, ok := projection.(*model.IP)
	if !ok {
		return
	}
	if c.ips[ip.Subnet] == nil {
		c.ips[ip.Subnet] = table[model.IP]{}
	}
	c.ips[ip.Subnet][name] = ip
	c.subnetOf[name] = ip.Subnet
	for _, h := range holdings(ip) {
		c.holders[h] = ip
	}
}

func holdings(ip *model.IP) []held {
	var out []held
	for _, addr := range model.Families(ip.Addrs) {
		out = append(out, held{subnet: ip.Subnet, addr: addr})
	}
	if ip.MAC != "" {
		out = append(out, held{subnet: ip.Subnet, mac: ip.MAC})
	}
	return out
}

// Known is the cluster once everything in it is known; nil before.
func (c *Cluster) Known() model.Cluster {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.synced {
		return nil
	}
	return c
}

// DefaultSubnet is what [NewCluster] was told.
func (c *Cluster) DefaultSubnet() string { return c.defaultSubnet }

// APIServers are what [NewCluster] was told.
func (c *Cluster) APIServers() []netip.Addr { return c.apiServers }

// Subnet finds a subnet.
func (c *Cluster) Subnet(name string) (*model.Subnet, bool) { return one(c, c.subnets, name) }

// Namespace finds a namespace.
func (c *Cluster) Namespace(name string) (*model.Namespace, bool) {
	return one(c, c.namespaces, name)
}

// Vpc finds a Vpc.
func (c *Cluster) Vpc(name string) (*model.Vpc, bool) { return one(c, c.vpcs, name) }

// IPPool finds a pool.
func (c *Cluster) IPPool(name string) (*model.IPPool, bool) { return one(c, c.pools, name) }

// Subnets lists all subnets by name.
func (c *Cluster) Subnets() []*model.Subnet { return all(c, c.subnets) }

// Vpcs lists all Vpcs by name.
func (c *Cluster) Vpcs() []*model.Vpc { return all(c, c.vpcs) }

// IPPools lists all pools by name.
func (c *Cluster) IPPools() []*model.IPPool { return all(c, c.pools) }

// Nodes lists all nodes by name.
func (c *Cluster) Nodes() []*model.Node { return all(c, c.nodes) }

// IPs lists the records of a subnet by name.
func (c *Cluster) IPs(subnet string) []*model.IP {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return sorted(c.ips[subnet])
}

// Holder finds who has an address of a subnet.
func (c *Cluster) Holder(subnet string, addr netip.Addr) (*model.IP, bool) {
	return one(c, c.holders, held{subnet: subnet, addr: addr})
}

// HolderOfMAC finds who has a MAC in a subnet.
func (c *Cluster) HolderOfMAC(subnet, mac string) (*model.IP, bool) {
	return one(c, c.holders, held{subnet: subnet, mac: mac})
}

func one[K comparable, T any, M ~map[K]*T](c *Cluster, m M, key K) (*T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	o, ok := m[key]
	return o, ok
}

func all[T any](c *Cluster, t table[T]) []*T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return sorted(t)
}

func sorted[T any](t table[T]) []*T {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	out := make([]*T, 0, len(t))
	for _, name := range names {
		out = append(out, t[name])
	}
	return out
}
