// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/world"
)

// infrastructure reads the addresses that no Subnet and no external address of a Service may have.
func (c Config) infrastructure(v *world.View) model.Infrastructure {
	endpoints := v.EndpointSlicesOfService(model.APIServerNamespace, model.APIServerService)
	return c.Infrastructure().With(v.ServiceCIDRs(), v.SubnetCIDR(c.NodeSwitch), endpoints)
}

// Infrastructure returns the part of the infrastructure that is configured.
func (c Config) Infrastructure() model.InfrastructureConfig {
	return model.InfrastructureConfig{
		NodeSubnet: c.NodeSwitch, APIServers: c.APIServers, Databases: c.Databases, ServiceRange: c.ServiceRange, HostSource: c.ServiceSource,
	}
}

// apiServers reads the addresses of the API servers.
func (c Config) apiServers(v *world.View) []netip.Addr {
	return model.APIServersOf(c.APIServers, v.EndpointSlicesOfService(model.APIServerNamespace, model.APIServerService))
}

// addresses is the [model.AddressView] of a Service in a Vpc.
type addresses struct {
	config         Config
	view           *world.View
	vpc            string
	infrastructure model.Infrastructure
}

// Infrastructure implements [model.AddressView].
func (a addresses) Infrastructure() model.Infrastructure { return a.infrastructure }

// NodeAt implements [model.AddressView].
func (a addresses) NodeAt(addr netip.Addr) (string, bool) {
	if nodes := a.view.NodesAt(addr); len(nodes) > 0 {
		return nodes[0].Name, true
	}
	return "", false
}

// SubnetAt implements [model.AddressView]. A Subnet that is not connected because its addresses belong to something
// else holds none.
func (a addresses) SubnetAt(addr netip.Addr) (string, bool) {
	for _, s := range a.view.SubnetsOfVpc(a.vpc) {
		var conflicts Result
		if within(s.CIDR, addr) && s.Vlan == "" && s.Provider.OVN() && !a.config.conflicts(&conflicts, a.view, s) {
			return s.Name, true
		}
	}
	return "", false
}

// ClusterIPAt implements [model.AddressView].
func (a addresses) ClusterIPAt(addr netip.Addr) (*model.Service, bool) {
	for _, s := range a.view.ServicesAt(addr) {
		if slices.Contains(model.Families(s.ClusterIPs), addr) {
			return s, true
		}
	}
	return nil, false
}

// withoutConflicts returns the part of a Service that is programmed in a Vpc, and the external addresses and ports by
// protocol that an older Service has.
func (c Config) withoutConflicts(r *Result, v *world.View, s *model.Service, vpc string) (*model.Service, map[model.Protocol][]netip.AddrPort) {
	if !s.Any() {
		return s, nil
	}
	out, problems := model.WithoutConflicts(s, addresses{config: c, view: v, vpc: vpc, infrastructure: c.infrastructure(v)})
	r.Problems = append(r.Problems, problems...)
	taken := map[model.Protocol][]netip.AddrPort{}
	for _, address := range out.External.Addresses() {
		for _, port := range out.Ports {
			at := netip.AddrPortFrom(address, port.Port)
			if holder := olderHolder(v.ServicesAt(address), out, vpc, at, port.Protocol); holder != nil {
				r.Problems = append(r.Problems, model.FrontendConflict(out, at, port.Protocol, holder))
				taken[port.Protocol] = append(taken[port.Protocol], at)
			}
		}
	}
	return out, taken
}

// olderHolder returns the oldest of services that has an external address and port before s; nil if s has it.
func olderHolder(services []*model.Service, s *model.Service, vpc string, at netip.AddrPort, protocol model.Protocol) (holder *model.Service) {
	for _, other := range services {
		if other.HasFrontend(vpc, at, protocol) && model.Older(other.Meta, s.Meta) && (holder == nil || model.Older(other.Meta, holder.Meta)) {
			holder = other
		}
	}
	return holder
}
