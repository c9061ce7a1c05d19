// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"

	v1 "github.com/wovensdn/woven/api/v1"
)

// vips are the addresses of spec.vips, which must be host addresses of the subnet.
func (p *problems) vips(spec *v1.SubnetSpec, s Subnet) (out []netip.Addr) {
	for _, text := range spec.Vips {
		if addr, ok := p.inside("spec.vips", text, s); ok {
			out = append(out, addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// interconnection checks underlay subnets that are connected to the overlay.
func (p *problems) interconnection(spec *v1.SubnetSpec, s Subnet) {
	u2o := spec.U2OInterconnection && spec.Vlan != "" // without a vlan it is reset to false
	if spec.LogicalGateway && u2o {
		p.warn("spec.u2oInterconnection", "it is true and so is logicalGateway; a subnet has one or the other")
	}
	if spec.U2OFeatures.OverlayOnlyRouting && !u2o {
		p.warn("spec.u2oFeatures.overlayOnlyRouting", "it is true without u2oInterconnection and vlan, and has no effect")
	}
	if !u2o || spec.U2OInterconnectionIP == "" {
		return
	}
	const field = "spec.u2oInterconnectionIP"
	for _, text := range csv(spec.U2OInterconnectionIP) {
		addr, ok := p.inside(field, text, s)
		if ok && (addr == s.Gateway.V4 || addr == s.Gateway.V6) {
			p.warn(field, "%s is the gateway of the subnet, which is a different router", addr)
		}
	}
}

// inside parses an address that must be a host address of the CIDR.
func (p *problems) inside(field, text string, s Subnet) (netip.Addr, bool) {
	addr, err := parseAddr(text)
	if err != nil {
		p.warn(field, "%s", err)
		return netip.Addr{}, false
	}
	if prefix := s.CIDR.Of(addr); !prefix.IsValid() || !HostRange(prefix).Contains(addr) {
		p.warn(field, "%s is not a host address of the CIDR %s", addr, quote(PrefixesText(s.CIDR)))
		return netip.Addr{}, false
	}
	return addr, true
}
