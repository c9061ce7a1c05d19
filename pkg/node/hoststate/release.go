// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Forwards removes elements of a table that forward packets; see package nft.
type Forwards interface {
	Release(ctx context.Context, table string, at []netip.AddrPort) (removed int, err error)
}

// Release removes what an earlier process left in the kernel and what takes traffic between this node and its API
// server or OVN's databases: routing rules from addresses of the node, routes to these servers, and elements that
// forward the API server's address to a Service. Everything else stays, so that pods keep their traffic. Call it before
// the cluster's objects are known: with such a leftover they would never be.
func (l *Reconciler) Release(ctx context.Context) error {
	servers := l.cfg.APIServers
	if remote, err := l.e.Switch.Remote(); err == nil { // it may not be connected yet
		servers = slices.Concat(servers, model.DatabaseAddresses(remote))
	}
	own, err := l.e.Addresses()
	if err != nil {
		return fmt.Errorf("list the node's addresses: %w", err)
	}
	sources := slices.Clone(servers)
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && !p.Addr().IsLoopback() {
			sources = append(sources, p.Addr())
		}
	}
	outside := slices.DeleteFunc(slices.Clone(servers), func(a netip.Addr) bool { return a == l.cfg.APIServerClusterIP })
	rules, err1 := rule.Apply(l.e.Rules, hostplan.PolicyRules{KeepOthers: true, Never: sources})
	routes, err2 := route.Apply(l.e.Routes, hostplan.Routes{KeepOthers: true, Never: outside})
	changes := append(rules, routes...)
	removed, err3 := l.e.Forwards.Release(ctx, hostplan.ServiceTableName, l.cfg.APIServerPorts)
	if removed > 0 {
		changes = append(changes, fmt.Sprintf("remove %d elements of table %s with the API server's address", removed, hostplan.ServiceTableName))
	}
	l.logChanges(changes)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("release the way to the API server: %w", err)
	}
	return nil
}
