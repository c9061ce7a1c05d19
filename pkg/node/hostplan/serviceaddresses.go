// SPDX-License-Identifier: Apache-2.0

package hostplan

import (
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
)

var _ model.AddressView = ServiceContext{}

// The addresses that a Service may have from outside are decided by [model.WithoutConflicts], as in the controller. So
// no element of a map takes packets to an API server, or to a node except to its NodePorts.

// Infrastructure implements [model.AddressView].
func (o ServiceContext) Infrastructure() model.Infrastructure { return o.Reserved }

// NodeAt implements [model.AddressView].
func (o ServiceContext) NodeAt(a netip.Addr) (string, bool) {
	if slices.Contains(o.Own, a) {
		return o.NodeName, true
	}
	name, ok := o.NodeNames[a]
	return name, ok
}

// SubnetAt implements [model.AddressView]. The name is the prefix.
func (o ServiceContext) SubnetAt(a netip.Addr) (string, bool) {
	for _, p := range o.Subnets {
		if p.Contains(a) {
			return p.String(), true
		}
	}
	return "", false
}

// ClusterIPAt implements [model.AddressView]. ClusterIPs are in ServiceCIDRs, which nodes know.
func (ServiceContext) ClusterIPAt(netip.Addr) (*model.Service, bool) { return nil, false }
