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
		f := family(cidr.Addr())
		if options := ofFamily(s.DHCP, f); options != nil {
			r.Row(nb.DHCPOptionsTable, s.Name+"/"+f, &nb.DHCPOptions{
				Cidr:        cidr.String(),
				Options:     model.DHCPOptions(s, f, GatewayMAC(s.Vpc, s.Name), options),
				ExternalIDs: map[string]string{fact.SwitchKey: s.Name},
			})
		}
	}
}

// DHCPOptionsUUID is the UUID of a subnet's row in the table DHCP_Options; family is "ip4" or "ip6".
func DHCPOptionsUUID(subnet, family string) string {
	return fact.UUIDOf(nb.DHCPOptionsTable, subnet+"/"+family)
}

// portDHCP returns the UUID of the DHCP options for one IP family of a pod's port: a row of its own if the pod has
// options, else the subnet's. It is nil without DHCP.
func portDHCP(r *Result, v *world.View, network model.SubnetNetwork, nic *model.PodNIC, port, f string) *string {
	own := ofFamily(nic.DHCP, f)
	if own == nil {
		if ofFamily(network.DHCP, f) == nil {
			return nil
		}
		uuid := DHCPOptionsUUID(network.Name, f)
		return &uuid
	}
	s, ok := v.Subnet(network.Name)
	if !ok {
		return nil
	}
	cidr := s.CIDR.V4
	if f == "ip6" {
		cidr = s.CIDR.V6
	}
	ref := r.Row(nb.DHCPOptionsTable, port+"/"+f, &nb.DHCPOptions{
		Cidr:        cidr.String(),
		Options:     model.DHCPOptions(s, f, GatewayMAC(s.Vpc, s.Name), ofFamily(s.DHCP, f), own),
		ExternalIDs: map[string]string{fact.SwitchKey: s.Name, "port": port},
	})
	return &ref.UUID
}

func ofFamily(d model.DHCP, f string) map[string]string {
	if f == "ip4" {
		return d.V4
	}
	return d.V6
}
