// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/wovensdn/woven/pkg/model"
)

// Packets to a NodePort, an external address or the address of a load balancer are forwarded by the kernel of the node
// that receives them (DNAT): to the Service's ClusterIP, where OVN chooses a backend, or to a backend that the node
// itself chooses. The rules do not depend on the number of Services: a Service is elements of sets and maps.

// ServiceTableName is the nftables table (family inet) that forwards packets to Services from outside of OVN.
const ServiceTableName = "woven-services"

// The sets and maps with elements of Services, each once for each family ("cluster4").
// Their keys begin with a frontend: address . protocol . port.
const (
	// clusterMap has the ClusterIP and its port.
	clusterMap = "cluster"
	// ownSet are the addresses of this node's pods. Like the host they are inside: they reach all backends of a Service
	// whatever its externalTrafficPolicy.
	ownSet = "own"
	// chosenSet are frontends whose backend the node chooses for clients that are not inside.
	chosenSet = "chosen"
	// wideSet are those of chosenSet whose backends may be on other nodes: the replies have to come back by this node.
	wideSet = "wide"
	// backendMap has a backend for a frontend and a number below [slots].
	backendMap = "backends"
	// everywhereMap is the same with all backends, for clients that are inside, where the ClusterIP has only those of
	// each node (internalTrafficPolicy Local).
	everywhereMap = "everywhere"
	// elsewhereMap has the same NodePort of other nodes, for the host itself.
	elsewhereMap = "elsewhere"
	// affinityMap has the number of a frontend whose clients keep their backend, and timeoutMap (one for both families)
	// the chain that remembers the backends.
	affinityMap, timeoutMap = "sticky", "timeouts"
	// memberSet are the backends that may be remembered, by number: a connection to a former backend must not have it
	// remembered again.
	memberSet = "members"
	// clientMap and clientPortMap have these backends, by number and client. Only rules add to them.
	clientMap, clientPortMap = "clients", "clientports"
	// guardedSet are frontends with loadBalancerSourceRanges, and admittedSet the clients that may connect to them.
	guardedSet, admittedSet = "guarded", "admitted"
)

// slots is how many numbers a backend is drawn from. It is a multiple of every number up to 6, so that few backends
// share evenly. Of more backends than this the remaining ones are idle.
const slots = 60

// Entry is an element of a set or map of [ServiceTableName].
type Entry struct {
	// In is the name of the set or map.
	In, Key string
	// Value is empty in sets.
	Value string
}

// ServiceContext is what the entries of all Services depend on besides the Services.
type ServiceContext struct {
	// NodeName is that of this node.
	NodeName string
	// Own are the node's addresses: each port of them is a NodePort.
	Own []netip.Addr
	// Nodes are the addresses of all nodes, by name.
	Nodes map[string][]netip.Addr
	// NodeNames has the names of nodes by all their addresses.
	NodeNames map[netip.Addr]string
	// Reserved and Subnets hold addresses that no Service may have from outside.
	Reserved model.Infrastructure
	Subnets  []netip.Prefix
	// V4 and V6 are set for the families that the node serves; another proxy serves the others.
	V4, V6 bool
}

// ServiceContextOf selects it from the inputs.
func ServiceContextOf(in Inputs) ServiceContext {
	o := ServiceContext{NodeName: in.Node.Name, Nodes: in.Nodes, NodeNames: in.NodeNames, Reserved: in.Infrastructure}
	for _, s := range in.Subnets {
		if routed(in, s) {
			o.Subnets = append(o.Subnets, s.CIDRs...)
		}
	}
	slices.SortFunc(o.Subnets, netip.Prefix.Compare)
	_, o.V4 = sourceOf(in.Node, families[0])
	_, o.V6 = sourceOf(in.Node, families[1])
	for _, a := range in.Node.InternalIPs {
		if o.serves(a) && !slices.Contains(o.Own, a) {
			o.Own = append(o.Own, a)
		}
	}
	slices.SortFunc(o.Own, netip.Addr.Compare)
	return o
}

// Equal reports whether two contexts make the same entries.
func (o ServiceContext) Equal(b ServiceContext) bool {
	return o.NodeName == b.NodeName && o.V4 == b.V4 && o.V6 == b.V6 && slices.Equal(o.Own, b.Own) &&
		maps.Equal(o.NodeNames, b.NodeNames) && o.Reserved.Equal(b.Reserved) && slices.Equal(o.Subnets, b.Subnets) &&
		maps.EqualFunc(o.Nodes, b.Nodes, slices.Equal)
}

func (o ServiceContext) serves(a netip.Addr) bool {
	if a.Is4() {
		return o.V4
	}
	return o.V6
}

// OwnPods returns the entries of the addresses of this node's pods.
func OwnPods(in Inputs) map[Entry]bool {
	out := map[Entry]bool{}
	for _, p := range in.Pods {
		for _, a := range p.Addresses {
			out[Entry{In: ownSet + familyOf(a).digit, Key: a.String()}] = true
		}
	}
	return out
}

// Frontend is an address and port at which a Service is reached from outside of OVN.
type Frontend struct {
	netip.AddrPort
	Protocol model.Protocol
}

// number is the protocol's (IANA): nft knows names only where a file /etc/protocols is.
var number = map[model.Protocol]string{model.TCP: "6", model.UDP: "17", model.SCTP: "132"}

func (f Frontend) key() string {
	return f.Addr().String() + " . " + number[f.Protocol] + " . " + strconv.Itoa(int(f.Port()))
}

// number stands for the frontend in marks of connections. It is never 0, which is no mark.
func (f Frontend) number() string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.key()))
	return strconv.FormatUint(uint64(max(h.Sum32(), 1)), 10)
}

func (f Frontend) in(set string) string {
	if f.Addr().Is4() {
		return set + "4"
	}
	return set + "6"
}

// Forward is how a node forwards packets to one frontend.
type Forward struct {
	// Entries are its elements, sorted.
	Entries []Entry
	// Targets are where packets from outside go, and Inner where those from inside go.
	Targets, Inner []netip.AddrPort
	// Affinity is how long the backend of a client is remembered; 0 if it is not.
	Affinity time.Duration
}

// ServiceRules is what a node does for one Service.
type ServiceRules struct {
	Forwards map[Frontend]Forward
	// LocalReady is how many backends on this node get new connections.
	LocalReady int
	// HealthPort is where the node reports LocalReady to load balancers; 0 for none.
	HealthPort uint16
}

// RulesFor returns what the node does for a Service with these endpoints.
func (o ServiceContext) RulesFor(s *model.Service, endpoints []*model.EndpointSlice) ServiceRules {
	s, _ = model.WithoutConflicts(s, o) // the controller reports the problems
	out := ServiceRules{Forwards: map[Frontend]Forward{}, LocalReady: o.localReady(s, endpoints), HealthPort: s.External.HealthPort}
	if !s.OnNodes() {
		return out
	}
	for _, port := range s.Ports {
		var at []netip.AddrPort
		for _, a := range o.Own {
			if port.NodePort != 0 {
				at = append(at, netip.AddrPortFrom(a, port.NodePort))
			}
		}
		for _, a := range s.External.Addresses() {
			if !model.IsTunnel(port.Protocol, port.Port) {
				at = append(at, netip.AddrPortFrom(a, port.Port))
			}
		}
		for _, a := range at {
			if cluster := familyOf(a.Addr()).of(s.ClusterIPs); cluster.IsValid() && o.serves(a.Addr()) {
				f := Frontend{a, port.Protocol}
				out.Forwards[f] = o.forward(s, port, f, netip.AddrPortFrom(cluster, port.Port), endpoints)
			}
		}
	}
	return out
}

// forward uses the ClusterIP for clients inside, and for others unless the node chooses the backend. The node chooses
// where a packet has to stay on the node, where OVN would take the node for the only client, and where the ClusterIP
// has fewer backends.
func (o ServiceContext) forward(s *model.Service, port model.ServicePort, f Frontend, cluster netip.AddrPort, endpoints []*model.EndpointSlice) (d Forward) {
	defer func() {
		slices.SortFunc(d.Entries, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Key, b.Key)) })
	}()
	d.add(f, clusterMap, "", dnatTo(cluster))
	d.Targets, d.Inner = []netip.AddrPort{cluster}, []netip.AddrPort{cluster}
	d.guard(f, s)
	chosen := model.Backends(port, f.Addr(), endpoints, "")
	switch {
	case len(chosen) == 0:
		return d // OVN refuses
	case s.InternalLocal:
		d.choice(f, everywhereMap, chosen)
		d.Inner = chosen
	}
	switch {
	case s.External.Local:
		chosen = model.Backends(port, f.Addr(), endpoints, o.NodeName)
		if others := o.elsewhere(port, f, endpoints); len(chosen) == 0 && len(others) > 0 {
			d.choice(f, elsewhereMap, others)
			d.Inner = slices.Concat(d.Inner, others)
		}
	case s.Affinity, s.InternalLocal:
		d.add(f, wideSet, "", "")
	default:
		return d
	}
	d.add(f, chosenSet, "", "")
	d.choice(f, backendMap, chosen)
	d.Targets = chosen
	if s.Affinity {
		d.Affinity = s.AffinityTimeout
		d.add(f, affinityMap, "", f.number())
		for _, backend := range chosen {
			d.Entries = append(d.Entries, Entry{In: f.in(memberSet), Key: f.number() + " . " + dnatTo(backend)})
		}
		d.Entries = append(d.Entries, Entry{In: timeoutMap, Key: f.number(), Value: "jump " + rememberChain(d.Affinity)})
	}
	return d
}

// elsewhere returns the same NodePort of other nodes that have backends. A host without a backend that connects to its
// own NodePort is seen there with its own address.
func (o ServiceContext) elsewhere(port model.ServicePort, f Frontend, endpoints []*model.EndpointSlice) (out []netip.AddrPort) {
	if f.Port() != port.NodePort || !slices.Contains(o.Own, f.Addr()) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(o.Nodes)) {
		if name == o.NodeName || len(model.Backends(port, f.Addr(), endpoints, name)) == 0 {
			continue
		}
		for _, a := range o.Nodes[name] {
			if a.Is4() == f.Addr().Is4() {
				out = append(out, netip.AddrPortFrom(a, port.NodePort))
				break
			}
		}
	}
	return out
}

// choice fills a map that a backend is drawn from.
func (d *Forward) choice(f Frontend, in string, backends []netip.AddrPort) {
	for slot := 0; slot < slots && len(backends) > 0; slot++ {
		d.add(f, in, " . "+strconv.Itoa(slot), dnatTo(backends[slot%len(backends)]))
	}
}

// guard restricts who may connect to the addresses of a load balancer (loadBalancerSourceRanges).
func (d *Forward) guard(f Frontend, s *model.Service) {
	if !slices.Contains(s.External.Ingress, f.Addr()) || !s.External.Guarded(f.Addr().Is4()) {
		return
	}
	d.add(f, guardedSet, "", "")
	var own []netip.Prefix
	for _, p := range s.External.Sources {
		if p.Addr().Is4() == f.Addr().Is4() {
			own = append(own, p)
		}
	}
	for _, p := range disjoint(own) {
		d.add(f, admittedSet, " . "+element(p), "")
	}
}

func (d *Forward) add(f Frontend, in, more, value string) {
	d.Entries = append(d.Entries, Entry{In: f.in(in), Key: f.key() + more, Value: value})
}

// localReady counts as kube-proxy does for load balancers: addresses of one family.
func (o ServiceContext) localReady(s *model.Service, endpoints []*model.EndpointSlice) int {
	seen := map[netip.Addr]bool{}
	for _, e := range endpoints {
		for _, a := range e.Ready {
			if a.Is4() == s.ClusterIPs.V4.IsValid() && e.Nodes[a] == o.NodeName {
				seen[a] = true
			}
		}
	}
	return len(seen)
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return families[0]
	}
	return families[1]
}

// dnatTo is a value of a map that dnat takes.
func dnatTo(a netip.AddrPort) string {
	return a.Addr().String() + " . " + strconv.Itoa(int(a.Port()))
}

// rememberChain is the name of the chain that remembers backends for a time.
func rememberChain(d time.Duration) string { return fmt.Sprintf("remember-%ds", int64(d/time.Second)) }

// UDPBackends returns the backends of each UDP address and port at which OVN forwards packets of the node's clients to
// a Service. No list is empty.
func (o ServiceContext) UDPBackends(s *model.Service, endpoints []*model.EndpointSlice) map[netip.AddrPort][]netip.AddrPort {
	s, _ = model.WithoutConflicts(s, o) // the controller reports the problems
	out := map[netip.AddrPort][]netip.AddrPort{}
	clusterIPs := model.Families(s.ClusterIPs)
	for _, port := range s.Ports {
		if port.Protocol != model.UDP {
			continue
		}
		for _, a := range slices.Concat(clusterIPs, s.External.IPs, s.External.Ingress) {
			node := ""
			if s.InternalLocal && slices.Contains(clusterIPs, a) {
				node = o.NodeName
			}
			if list := model.Backends(port, a, endpoints, node); o.serves(a) && len(list) > 0 {
				out[netip.AddrPortFrom(a, port.Port)] = list
			}
		}
	}
	return out
}
