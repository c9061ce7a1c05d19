// Package compile holds one pure function for each kind of object:
//
//	Compile(key, view) → facts, problems, wants
//
// A compile function says what its object wants to be true. It reads through
// the view, which records what was read; when any of that changes, it runs
// again. So there is no enqueue code, and a subnet that is not there yet is not
// an error: its arrival wakes the reader.
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
	// LoadBalancers tells whether subnets that do not say so themselves, and the nodes, reach Services through OVN.
	LoadBalancers bool
	// ServiceSource holds the addresses that hosts take towards Services, one for each node.
	ServiceSource model.Prefixes
	// DNSDomain is the domain of the cluster, without a dot at its end, if OVN answers
	// queries for the names of Services; empty if it does not.
	DNSDomain string
	// APIServers are the addresses by which the controller reaches the API server: no subnet may hold them.
	APIServers []netip.Addr
}

// Result is what one object wants.
type Result struct {
	fact.Set
	Problems []model.Problem
	Wants    []Want
	// Watches tells that an object that is gone goes on reading: its record is kept
	// for a successor, as long as what was read stays so.
	Watches bool
}

func (r *Result) problem(reason, field, format string, args ...any) {
	r.Problems = append(r.Problems, model.Problem{Reason: reason, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (r *Result) want(w Want) { r.Wants = append(r.Wants, w) }

// Func compiles one object.
type Func func(name model.Ref, v *world.View) Result

// Functions gives the compile function of each kind.
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
