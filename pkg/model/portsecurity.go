// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"slices"

	"github.com/wovensdn/woven/api/annotations"
)

// PortSecurity is whether the ports of a subnet, or one port, may only send with their own addresses (ovn-nb(5),
// Logical_Switch_Port:port_security).
type PortSecurity string

const (
	// PortSecurityUnset leaves the decision to the next level: the namespace, the Subnet, the controller's flag
	// --default-port-security.
	PortSecurityUnset PortSecurity = ""
	// PortSecurityOn on a Subnet cannot be changed by its pods and their namespaces.
	PortSecurityOn PortSecurity = "true"
	// PortSecurityOptional is on, but pods and namespaces may turn it off. Only Subnets have it.
	PortSecurityOptional PortSecurity = "optional"
	// PortSecurityOff on a Subnet lets pods and namespaces turn it on.
	PortSecurityOff PortSecurity = "false"
)

// NICSecurity is what a pod requests for the port of one NIC.
type NICSecurity struct {
	Port PortSecurity // annotation port_security; not [PortSecurityOptional]
	// Layer2 is the annotation layer2_forward: the port sends and receives with any MAC address.
	Layer2 bool
	// VIPs are further addresses that the NIC sends with, annotation port_vips; sorted.
	VIPs []netip.Addr
}

// maxPortVIPs is how many further addresses one NIC may send with.
const maxPortVIPs = 64

// portSecurity reads the annotations of a NIC that are about its port's sources. One that does not parse is reported
// and has no effect.
func (p *problems) portSecurity(all map[string]string, nic *PodNIC) {
	key := func(suffix string) string { return nic.Provider.Key(suffix) }
	nic.Security.Port = p.onOrOff(all, key(annotations.SuffixPortSecurity))
	nic.Security.Layer2 = p.onOrOff(all, key(annotations.SuffixLayer2Forward)) == PortSecurityOn
	for _, text := range p.bounded(key(annotations.SuffixPortVIPs), csv(all[key(annotations.SuffixPortVIPs)]), maxPortVIPs) {
		addr, err := parseAddr(text)
		if err != nil {
			p.warn(AnnotationField(key(annotations.SuffixPortVIPs)), "%s", err)
			continue
		}
		nic.Security.VIPs = append(nic.Security.VIPs, addr)
	}
	slices.SortFunc(nic.Security.VIPs, netip.Addr.Compare)
	nic.Security.VIPs = slices.Compact(nic.Security.VIPs)
}

// onOrOff parses an annotation that is true, false or absent.
func (p *problems) onOrOff(all map[string]string, key string) PortSecurity {
	switch value := PortSecurity(all[key]); value {
	case PortSecurityUnset, PortSecurityOn, PortSecurityOff:
		return value
	default:
		p.warn(AnnotationField(key), "%s is neither true nor false", quote(string(value)))
		return PortSecurityUnset
	}
}

// subnetSecurity parses the annotation port_security of a Subnet. A value that does not parse counts as true, so that a
// mistake opens nothing.
func (p *problems) subnetSecurity(all map[string]string) PortSecurity {
	switch value := PortSecurity(all[annotations.PortSecurity]); value {
	case PortSecurityUnset, PortSecurityOn, PortSecurityOptional, PortSecurityOff:
		return value
	default:
		p.warn(AnnotationField(annotations.PortSecurity), "%s is neither true, optional nor false; it counts as true", quote(string(value)))
		return PortSecurityOn
	}
}
