// SPDX-License-Identifier: Apache-2.0

// Package check compares the objects of the API server with the rows of OVN's databases and the state of the nodes, and
// lists every difference. It changes nothing.
//
// [Compare] is pure: from a [State] to its differences. [Differences] reads the state from live sources first. Only
// objects of the Kube-OVN API, pods, nodes and rows with Woven's mark are compared; others are ignored.
package check

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// Difference is one inconsistency.
type Difference struct {
	// Check names what was compared: "api", "address", "counter", "nb", "sb", "ovs" or "kernel".
	Check string
	// Message is one sentence that names the objects.
	Message string
}

// String returns "check: message".
func (d Difference) String() string { return d.Check + ": " + d.Message }

// Values of [Difference].Check.
const (
	checkAPI     = "api"     // objects of the API server with each other
	checkAddress = "address" // an address or MAC that two ports have
	checkCounter = "counter" // counters in a status
	checkNB      = "nb"      // the northbound database
	checkSB      = "sb"      // the southbound database
	checkOVS     = "ovs"     // Open_vSwitch of a node
	checkKernel  = "kernel"  // links, routes and packet filter of a node
)

// Objects are the objects of the API server. Of some kinds, more fields are compared than the controller reads.
type Objects struct {
	Pods    []corev1.Pod
	Nodes   []corev1.Node
	Subnets []v1.Subnet
	IPs     []v1.IP
	// ServiceCIDRs are the networks of the addresses of Services.
	ServiceCIDRs []networkingv1.ServiceCIDR
	// Others are objects of all other kinds: only their projections are compared.
	Others []kube.Object
}

func (o *Objects) all() []kube.Object {
	out := slices.Clone(o.Others)
	out = pointersTo(out, o.Pods)
	out = pointersTo(out, o.Nodes)
	out = pointersTo(out, o.Subnets)
	out = pointersTo(out, o.ServiceCIDRs)
	return pointersTo(out, o.IPs)
}

func pointersTo[T any, P interface {
	*T
	kube.Object
}](out []kube.Object, items []T) []kube.Object {
	for i := range items {
		out = append(out, P(&items[i]))
	}
	return out
}

// Rows are the rows of an OVN database by table and UUID. Each is a pointer to a row struct of package nb or sb.
type Rows map[string]map[string]any

// Add adds rows of one table; for tests and readers.
func (r Rows) Add(table string, rows ...interface{ GetUUID() string }) {
	if r[table] == nil {
		r[table] = map[string]any{}
	}
	for _, row := range rows {
		r[table][row.GetUUID()] = row
	}
}

// State is everything that is compared.
type State struct {
	Objects Objects
	NB, SB  Rows
	// Hosts are the states of the nodes by node name. A node that is not in it could not be read.
	Hosts map[string]Host
}

// Names are the configuration of the controller that the cluster runs with.
type Names = compile.Config

// DefaultNames are the defaults of the controller.
var DefaultNames = Names{ClusterRouter: "ovn-cluster", NodeSwitch: "join", DefaultSubnet: "ovn-default", LoadBalancers: true, PortSecurity: true, ServiceSource: compile.DefaultServiceSource, Limits: model.DefaultLimits}

// Controller describes the cluster's controller: the kinds that it reads, and its compile functions.
type Controller struct {
	Names     Names
	Kinds     kube.Kinds
	World     func() *world.World // returns an empty world
	Functions map[model.Kind]compile.Func
}

// NewController returns the controller of this version of the program.
func NewController(names Names) Controller {
	return Controller{Names: names, Kinds: kube.LimitedKinds(names.Limits), World: world.New, Functions: compile.Functions(names)}
}

// Compare lists every difference, sorted by check and message, each once.
func Compare(names Names, s State) ([]Difference, error) { return NewController(names).Compare(s) }

// Compare lists every difference, sorted by check and message, each once. It fails if World has no table for one of
// Kinds.
func (by Controller) Compare(s State) ([]Difference, error) {
	c, err := newComparison(by, s)
	if err != nil {
		return nil, err
	}
	c.pods()
	c.records()
	c.subnets()
	c.addresses()
	c.compiled()
	c.groups()
	c.owners()
	c.podPorts()
	c.nodes()
	c.bindings()
	for _, name := range sortedKeys(s.Hosts) {
		host := s.Hosts[name]
		c.host(name, &host)
	}
	slices.SortFunc(c.found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(c.found), nil
}

// comparison has the indexes that several checks use.
type comparison struct {
	names     Names
	functions map[model.Kind]compile.Func
	State
	world     *world.World
	subnet    map[string]*v1.Subnet
	node      map[string]*corev1.Node
	record    map[string]*v1.IP
	nics      map[string]*nic                  // by port name, of pods that need a network
	networked map[model.Ref]bool               // pods that have interfaces
	ofPod     map[model.Ref]*nic               // the default NIC of each pod
	ports     map[string]*nb.LogicalSwitchPort // by name
	switchOf  map[string]string                // port UUID → name of the switch that refers to it
	found     []Difference
}

func newComparison(by Controller, s State) (*comparison, error) {
	c := &comparison{
		names: by.Names, functions: by.Functions, State: s,
		world: by.World(), subnet: map[string]*v1.Subnet{}, node: map[string]*corev1.Node{}, record: map[string]*v1.IP{},
		nics: map[string]*nic{}, networked: map[model.Ref]bool{}, ofPod: map[model.Ref]*nic{},
		ports: map[string]*nb.LogicalSwitchPort{}, switchOf: map[string]string{},
	}
	o := &c.Objects
	if err := by.Kinds.Load(c.world, o.all()); err != nil {
		return nil, err
	}
	for i := range o.Subnets {
		c.subnet[o.Subnets[i].Name] = &o.Subnets[i]
	}
	for i := range o.Nodes {
		c.node[o.Nodes[i].Name] = &o.Nodes[i]
	}
	for i := range o.IPs {
		c.record[o.IPs[i].Name] = &o.IPs[i]
	}
	for i := range o.Pods {
		for _, n := range nicsOf(&o.Pods[i]) {
			c.nics[n.port] = n
			pod := model.Ref{Kind: model.KindPod, Namespace: n.pod.Namespace, Name: n.pod.Name}
			c.networked[pod] = true
			if n.provider == model.DefaultProvider {
				c.ofPod[pod] = n
			}
		}
	}
	for _, row := range rowsOf[nb.LogicalSwitchPort](c.NB, nb.LogicalSwitchPortTable) {
		c.ports[row.Name] = row
	}
	for _, row := range rowsOf[nb.LogicalSwitch](c.NB, nb.LogicalSwitchTable) {
		for _, port := range row.Ports {
			c.switchOf[port] = row.Name
		}
	}
	return c, nil
}

func (c *comparison) differ(check, format string, args ...any) {
	c.found = append(c.found, Difference{Check: check, Message: fmt.Sprintf(format, args...)})
}

// rowsOf lists the rows of a table by UUID.
func rowsOf[T any](rows Rows, table string) []*T {
	var out []*T
	for _, uuid := range sortedKeys(rows[table]) {
		if row, ok := rows[table][uuid].(*T); ok {
			out = append(out, row)
		}
	}
	return out
}
