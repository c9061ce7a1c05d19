// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"

	"github.com/wovensdn/woven/api/annotations"
)

// NICState is the contents of the annotations of a Pod, or of a Node, for one NIC. Once Allocated is true, the
// controller wrote them; before that they are requests of a user, see [PodNIC].
type NICState struct {
	Provider  Provider
	Allocated bool
	Routed    bool     // its port is in the northbound database
	Subnet    string   // empty for none
	Addrs     Addrs    // of the NIC
	CIDR      Prefixes // of the subnet
	Gateway   Addrs    // of the subnet
	MAC       string   // as [MACText] writes it; empty for none
	VM        string   // see [Pod.RecordName]
}

// ReadNIC reads the annotations of one NIC. An empty one counts as absent. One that does not parse is a fatal problem
// whose field is the annotation's [AnnotationField], and is omitted from the state.
func ReadNIC(provider Provider, all map[string]string) (NICState, []Problem) {
	p := problems{reason: ReasonPodInvalid}
	value := func(suffix string) string { return all[provider.Key(suffix)] }
	s := NICState{
		Provider:  provider,
		Allocated: value(annotations.SuffixAllocated) == "true",
		Routed:    value(annotations.SuffixRouted) == "true",
		Subnet:    value(annotations.SuffixLogicalSwitch),
		VM:        value(annotations.SuffixVirtualMachine),
	}
	p.request(all, provider, annotations.SuffixIPAddress, parsed(&s.Addrs, ParseAddrs))
	p.request(all, provider, annotations.SuffixCIDR, parsed(&s.CIDR, ParsePrefixes))
	p.request(all, provider, annotations.SuffixGateway, parsed(&s.Gateway, ParseAddrs))
	p.request(all, provider, annotations.SuffixMACAddress, parsed(&s.MAC, ParseMAC))
	return s, p.list
}

// parsed stores the result of parse and returns the cause if parse fails.
func parsed[T any](into *T, parse func(string) (T, error)) func(string) string {
	return func(text string) string {
		var err error
		*into, err = parse(text)
		return errorText(err)
	}
}

// ReadServiceSource reads the annotation service_source of a Node: the source addresses of its host for Services, each
// with the prefix length of the range for all nodes, at most one for each IP family.
func ReadServiceSource(all map[string]string) ([]netip.Prefix, []Problem) {
	p := problems{reason: ReasonNodeInvalid}
	var out []netip.Prefix
	p.annotation(all, annotations.ServiceSource, func(value string) string {
		source, err := parseDual(value, func(part string) (netip.Prefix, bool, error) {
			prefix, err := parsePrefix(part)
			return prefix, prefix.Addr().Is4(), err
		})
		out = PrefixFamilies(source)
		return errorText(err)
	})
	return out, p.list
}
