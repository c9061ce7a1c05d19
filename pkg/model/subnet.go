// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// GatewayType is where egress traffic of a subnet leaves the cluster.
type GatewayType string

// The gateway types of a Subnet.
const (
	GatewayDistributed GatewayType = "distributed"
	GatewayCentralized GatewayType = "centralized"
)

// Subnet is a logical switch and a range of addresses.
type Subnet struct {
	Meta
	Vpc         string
	Provider    Provider
	CIDR        Prefixes // masked
	Gateway     Addrs
	Exclude     []Range // includes the gateways
	Default     bool
	GatewayType GatewayType
	NatOutgoing bool
	Gateways    Gateways
	Isolation
	// LoadBalancers is spec.enableLb: whether the pods reach Services; nil means the controller's default.
	LoadBalancers *bool
	MTU           int // bytes; 0 for the maximum inside the tunnels
	Vlan          string
	Namespaces    []string
	DHCP          DHCP
	// RouterAdvertisement contains the options of spec.ipv6RAConfigs; nil if the router advertises nothing.
	RouterAdvertisement map[string]string
	// NamespaceSelectors are spec.namespaceSelectors as labels.Selector writes them; labels.Parse reads them.
	NamespaceSelectors []string
	PortSecurity       PortSecurity
	// AllowedNamespaces is the annotation allowed_namespaces: further namespaces whose pods may name the subnet.
	// Sorted.
	AllowedNamespaces []string
	// VIPs is spec.vips: addresses that are not allocated, and that pods may send with besides their own (annotation
	// port_vips). Sorted.
	VIPs []netip.Addr
}

// SubnetNetwork is the part of a Subnet that its pods and nodes depend on: changes of other fields do not compile them
// again.
type SubnetNetwork struct {
	Name     string
	Vpc      string
	Provider Provider
	CIDR     Prefixes
	Gateway  Addrs
	Vlan     string
	DHCP     DHCP
	// PortSecurity and VIPs are those of the Subnet.
	PortSecurity PortSecurity
	VIPs         []netip.Addr
}

// Network is the part of the subnet that its pods and nodes depend on.
func (s *Subnet) Network() SubnetNetwork {
	return SubnetNetwork{
		Name: s.Name, Vpc: s.Vpc, Provider: s.Provider, CIDR: s.CIDR, Gateway: s.Gateway, Vlan: s.Vlan, DHCP: s.DHCP,
		PortSecurity: s.PortSecurity, VIPs: s.VIPs,
	}
}

// Unallocated are the addresses that no pod gets unless it requests them: spec.excludeIps and spec.vips.
func (s *Subnet) Unallocated() []Range {
	out := slices.Clip(s.Exclude)
	for _, addr := range s.VIPs {
		out = append(out, Range{First: addr, Last: addr})
	}
	return out
}

// FieldCIDRBlock is the field of the problems of a Subnet's addresses.
const FieldCIDRBlock = "spec.cidrBlock"

// The limits of an MTU, in bytes: what a link must carry for IPv4 (RFC 791, 3.2) and for IPv6 (RFC 8200, 5), and the
// greatest IP packet.
const (
	minMTUv4 = 68
	minMTUv6 = 1280
	maxMTU   = 65535
)

// SubnetFrom projects a Subnet, with defaults for what its spec omits: a CIDR in network form, the first address of the
// CIDR as gateway, provider "ovn", Vpc "ovn-cluster", in that Vpc a distributed gateway. Errors in fields that the
// projection requires are fatal; an error in an independent feature is a problem of that feature alone.
func SubnetFrom(o *v1.Subnet) (Subnet, []Problem) {
	p := problems{reason: ReasonSubnetInvalid}
	spec := &o.Spec
	s := Subnet{
		Meta:          metaOf(o),
		Provider:      Provider(spec.Provider),
		Vpc:           spec.Vpc,
		Default:       spec.Default,
		GatewayType:   GatewayType(spec.GatewayType),
		NatOutgoing:   spec.NatOutgoing,
		Isolation:     Isolation{Private: spec.Private},
		MTU:           int(spec.Mtu),
		LoadBalancers: copied(spec.EnableLb),
		Vlan:          spec.Vlan,
		Namespaces:    slices.Clone(spec.Namespaces),
	}
	p.network(&s)
	s.CIDR = p.cidr(spec)
	s.Gateway = p.gateway(spec, s.CIDR)
	s.Exclude = p.excluded(spec, s.CIDR, s.Gateway)
	s.NamespaceSelectors = p.selectors("spec.namespaceSelectors", spec.NamespaceSelectors)
	p.mtu(s)
	p.isolation(spec, &s)
	p.dhcp(spec, &s)
	s.Gateways = p.gateways(o)
	s.PortSecurity = p.subnetSecurity(o.Annotations)
	s.VIPs = p.vips(spec, s)
	s.AllowedNamespaces = sorted(csv(o.Annotations[annotations.AllowedNamespaces]), strings.Compare)
	p.interconnection(spec, s)
	p.unsupported(KindSubnet, o, &o.Spec)
	return s, p.list
}

// network sets the defaults of the names and checks them.
func (p *problems) network(s *Subnet) {
	if s.Provider == "" {
		s.Provider = DefaultProvider
	}
	if causes := validation.IsDNS1123Subdomain(strings.TrimSuffix(s.Provider.Key(""), "/")); len(causes) > 0 {
		p.fatal("spec.provider", "%s cannot begin an annotation: %s", quote(string(s.Provider)), causes[0])
	}
	if s.Vpc == "" && s.Provider.OVN() {
		s.Vpc = DefaultVpc
	}
	if s.Vpc == s.Name {
		p.fatal("spec.vpc", "%s is the name of the Subnet itself: the ports between router and switch would have the same name", quote(s.Vpc))
	}
	if s.GatewayType == "" && s.Vpc == DefaultVpc {
		s.GatewayType = GatewayDistributed
	}
	if t := s.GatewayType; t != "" && t != GatewayDistributed && t != GatewayCentralized {
		p.fatal("spec.gatewayType", "%s is neither %s nor %s", quote(string(t)), GatewayDistributed, GatewayCentralized)
	}
}

func (p *problems) mtu(s Subnet) {
	switch {
	case s.MTU == 0:
	case s.MTU < minMTUv4 || s.MTU > maxMTU:
		p.fatal("spec.mtu", "%d is not from %d to %d", s.MTU, minMTUv4, maxMTU)
	case s.MTU < minMTUv6 && s.CIDR.V6.IsValid():
		p.fatal("spec.mtu", "%d is less than %d, the least that IPv6 works with (RFC 8200, 5)", s.MTU, minMTUv6)
	}
}

func (p *problems) cidr(spec *v1.SubnetSpec) Prefixes {
	const field = FieldCIDRBlock
	if spec.CIDRBlock == "" {
		if spec.Vlan == "" {
			p.fatal(field, "it is empty; only an underlay subnet (spec.vlan) may have no CIDR")
		}
		return Prefixes{}
	}
	cidr, err := ParsePrefixes(spec.CIDRBlock)
	if err != nil {
		p.fatal(field, "%s: %s", quote(spec.CIDRBlock), err)
		return Prefixes{}
	}
	for _, prefix := range PrefixFamilies(cidr) {
		if cause := notUnicast(prefix.Addr()); cause != nil {
			p.fatal(field, "%s begins with %s, which %s", prefix, prefix.Addr(), cause)
			return Prefixes{}
		}
		if prefix.IsSingleIP() {
			p.fatal(field, "%s is a single address: no address is left for pods", prefix)
			return Prefixes{}
		}
	}
	return cidr
}

// gateway is by default the first address of each IP family.
func (p *problems) gateway(spec *v1.SubnetSpec, cidr Prefixes) Addrs {
	const field = "spec.gateway"
	var gateway Addrs
	if cidr == (Prefixes{}) && spec.CIDRBlock != "" {
		return Addrs{} // the problem of the CIDR is already reported
	}
	if spec.Gateway != "" {
		var err error
		if gateway, err = ParseAddrs(spec.Gateway); err != nil {
			p.fatal(field, "%s: %s", quote(spec.Gateway), err)
			return Addrs{}
		}
	}
	gateway.V4 = p.gatewayOf(gateway.V4, cidr.V4, spec.CIDRBlock)
	gateway.V6 = p.gatewayOf(gateway.V6, cidr.V6, spec.CIDRBlock)
	return gateway
}

func (p *problems) gatewayOf(addr netip.Addr, prefix netip.Prefix, cidrBlock string) netip.Addr {
	const field = "spec.gateway"
	switch {
	case !prefix.IsValid() && addr.IsValid():
		p.fatal(field, "%s has an IP family that cidrBlock %s does not have", addr, quote(cidrBlock))
		return netip.Addr{}
	case !prefix.IsValid():
		return netip.Addr{}
	case !addr.IsValid():
		return HostRange(prefix).First
	case !prefix.Contains(addr):
		p.fatal(field, "%s is not in the CIDR %s", addr, prefix)
	case !HostRange(prefix).Contains(addr):
		p.fatal(field, "%s is the network or broadcast address of the CIDR %s", addr, prefix)
	}
	return addr
}

// excluded parses excludeIps and adds the gateways.
func (p *problems) excluded(spec *v1.SubnetSpec, cidr Prefixes, gateway Addrs) []Range {
	const field = "spec.excludeIps"
	if cidr == (Prefixes{}) {
		if len(spec.ExcludeIPs) > 0 && spec.CIDRBlock == "" {
			p.fatal(field, "%s: without a CIDR there is no address to exclude", quote(spec.ExcludeIPs[0]))
		}
		return nil
	}
	var ranges []Range
	for _, text := range spec.ExcludeIPs {
		r, err := ParseRange(text)
		if err != nil {
			p.fatal(field, "%s: %s", quote(text), err)
			continue
		}
		if prefix := cidr.Of(r.First); !prefix.IsValid() || !prefix.Contains(r.First) || !prefix.Contains(r.Last) {
			p.fatal(field, "%s is not in the CIDR %s", r, PrefixesText(cidr))
			continue
		}
		ranges = append(ranges, r)
	}
	for _, addr := range Families(gateway) {
		ranges = append(ranges, Range{First: addr, Last: addr})
	}
	return joinOverlapping(ranges)
}

func (p *problems) selectors(field string, selectors []metav1.LabelSelector) []string {
	var out []string
	for i := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(&selectors[i])
		if err != nil {
			p.warn(field, "element %d is not a label selector and selects nothing: %s", i, err)
			continue
		}
		out = append(out, selector.String())
	}
	return out
}

// SubnetDefaults returns the Subnet with its defaults in its spec, and the label of its Vpc, as the controller writes
// it back; nil if there is nothing to change, and if the spec is invalid: an invalid spec stays as its author wrote it.
func SubnetDefaults(o *v1.Subnet) *v1.Subnet {
	s, list := SubnetFrom(o)
	if Fatal(list) {
		return nil
	}
	out := o.DeepCopy()
	spec := &out.Spec
	spec.Provider, spec.Vpc, spec.GatewayType = string(s.Provider), s.Vpc, v1.GatewayType(s.GatewayType)
	spec.CIDRBlock, spec.Gateway = PrefixesText(s.CIDR), AddrsText(s.Gateway)
	spec.Protocol = protocol(s.CIDR)
	if exclude := RangeTexts(s.Exclude); !slices.Equal(exclude, spec.ExcludeIPs) {
		spec.ExcludeIPs = exclude
	}
	if spec.Vlan == "" {
		spec.U2OInterconnection = false
	}
	if !spec.U2OInterconnection {
		spec.U2OInterconnectionIP = ""
	}
	// For label selectors; a Vpc name that is too long for a label is omitted.
	if len(validation.IsValidLabelValue(s.Vpc)) == 0 {
		metav1.SetMetaDataLabel(&out.ObjectMeta, annotations.LabelVpc, s.Vpc)
	}
	if reflect.DeepEqual(o.Spec, out.Spec) && o.Labels[annotations.LabelVpc] == out.Labels[annotations.LabelVpc] {
		return nil
	}
	return out
}

// RangeTexts formats ranges sorted as texts, as Kube-OVN does: programs that compare the list find it equal.
func RangeTexts(ranges []Range) []string {
	var out []string
	for _, r := range ranges {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

func protocol(cidr Prefixes) v1.Protocol {
	switch {
	case cidr.V4.IsValid() && cidr.V6.IsValid():
		return v1.ProtocolDual
	case cidr.V4.IsValid():
		return v1.ProtocolIPv4
	case cidr.V6.IsValid():
		return v1.ProtocolIPv6
	default:
		return v1.ProtocolMAC
	}
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	value := *p
	return &value
}
