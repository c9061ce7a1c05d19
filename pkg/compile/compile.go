// SPDX-License-Identifier: Apache-2.0

// Package compile holds one pure function for each kind of object:
//
//	Compile(key, view) → facts, problems, wants
//
// A compile function declares what its object requires. It reads through the view, which records what was read; when
// any of that changes, the function runs again. So there is no enqueue code, and a subnet that does not exist yet is
// not an error: its arrival wakes the reader.
package compile

import (
	"fmt"
	"net/netip"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// Config holds the names that flags of the controller choose.
type Config struct {
	ClusterRouter string // the default Vpc
	NodeSwitch    string // the subnet that the nodes' ports are in
	DefaultSubnet string // the subnet of namespaces that name none
	// LoadBalancers is whether the nodes, and the subnets whose spec leaves it open, reach Services through OVN.
	LoadBalancers bool
	// ServiceSource contains the source addresses of hosts for Services, one for each node.
	ServiceSource model.Prefixes
	// PortSecurity is whether ports of Subnets without the annotation port_security may only send with their own
	// addresses.
	PortSecurity bool
	// NamespaceSubnets are the ranges inside which the annotations of a namespace may describe a Subnet; empty for
	// none.
	NamespaceSubnets []netip.Prefix
	// OpenSubnets lets pods of all namespaces name any Subnet, as Kube-OVN does.
	OpenSubnets bool
	// Limits bound the cost of one object.
	Limits model.Limits
	// DNSDomain is the domain of the cluster, without a trailing dot, if OVN responds to queries for the names of
	// Services; empty if it does not.
	DNSDomain string
	// ServiceRange contains the ClusterIPs of a cluster that does not serve the kind ServiceCIDR.
	ServiceRange model.Prefixes
	// APIServers are the addresses at which the controller reaches the API server. No subnet may contain them.
	APIServers []netip.Addr
	// Databases are the addresses of OVN's databases. No subnet may contain them.
	Databases []netip.Addr
}

// Result is the desired state of one object.
type Result struct {
	fact.Set
	Problems []model.Problem
	Wants    []Want
	// Watches keeps the subscriptions of a deleted object: its record is retained for a successor as long as what was
	// read does not change.
	Watches bool
}

func (r *Result) problem(reason, field, format string, args ...any) {
	r.Problems = append(r.Problems, model.Problem{Reason: reason, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (r *Result) want(w Want) { r.Wants = append(r.Wants, w) }

// Func compiles one object.
type Func func(name model.Ref, v *world.View) Result

// Functions returns the compile function of each kind.
func Functions(cfg Config) map[model.Kind]Func {
	return map[model.Kind]Func{
		model.KindVpc:            cfg.vpc,
		model.KindSubnet:         cfg.subnet,
		model.KindNode:           cfg.node,
		model.KindPod:            cfg.pod,
		model.KindIPPool:         cfg.ippool,
		model.KindVirtualMachine: cfg.vm,
		model.KindNamespace:      cfg.namespace,
		model.KindService:        cfg.service,

		model.KindNetworkPolicy:              cfg.policy,
		model.KindAdminNetworkPolicy:         cfg.policy,
		model.KindBaselineAdminNetworkPolicy: cfg.policy,
		model.KindClusterNetworkPolicy:       cfg.policy,
	}
}
