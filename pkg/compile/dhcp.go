// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// dhcp declares one row of DHCP options for each IP family of the subnet with DHCP; the ports of its pods refer to it.
func (c Config) dhcp(r *Result, s *model.Subnet) {
	for _, cidr := range model.PrefixFamilies(s.CIDR) {
		f := model.FamilyOf(cidr.Addr())
		if options := s.DHCP.In(f); options != nil {
			r.Row(nb.DHCPOptionsTable, s.Name+"/"+f.Match(), &nb.DHCPOptions{
				Cidr:        cidr.String(),
				Options:     model.DHCPOptions(s, f, model.GatewayMAC(s.Vpc, s.Name), options),
				ExternalIDs: map[string]string{fact.SwitchKey: s.Name},
			})
		}
	}
}

// DHCPOptionsUUID is the UUID of a subnet's row in the table DHCP_Options for an IP family.
func DHCPOptionsUUID(subnet string, f model.Family) string {
	return fact.UUIDOf(nb.DHCPOptionsTable, subnet+"/"+f.Match())
}

// portDHCP returns the UUID of the DHCP options for one IP family of a pod's port: a row of its own if the pod has
// options, else the subnet's. It is nil without DHCP.
func portDHCP(r *Result, v *world.View, network model.SubnetNetwork, nic *model.PodNIC, port string, f model.Family) *string {
	own := nic.DHCP.In(f)
	if own == nil {
		if network.DHCP.In(f) == nil {
			return nil
		}
		uuid := DHCPOptionsUUID(network.Name, f)
		return &uuid
	}
	s, ok := v.Subnet(network.Name)
	if !ok {
		return nil
	}
	ref := r.Row(nb.DHCPOptionsTable, port+"/"+f.Match(), &nb.DHCPOptions{
		Cidr:        s.CIDR.In(f).String(),
		Options:     model.DHCPOptions(s, f, model.GatewayMAC(s.Vpc, s.Name), s.DHCP.In(f), own),
		ExternalIDs: map[string]string{fact.SwitchKey: s.Name, "port": port},
	})
	return &ref.UUID
}
