// Package world holds the projected objects of the cluster in typed tables.
//
// A compile function reads them through a [View], which records what was read:
// a key, a facet of an object or a bucket of an index. When something that was
// read changes, [World] says whom that wakes. The package is not safe for
// concurrent use: one goroutine owns a World.
package world

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wovensdn/woven/pkg/model"
)

// World is all that compile functions may read.
type World struct {
	Vpcs       *Table[model.Vpc]
	Subnets    *Table[model.Subnet]
	Nodes      *Table[model.Node]
	Namespaces *Table[model.Namespace]
	Pods       *Table[model.Pod]
	IPs        *Table[model.IP]
	// StatefulSets are read where a pod is gone and its record is not.
	StatefulSets    *Table[model.StatefulSet]
	IPPools         *Table[model.IPPool]
	VirtualMachines *Table[model.VirtualMachine]
	Services        *Table[model.Service]
	EndpointSlices  *Table[model.EndpointSlice]
	// Definitions are those of optional kinds.
	Definitions *Table[model.Definition]
	// Heartbeats are keyed by the names of nodes.
	Heartbeats *Table[model.Heartbeat]

	// Policies holds a table for each of [model.PolicyKinds].
	Policies map[model.Kind]*Table[model.Policy]

	readers   readers
	selection *selection
	within    *within
	groups    *groups
	timed     *anyService
	local     *anyService
	podVpcs   *podVpcs
}

// Names of the indexes and facets.
const (
	indexAll        = "all"        // every object of the kind
	indexVpc        = "vpc"        // subnets by their Vpc
	indexTable      = "table"      // subnets by the routing table that they use on nodes
	indexNamespace  = "namespace"  // subnets, Vpcs and IPPools by the namespaces of their spec
	indexSubnet     = "subnet"     // IPs and IPPools by their subnet
	indexAddressSet = "addressset" // IPPools by the names of their address sets
	indexPod        = "pod"        // IPs by their pod
	indexVM         = "vm"         // pods by the VM that they run
	indexService    = "service"    // EndpointSlices by their Service
	facetNetwork    = "network"    // of a subnet: what its pods must know
	facetSwitches   = "switches"   // of a namespace: the subnets that a user chose for it
)

// New makes an empty world.
func New() *World {
	w := &World{readers: newReaders()}
	w.Vpcs = newTable(model.KindVpc, &w.readers,
		index[model.Vpc]{indexNamespace, func(o *model.Vpc) []string { return o.Namespaces }})
	w.Subnets = newTable(model.KindSubnet, &w.readers,
		index[model.Subnet]{indexAll, everything[model.Subnet]},
		index[model.Subnet]{indexVpc, func(s *model.Subnet) []string { return []string{s.Vpc} }},
		index[model.Subnet]{indexTable, func(s *model.Subnet) []string {
			if s.Gateways.Table == 0 {
				return nil
			}
			return []string{strconv.FormatUint(uint64(s.Gateways.Table), 10)}
		}},
		index[model.Subnet]{indexNamespace, func(s *model.Subnet) []string { return s.Namespaces }},
	)
	w.Subnets.facets = []facet[model.Subnet]{{facetNetwork, func(s *model.Subnet) any { return s.Network() }}}
	w.Nodes = newTable(model.KindNode, &w.readers, index[model.Node]{indexAll, everything[model.Node]})
	w.Namespaces = newTable[model.Namespace](model.KindNamespace, &w.readers)
	w.Namespaces.facets = []facet[model.Namespace]{{facetSwitches, func(n *model.Namespace) any { return n.LogicalSwitches }}}
	w.Pods = newTable(model.KindPod, &w.readers, index[model.Pod]{indexVM, func(o *model.Pod) []string {
		if o.VM == "" {
			return nil
		}
		return []string{PodKey(o.Namespace, o.VM)}
	}})
	w.StatefulSets = newTable[model.StatefulSet](model.KindStatefulSet, &w.readers)
	w.VirtualMachines = newTable[model.VirtualMachine](model.KindVirtualMachine, &w.readers)
	w.Services = newTable[model.Service](model.KindService, &w.readers)
	w.EndpointSlices = newTable(model.KindEndpointSlice, &w.readers, index[model.EndpointSlice]{indexService, func(o *model.EndpointSlice) []string {
		if o.Service == "" {
			return nil
		}
		return []string{PodKey(o.Namespace, o.Service)}
	}})
	w.Definitions = newTable[model.Definition](model.KindDefinition, &w.readers)
	w.Heartbeats = newTable[model.Heartbeat](model.KindHeartbeat, &w.readers)
	w.IPPools = newTable(model.KindIPPool, &w.readers,
		index[model.IPPool]{indexSubnet, func(o *model.IPPool) []string { return []string{o.Subnet} }},
		index[model.IPPool]{indexNamespace, func(o *model.IPPool) []string { return o.Namespaces }},
		index[model.IPPool]{indexAddressSet, (*model.IPPool).SetNames},
	)
	w.IPs = newTable(model.KindIP, &w.readers,
		index[model.IP]{indexSubnet, func(o *model.IP) []string { return []string{o.Subnet} }},
		index[model.IP]{indexPod, func(o *model.IP) []string { return []string{PodKey(o.Namespace, o.PodName)} }},
	)
	w.Policies = map[model.Kind]*Table[model.Policy]{}
	for _, kind := range model.PolicyKinds() {
		w.Policies[kind] = newTable[model.Policy](kind, &w.readers)
	}
	w.selection, w.within, w.groups = newSelection(w), newWithin(w), newGroups(w)
	w.podVpcs = newPodVpcs(w)
	w.timed = newAnyService(w, indexTimed, func(s *model.Service) bool { return s.Remembered() > 0 })
	w.local = newAnyService(w, indexLocal, func(s *model.Service) bool { return s.External.Local })
	return w
}

func everything[T any](*T) []string { return []string{""} }

// View records what one owner reads. Its zero value is not usable; see [World.Read].
type View struct {
	w       *World
	reads   []dep
	invalid []model.Ref
}

// Read calls fn with a view and makes owner the reader of all that fn reads, in
// place of what it had read before. It returns the objects that exist but are
// invalid among those read: an owner that depends on one cannot be compiled.
func (w *World) Read(owner model.Ref, fn func(*View)) (invalid []model.Ref) {
	v := View{w: w}
	fn(&v)
	w.readers.set(owner, v.reads)
	return v.invalid
}

// Forget drops the reads of an owner that is gone.
func (w *World) Forget(owner model.Ref) { w.readers.set(owner, nil) }

// Readers tells how many owners depend on at least one read.
func (w *World) Readers() int { return len(w.readers.byOwner) }

// Vpc reads a Vpc.
func (v *View) Vpc(name string) (*model.Vpc, bool) { return get(v, v.w.Vpcs, name) }

// Subnet reads a whole Subnet: any change of its projection wakes the reader.
func (v *View) Subnet(name string) (*model.Subnet, bool) { return get(v, v.w.Subnets, name) }

// SubnetNetwork reads the facet of a Subnet that its pods depend on.
func (v *View) SubnetNetwork(name string) (model.SubnetNetwork, bool) {
	v.reads = append(v.reads, dep{model.KindSubnet, facetNetwork, name})
	s, ok := v.w.Subnets.read(v, name)
	if !ok {
		return model.SubnetNetwork{}, false
	}
	return s.Network(), true
}

// SubnetsOfVpc lists the subnets of a Vpc by name.
func (v *View) SubnetsOfVpc(vpc string) []*model.Subnet {
	return bucket(v, v.w.Subnets, indexVpc, vpc)
}

// SubnetsOfTable lists the subnets that use a routing table on the nodes, by name.
func (v *View) SubnetsOfTable(table uint32) []*model.Subnet {
	return bucket(v, v.w.Subnets, indexTable, strconv.FormatUint(uint64(table), 10))
}

// SubnetsOfNamespace lists the subnets whose spec.namespaces has this namespace,
// or whose namespaceSelectors select it, by name.
func (v *View) SubnetsOfNamespace(namespace string) []*model.Subnet {
	out := bucket(v, v.w.Subnets, indexNamespace, namespace)
	v.reads = append(v.reads, dep{model.KindSubnet, indexSelected, namespace})
	for _, name := range v.w.selection.subnets(namespace) {
		if s, ok := v.w.Subnets.read(v, name); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *model.Subnet) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(out)
}

// VpcsOfNamespace lists the Vpcs whose spec.namespaces has this namespace, by name.
func (v *View) VpcsOfNamespace(namespace string) []*model.Vpc {
	return bucket(v, v.w.Vpcs, indexNamespace, namespace)
}

// IPsOfPod lists the IP objects of a pod, one for each of its NICs, by name.
func (v *View) IPsOfPod(namespace, name string) []*model.IP {
	return bucket(v, v.w.IPs, indexPod, PodKey(namespace, name))
}

// IPsOfSubnet lists the IP objects of a subnet by name: as many as it has pods,
// so that only a subnet that is being deleted may ask.
func (v *View) IPsOfSubnet(subnet string) []*model.IP {
	return bucket(v, v.w.IPs, indexSubnet, subnet)
}

// Nodes lists all nodes by name. Only owners of which there are few may read it.
func (v *View) Nodes() []*model.Node { return bucket(v, v.w.Nodes, indexAll, "") }

// Node reads a node.
func (v *View) Node(name string) (*model.Node, bool) { return get(v, v.w.Nodes, name) }

// Heartbeat reads what is known of a gateway node's sign of life.
func (v *View) Heartbeat(node string) (*model.Heartbeat, bool) {
	return get(v, v.w.Heartbeats, node)
}

// Namespace reads a namespace.
func (v *View) Namespace(name string) (*model.Namespace, bool) { return get(v, v.w.Namespaces, name) }

// LogicalSwitches reads the subnets that a user chose for a namespace.
func (v *View) LogicalSwitches(namespace string) ([]string, bool) {
	v.reads = append(v.reads, dep{model.KindNamespace, facetSwitches, namespace})
	n, ok := v.w.Namespaces.read(v, namespace)
	if !ok {
		return nil, false
	}
	return n.LogicalSwitches, true
}

// Pod reads a pod.
func (v *View) Pod(namespace, name string) (*model.Pod, bool) {
	return get(v, v.w.Pods, PodKey(namespace, name))
}

// PodsOfVM lists the pods that run a VM, by name.
func (v *View) PodsOfVM(namespace, vm string) []*model.Pod {
	return bucket(v, v.w.Pods, indexVM, PodKey(namespace, vm))
}

// VirtualMachine reads a KubeVirt VM.
func (v *View) VirtualMachine(namespace, name string) (*model.VirtualMachine, bool) {
	return get(v, v.w.VirtualMachines, PodKey(namespace, name))
}

// Definition reads the definition of an optional kind.
func (v *View) Definition(name string) (*model.Definition, bool) {
	return get(v, v.w.Definitions, name)
}

// StatefulSet reads a StatefulSet.
func (v *View) StatefulSet(namespace, name string) (*model.StatefulSet, bool) {
	return get(v, v.w.StatefulSets, PodKey(namespace, name))
}

// Service reads a Service.
func (v *View) Service(namespace, name string) (*model.Service, bool) {
	return get(v, v.w.Services, PodKey(namespace, name))
}

// EndpointSlicesOfService lists the slices that hold a Service's backends, by name.
func (v *View) EndpointSlicesOfService(namespace, service string) []*model.EndpointSlice {
	return bucket(v, v.w.EndpointSlices, indexService, PodKey(namespace, service))
}

// Policy reads a policy of any kind.
func (v *View) Policy(ref model.Ref) (*model.Policy, bool) {
	return get(v, v.w.Policies[ref.Kind], ObjectKey(ref))
}

// IPPool reads an IPPool.
func (v *View) IPPool(name string) (*model.IPPool, bool) { return get(v, v.w.IPPools, name) }

// IPPoolsOfSubnet lists the IPPools of a subnet by name.
func (v *View) IPPoolsOfSubnet(subnet string) []*model.IPPool {
	return bucket(v, v.w.IPPools, indexSubnet, subnet)
}

// IPPoolsOfNamespace lists the IPPools whose spec.namespaces has this namespace, by name.
func (v *View) IPPoolsOfNamespace(namespace string) []*model.IPPool {
	return bucket(v, v.w.IPPools, indexNamespace, namespace)
}

// IPPoolsOfAddressSet lists the IPPools that want an address set of this name, by name.
func (v *View) IPPoolsOfAddressSet(name string) []*model.IPPool {
	return bucket(v, v.w.IPPools, indexAddressSet, name)
}

// IP reads an IP object.
func (v *View) IP(name string) (*model.IP, bool) { return get(v, v.w.IPs, name) }

// ObjectKey is the key of an object in its table.
func ObjectKey(ref model.Ref) string {
	if ref.Namespace == "" {
		return ref.Name
	}
	return PodKey(ref.Namespace, ref.Name)
}

// PodKey is the key of a pod in [World.Pods], and of what else has a namespace.
func PodKey(namespace, name string) string { return namespace + "/" + name }

// namespaceOf is the namespace in a key.
func namespaceOf(key string) string {
	namespace, _, _ := strings.Cut(key, "/")
	return namespace
}

func get[T any](v *View, t *Table[T], key string) (*T, bool) {
	v.reads = append(v.reads, dep{kind: t.kind, key: key})
	return t.read(v, key)
}

func bucket[T any](v *View, t *Table[T], index, key string) []*T {
	v.reads = append(v.reads, dep{t.kind, index, key})
	keys := t.bucket(index, key)
	out := make([]*T, 0, len(keys))
	for _, k := range keys {
		if o, ok := t.read(v, k); ok {
			out = append(out, o)
		}
	}
	return out
}

func sortedUnique(refs []model.Ref) []model.Ref {
	slices.SortFunc(refs, model.Ref.Compare)
	return slices.Compact(refs)
}
