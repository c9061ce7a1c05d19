package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// nodeOf reads what the controller wrote on this node. A value that does not
// parse is an error that names the annotation: the node is then left as it is.
func nodeOf(n *corev1.Node) (hostplan.Node, error) {
	p := annotationReader{object: "node " + n.Name, values: n.Annotations}
	h := hostplan.Node{
		Name:        n.Name,
		MAC:         p.mac(annotations.MACAddress),
		Gateways:    p.addresses(annotations.Gateway),
		InternalIPs: internalIPs(n),
	}
	cidrs := p.prefixes(annotations.CIDR)
	for _, a := range p.addresses(annotations.IPAddress) {
		bits := 0
		for _, c := range cidrs {
			if c.Contains(a) {
				bits = c.Bits()
			}
		}
		if bits == 0 {
			p.failf(annotations.IPAddress, "%s is in no prefix of %s (%q)", a, annotations.CIDR, n.Annotations[annotations.CIDR])
			continue
		}
		h.Addresses = append(h.Addresses, netip.PrefixFrom(a, bits))
	}
	for _, text := range list(n.Annotations[annotations.ServiceSource]) {
		source, err := netip.ParsePrefix(text)
		if err != nil {
			p.failf(annotations.ServiceSource, "%q is not an address with the length of a prefix", text)
			continue
		}
		h.Services = append(h.Services, source)
	}
	return h, p.err
}

// serviceNets are the networks that ClusterIPs come from. One that is being deleted
// still counts: it goes when no Service uses it.
func serviceNets(list []networkingv1.ServiceCIDR) (out []netip.Prefix) {
	for i := range list {
		for _, text := range list[i].Spec.CIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				out = append(out, p.Masked())
			}
		}
	}
	return out
}

// annotationReader keeps the first error.
type annotationReader struct {
	object string
	values map[string]string
	err    error
}

func (p *annotationReader) failf(key, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: annotation %s: %s", p.object, key, fmt.Sprintf(format, args...))
	}
}

func (p *annotationReader) addresses(key string) (out []netip.Addr) {
	for _, text := range list(p.values[key]) {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			p.failf(key, "%q is not an IP address", text)
			return nil
		}
		if slices.ContainsFunc(out, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
			p.failf(key, "%q has two addresses of one family", p.values[key])
			return nil
		}
		out = append(out, a)
	}
	return out
}

func (p *annotationReader) mac(key string) string {
	text := p.values[key]
	if text == "" {
		return ""
	}
	mac, err := model.ParseMAC(text)
	if err != nil {
		p.failf(key, "%q %s", text, err)
	}
	return mac
}

func (p *annotationReader) prefixes(key string) (out []netip.Prefix) {
	for _, text := range list(p.values[key]) {
		c, err := netip.ParsePrefix(text)
		if err != nil {
			p.failf(key, "%q is not a CIDR", text)
			return nil
		}
		out = append(out, c.Masked())
	}
	return out
}

// list splits a comma separated value.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// internalIPs are the node's addresses; what does not parse cannot be in a packet.
func internalIPs(n *corev1.Node) (out []netip.Addr) {
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			out = append(out, ip.Unmap())
		}
	}
	return out
}

// subnetOf reads what the plan may know of a Subnet.
func subnetOf(s *v1.Subnet, defaultVpc string) hostplan.Subnet {
	h := hostplan.Subnet{
		Name:        s.Name,
		Vpc:         s.Spec.Vpc,
		Underlay:    s.Spec.Vlan != "" && !s.Spec.LogicalGateway,
		NATOutgoing: s.Spec.NatOutgoing,
		Centralized: s.Spec.GatewayType == v1.GatewayCentralized,
		Untracked:   s.Spec.EnableLb != nil && !*s.Spec.EnableLb,
	}
	h.ActiveGateways = list(s.Status.ActivateGateway)
	egress, problems := model.EgressFrom(s)
	h.Egress = egress
	for _, p := range problems {
		h.Problems = append(h.Problems, p.Error())
	}
	if h.Vpc == "" && ovnProvider(s.Spec.Provider) {
		h.Vpc = defaultVpc
	}
	for _, text := range list(s.Spec.CIDRBlock) {
		c, err := netip.ParsePrefix(text)
		if err != nil || c.Bits() == 0 {
			h.CIDRs, h.Invalid = nil, fmt.Sprintf("spec.cidrBlock: %q is not a CIDR of a subnet", text)
			return h
		}
		h.CIDRs = append(h.CIDRs, c.Masked())
	}
	return h
}

// ovnProvider reports whether OVN moves the packets of a provider's NICs.
func ovnProvider(p string) bool {
	return p == "" || p == annotations.DefaultProvider || strings.HasSuffix(p, "."+annotations.DefaultProvider)
}

// podOf reads the addresses of a pod's NICs, one entry for each subnet. What does
// not parse cannot be in a packet.
func podOf(p *corev1.Pod) (out []hostplan.Pod) {
	for key, text := range p.Annotations {
		nic, ok := strings.CutSuffix(key, "/"+annotations.SuffixIPAddress)
		if !ok {
			continue
		}
		h := hostplan.Pod{Subnet: p.Annotations[nic+"/"+annotations.SuffixLogicalSwitch]}
		for _, t := range list(text) {
			if a, err := netip.ParseAddr(t); err == nil {
				h.Addresses = append(h.Addresses, a.Unmap())
			}
		}
		if h.Subnet != "" && len(h.Addresses) > 0 {
			out = append(out, h)
		}
	}
	return out
}

// podPorts picks the ports of pods out of all that are ours.
func podPorts(ports []ovs.Port) (names []string) {
	for _, p := range ports {
		if p.Bridge == hostplan.IntegrationBridge && p.Type != internal && p.ExternalIDs[ovs.KeyIfaceID] != "" {
			names = append(names, p.Name)
		}
	}
	return names
}
