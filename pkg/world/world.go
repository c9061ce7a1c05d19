// SPDX-License-Identifier: Apache-2.0

// Package world contains the projected objects of the cluster in typed tables.
//
// A compile function reads them through a [View], which records each read: a key, a facet of an object or a bucket of
// an index. When an object changes, [World] returns the owners to compile again. The package is not safe for concurrent
// use: one goroutine owns a World.
package world

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// World is the only input of compile functions.
type World struct {
	Vpcs       *Table[model.Vpc]
	Subnets    *Table[model.Subnet]
	Nodes      *Table[model.Node]
	Namespaces *Table[model.Namespace]
	Pods       *Table[model.Pod]
	IPs        *Table[model.IP]
	// StatefulSets are read for records whose pod is deleted.
	StatefulSets    *Table[model.StatefulSet]
	IPPools         *Table[model.IPPool]
	VirtualMachines *Table[model.VirtualMachine]
	Services        *Table[model.Service]
	EndpointSlices  *Table[model.EndpointSlice]
	ServiceCIDRs    *Table[model.ServiceCIDR]
	// Definitions are the CustomResourceDefinitions of optional kinds.
	Definitions *Table[model.Definition]
	// Heartbeats have the names of their nodes.
	Heartbeats *Table[model.Heartbeat]

	// Policies has a table for each of [model.PolicyKinds].
	Policies map[model.Kind]*Table[model.Policy]

	tables       map[model.Kind]AnyTable
	readers      readers
	scratch      []dep                   // memory for the reads of the next view
	contested    map[model.Ref]string    // by record, why it does not have its addresses
	kept         map[model.Ref]*model.IP // by missing record
	selection    *selection
	nodePrefixes *nodePrefixes
	groups       *groups
	exceptions   *exceptions
	timed        *anyService
	local        *anyService
	podVpcs      *podVpcs
}

// Names of the indexes and facets.
const (
	indexAll        = "all"        // every object of the kind
	indexVpc        = "vpc"        // subnets by their Vpc
	indexTable      = "table"      // subnets by the routing table that they use on nodes
	indexPort       = "port"       // subnets by the plain names of their router port and switch port
	indexNamespace  = "namespace"  // subnets, Vpcs and IPPools by the namespaces of their spec
	indexSubnet     = "subnet"     // IPs and IPPools by their subnet
	indexAddressSet = "addressset" // IPPools by the names of their address sets
	indexPod        = "pod"        // IPs by their pod
	indexVM         = "vm"         // pods by the VM that they run
	indexService    = "service"    // EndpointSlices by their Service
	indexAddress    = "address"    // Nodes and Services by their addresses
	indexChassis    = "chassis"    // Nodes by their chassis
	facetExistence  = "existence"  // of a Vpc: whether there is one
	facetNetwork    = "network"    // of a subnet: what its pods depend on
	facetPlacement  = "placement"  // of a subnet: which namespaces may name it
	facetSwitches   = "switches"   // of a namespace: the subnets that a user chose for it
	facetSecurity   = "security"   // of a namespace: its port security
)

// Bare returns a world without tables, for callers that need few kinds and no view; see [AddTable].
func Bare() *World {
	return &World{readers: newReaders(), tables: map[model.Kind]AnyTable{}, contested: map[model.Ref]string{}, kept: map[model.Ref]*model.IP{}}
}

// New returns an empty world with a table of every kind.
func New() *World {
	w := Bare()
	w.Vpcs = AddTable(w, model.KindVpc,
		Index[model.Vpc]{indexNamespace, func(o *model.Vpc) []Key { return named(o.Namespaces) }})
	w.Vpcs.facets = []facet[model.Vpc]{{facetExistence, func(*model.Vpc) any { return true }}}
	w.Subnets = AddTable(w, model.KindSubnet,
		Index[model.Subnet]{indexAll, everything[model.Subnet]},
		Index[model.Subnet]{indexVpc, func(s *model.Subnet) []Key { return []Key{{Name: s.Vpc}} }},
		Index[model.Subnet]{indexTable, func(s *model.Subnet) []Key { return routingTables(s.Gateways.Table) }},
		Index[model.Subnet]{indexNamespace, func(s *model.Subnet) []Key { return named(s.Namespaces) }},
		Index[model.Subnet]{indexPort, portNames},
	)
	w.Subnets.facets = []facet[model.Subnet]{
		{facetNetwork, func(s *model.Subnet) any { return s.Network() }},
		{facetPlacement, func(s *model.Subnet) any { return s.Placement() }},
	}
	w.Nodes = AddTable(w, model.KindNode,
		Index[model.Node]{indexAll, everything[model.Node]},
		Index[model.Node]{indexAddress, func(o *model.Node) []Key { return addressed(o.Addresses) }},
		Index[model.Node]{indexChassis, func(o *model.Node) []Key { return sibling("", o.Chassis) }},
	)
	w.Namespaces = AddTable[model.Namespace](w, model.KindNamespace)
	w.Namespaces.facets = []facet[model.Namespace]{
		{facetSwitches, func(n *model.Namespace) any { return n.LogicalSwitches }},
		{facetSecurity, func(n *model.Namespace) any { return n.PortSecurity }},
	}
	w.Pods = AddTable(w, model.KindPod, Index[model.Pod]{indexVM, func(o *model.Pod) []Key { return sibling(o.Namespace, o.VM) }})
	w.StatefulSets = AddTable[model.StatefulSet](w, model.KindStatefulSet)
	w.VirtualMachines = AddTable[model.VirtualMachine](w, model.KindVirtualMachine)
	w.Services = AddTable(w, model.KindService,
		Index[model.Service]{indexAddress, func(o *model.Service) []Key { return addressed(o.Addresses()) }})
	w.ServiceCIDRs = AddTable(w, model.KindServiceCIDR, Index[model.ServiceCIDR]{indexAll, everything[model.ServiceCIDR]})
	w.EndpointSlices = AddTable(w, model.KindEndpointSlice,
		Index[model.EndpointSlice]{indexService, func(o *model.EndpointSlice) []Key { return sibling(o.Namespace, o.Service) }})
	w.Definitions = AddTable[model.Definition](w, model.KindDefinition)
	w.Heartbeats = AddTable[model.Heartbeat](w, model.KindHeartbeat)
	w.IPPools = AddTable(w, model.KindIPPool,
		Index[model.IPPool]{indexSubnet, func(o *model.IPPool) []Key { return []Key{{Name: o.Subnet}} }},
		Index[model.IPPool]{indexNamespace, func(o *model.IPPool) []Key { return named(o.Namespaces) }},
		Index[model.IPPool]{indexAddressSet, func(o *model.IPPool) []Key { return named(o.SetNames()) }},
	)
	w.IPs = AddTable(w, model.KindIP,
		Index[model.IP]{indexSubnet, func(o *model.IP) []Key { return []Key{{Name: o.Subnet}} }},
		Index[model.IP]{indexPod, func(o *model.IP) []Key { return []Key{{o.Namespace, o.PodName}} }},
	)
	w.Policies = map[model.Kind]*Table[model.Policy]{}
	for _, kind := range model.PolicyKinds() {
		w.Policies[kind] = AddTable[model.Policy](w, kind)
	}
	for _, kind := range model.UnsupportedKinds() {
		AddTable[model.Unsupported](w, kind.Name)
	}
	w.selection, w.nodePrefixes, w.groups = newSelection(w), newNodePrefixes(w), newGroups(w)
	w.exceptions = newExceptions(w)
	w.podVpcs = newPodVpcs(w)
	w.timed = newAnyService(w, indexTimed, func(s *model.Service) bool { return s.Remembered() > 0 })
	w.local = newAnyService(w, indexLocal, func(s *model.Service) bool { return s.External.Local })
	return w
}

func everything[T any](*T) []Key { return []Key{{}} }

func routingTables(id uint32) []Key {
	if id == 0 {
		return nil
	}
	return []Key{routingTable(id)}
}

// named are the buckets of cluster-scoped objects, and of other plain names.
func named(names []string) []Key {
	if len(names) == 0 {
		return nil
	}
	keys := make([]Key, len(names))
	for i, name := range names {
		keys[i].Name = name
	}
	return keys
}

// sibling is the bucket of an object in the same namespace; none without a name.
func sibling(namespace, name string) []Key {
	if name == "" {
		return nil
	}
	return []Key{{namespace, name}}
}

// addressed are the buckets of addresses.
func addressed(addresses []netip.Addr) []Key {
	keys := make([]Key, len(addresses))
	for i, a := range addresses {
		keys[i].Name = a.String()
	}
	return keys
}

func routingTable(table uint32) Key { return Key{Name: strconv.FormatUint(uint64(table), 10)} }

// Table returns the table of a kind.
func (w *World) Table(kind model.Kind) (AnyTable, bool) {
	t, ok := w.tables[kind]
	return t, ok
}

// Apply applies an event of one object: its projection, nil if the object is deleted. invalid means that the object
// exists in an invalid state. Apply returns the owners that this wakes, including the object itself unless its
// projection is unchanged. It fails for a kind that has no table, and for a projection of another kind.
func (w *World) Apply(ref model.Ref, object any, invalid bool) ([]model.Ref, error) {
	t, ok := w.tables[ref.Kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind %q", ref.Kind)
	}
	return t.Apply(KeyOf(ref), object, invalid)
}

// Meta returns the metadata of an object, see [AnyTable]. An object of a kind that has no table does not exist.
func (w *World) Meta(ref model.Ref) (model.Meta, bool) {
	if t, ok := w.tables[ref.Kind]; ok {
		return t.Meta(KeyOf(ref))
	}
	return model.Meta{}, false
}

// Refs lists the objects of a kind, valid or not, by namespace and name.
func (w *World) Refs(kind model.Kind) []model.Ref {
	t, ok := w.tables[kind]
	if !ok {
		return nil
	}
	refs := make([]model.Ref, 0, t.Len())
	for key := range t.Keys() {
		refs = append(refs, key.Ref(kind))
	}
	slices.SortFunc(refs, model.Ref.Compare)
	return refs
}

// View records the reads of one owner. Its zero value is not usable; see [World.Read].
type View struct {
	w       *World
	reads   []dep
	invalid []model.Ref
}

// Read calls fn with a view, and replaces the recorded reads of owner by those of fn. It returns the objects read that
// exist but have never been valid: an owner that depends on one cannot be compiled.
func (w *World) Read(owner model.Ref, fn func(*View)) (invalid []model.Ref) {
	v := View{w: w, reads: w.scratch[:0]}
	fn(&v)
	w.readers.set(owner, v.reads)
	w.scratch = v.reads
	return v.invalid
}

// Forget removes the reads of a deleted owner.
func (w *World) Forget(owner model.Ref) { w.readers.set(owner, nil) }

// Readers is the number of owners with at least one read.
func (w *World) Readers() int { return len(w.readers.byOwner) }

// Read reads an object of any kind; T is the projection of that kind. For a kind without a table it returns false.
func Read[T any](v *View, ref model.Ref) (*T, bool) {
	if t, ok := v.w.tables[ref.Kind].(*Table[T]); ok {
		return t.Read(v, KeyOf(ref))
	}
	return nil, false
}

// Vpc reads a Vpc.
func (v *View) Vpc(name string) (*model.Vpc, bool) { return v.w.Vpcs.Read(v, Key{Name: name}) }

// HasVpc reads whether there is a Vpc of this name, valid or not.
func (v *View) HasVpc(name string) bool {
	v.reads = append(v.reads, v.w.readers.dep(model.KindVpc, facetExistence, Key{Name: name}))
	_, ok := v.w.Vpcs.Meta(Key{Name: name})
	return ok
}

// Subnet reads a whole Subnet: any change of its projection wakes the reader.
func (v *View) Subnet(name string) (*model.Subnet, bool) { return v.w.Subnets.Read(v, Key{Name: name}) }

// readFacet reads a part of an object: the reader of the view is woken when that part changes. The name is that of the
// facet in the table.
func readFacet[T, F any](v *View, t *Table[T], name string, key Key, part func(*T) F) (f F, ok bool) {
	v.reads = append(v.reads, t.readers.dep(t.kind, name, key))
	o, ok := t.read(v, key)
	if !ok {
		return f, false
	}
	return part(o), true
}

// SubnetNetwork reads the facet of a Subnet that its pods depend on.
func (v *View) SubnetNetwork(name string) (model.SubnetNetwork, bool) {
	return readFacet(v, v.w.Subnets, facetNetwork, Key{Name: name}, (*model.Subnet).Network)
}

// SubnetCIDR reads the addresses of a Subnet. An owner that reads them does not wait for an invalid Subnet.
func (v *View) SubnetCIDR(name string) model.Prefixes {
	v.reads = append(v.reads, v.w.readers.dep(model.KindSubnet, facetNetwork, Key{Name: name}))
	if s, ok := v.w.Subnets.Get(Key{Name: name}); ok {
		return s.CIDR
	}
	return model.Prefixes{}
}

// Placement reads which namespaces' pods may name a Subnet.
func (v *View) Placement(subnet string) (model.Placement, bool) {
	return readFacet(v, v.w.Subnets, facetPlacement, Key{Name: subnet}, (*model.Subnet).Placement)
}

// SubnetsOfVpc lists the subnets of a Vpc by name.
func (v *View) SubnetsOfVpc(vpc string) []*model.Subnet {
	return v.w.Subnets.ReadBucket(v, indexVpc, Key{Name: vpc})
}

// SubnetsOfTable lists the subnets that use a routing table on the nodes, by name.
func (v *View) SubnetsOfTable(table uint32) []*model.Subnet {
	return v.w.Subnets.ReadBucket(v, indexTable, routingTable(table))
}

// SubnetsOfNamespace lists the subnets whose spec.namespaces has this namespace, or whose namespaceSelectors select it,
// by name.
func (v *View) SubnetsOfNamespace(namespace string) []*model.Subnet {
	out := v.w.Subnets.ReadBucket(v, indexNamespace, Key{Name: namespace})
	v.reads = append(v.reads, v.w.readers.dep(model.KindSubnet, indexSelected, Key{Name: namespace}))
	for _, name := range v.w.selection.subnets(namespace) {
		if s, ok := v.w.Subnets.read(v, Key{Name: name}); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *model.Subnet) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(out)
}

// SubnetsOfPort lists the subnets whose router port or switch port has a name, if nothing else has it, by name.
func (v *View) SubnetsOfPort(name string) []*model.Subnet {
	return v.w.Subnets.ReadBucket(v, indexPort, Key{Name: name})
}

func portNames(s *model.Subnet) []Key {
	if s.Vpc == "" {
		return nil
	}
	return named([]string{model.RouterPort(s.Vpc, s.Name), model.SwitchPort(s.Vpc, s.Name)})
}

// VpcsOfNamespace lists the Vpcs whose spec.namespaces has this namespace, by name.
func (v *View) VpcsOfNamespace(namespace string) []*model.Vpc {
	return v.w.Vpcs.ReadBucket(v, indexNamespace, Key{Name: namespace})
}

// IPsOfPod lists the IP objects of a pod, one for each of its NICs, by name.
func (v *View) IPsOfPod(namespace, name string) []*model.IP {
	return v.w.IPs.ReadBucket(v, indexPod, Key{namespace, name})
}

// IPsOfSubnet lists the IP objects of a subnet by name. There are as many as pods, so only a subnet that is being
// deleted may read it.
func (v *View) IPsOfSubnet(subnet string) []*model.IP {
	return v.w.IPs.ReadBucket(v, indexSubnet, Key{Name: subnet})
}

// Nodes lists all nodes by name. Only kinds with few objects may read it.
func (v *View) Nodes() []*model.Node { return v.w.Nodes.ReadBucket(v, indexAll, Key{}) }

// NodesAt lists the nodes with an address in their status, by name.
func (v *View) NodesAt(a netip.Addr) []*model.Node {
	return v.w.Nodes.ReadBucket(v, indexAddress, Key{Name: a.String()})
}

// NodesOfChassis lists the nodes that name a chassis, by name.
func (v *View) NodesOfChassis(chassis string) []*model.Node {
	return v.w.Nodes.ReadBucket(v, indexChassis, Key{Name: chassis})
}

// Node reads a node.
func (v *View) Node(name string) (*model.Node, bool) { return v.w.Nodes.Read(v, Key{Name: name}) }

// Heartbeat reads the heartbeat of a gateway node.
func (v *View) Heartbeat(node string) (*model.Heartbeat, bool) {
	return v.w.Heartbeats.Read(v, Key{Name: node})
}

// Namespace reads a namespace.
func (v *View) Namespace(name string) (*model.Namespace, bool) {
	return v.w.Namespaces.Read(v, Key{Name: name})
}

// LogicalSwitches reads the subnets that a user chose for a namespace.
func (v *View) LogicalSwitches(namespace string) ([]string, bool) {
	return readFacet(v, v.w.Namespaces, facetSwitches, Key{Name: namespace}, func(n *model.Namespace) []string { return n.LogicalSwitches })
}

// PortSecurityOfNamespace reads the port security that a namespace sets for its pods.
func (v *View) PortSecurityOfNamespace(namespace string) model.PortSecurity {
	s, _ := readFacet(v, v.w.Namespaces, facetSecurity, Key{Name: namespace}, func(n *model.Namespace) model.PortSecurity { return n.PortSecurity })
	return s
}

// Pod reads a pod.
func (v *View) Pod(namespace, name string) (*model.Pod, bool) {
	return v.w.Pods.Read(v, Key{namespace, name})
}

// PodsOfVM lists the pods that run a VM, by name.
func (v *View) PodsOfVM(namespace, vm string) []*model.Pod {
	return v.w.Pods.ReadBucket(v, indexVM, Key{namespace, vm})
}

// VirtualMachine reads a KubeVirt VM.
func (v *View) VirtualMachine(namespace, name string) (*model.VirtualMachine, bool) {
	return v.w.VirtualMachines.Read(v, Key{namespace, name})
}

// Definition reads the definition of an optional kind.
func (v *View) Definition(name string) (*model.Definition, bool) {
	return v.w.Definitions.Read(v, Key{Name: name})
}

// StatefulSet reads a StatefulSet.
func (v *View) StatefulSet(namespace, name string) (*model.StatefulSet, bool) {
	return v.w.StatefulSets.Read(v, Key{namespace, name})
}

// Service reads a Service.
func (v *View) Service(namespace, name string) (*model.Service, bool) {
	return v.w.Services.Read(v, Key{namespace, name})
}

// ServicesAt lists the Services with an address, a ClusterIP or an external one, by namespace and name.
func (v *View) ServicesAt(a netip.Addr) []*model.Service {
	return v.w.Services.ReadBucket(v, indexAddress, Key{Name: a.String()})
}

// ServiceCIDRs lists all ServiceCIDRs by name.
func (v *View) ServiceCIDRs() []*model.ServiceCIDR {
	return v.w.ServiceCIDRs.ReadBucket(v, indexAll, Key{})
}

// EndpointSlicesOfService lists the EndpointSlices of a Service, by name.
func (v *View) EndpointSlicesOfService(namespace, service string) []*model.EndpointSlice {
	return v.w.EndpointSlices.ReadBucket(v, indexService, Key{namespace, service})
}

// Policy reads a policy of any kind.
func (v *View) Policy(ref model.Ref) (*model.Policy, bool) {
	return v.w.Policies[ref.Kind].Read(v, KeyOf(ref))
}

// IPPool reads an IPPool.
func (v *View) IPPool(name string) (*model.IPPool, bool) { return v.w.IPPools.Read(v, Key{Name: name}) }

// IPPoolsOfSubnet lists the IPPools of a subnet by name.
func (v *View) IPPoolsOfSubnet(subnet string) []*model.IPPool {
	return v.w.IPPools.ReadBucket(v, indexSubnet, Key{Name: subnet})
}

// IPPoolsOfNamespace lists the IPPools whose spec.namespaces has this namespace, by name.
func (v *View) IPPoolsOfNamespace(namespace string) []*model.IPPool {
	return v.w.IPPools.ReadBucket(v, indexNamespace, Key{Name: namespace})
}

// IPPoolsOfAddressSet lists the IPPools with an address set of this name, by name.
func (v *View) IPPoolsOfAddressSet(name string) []*model.IPPool {
	return v.w.IPPools.ReadBucket(v, indexAddressSet, Key{Name: name})
}

// IP reads an IP object.
func (v *View) IP(name string) (*model.IP, bool) { return v.w.IPs.Read(v, Key{Name: name}) }

func sortedUnique(refs []model.Ref) []model.Ref {
	slices.SortFunc(refs, model.Ref.Compare)
	return slices.Compact(refs)
}
