// Package podnet reads from a pod's annotations what one NIC of it needs. It is
// pure: no client, no clock, no kernel.
package podnet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
)

// DefaultIfName is the interface that owns the default route unless the annotation default_route says otherwise.
const DefaultIfName = "eth0"

const (
	suffixDefaultRoute = "default_route"
	maxRoutes          = 256
)

// Ref names one NIC of a pod.
type Ref struct {
	Namespace, Name string
	// UID is the pod's UID; empty if the runtime did not say, then a pod of that name is taken whatever its UID.
	UID string
	// Provider selects the annotations; empty means [annotations.DefaultProvider].
	Provider string
	// IfName is the interface inside the pod.
	IfName string
}

// String is how errors and logs name the pod.
func (r Ref) String() string { return "pod " + r.Namespace + "/" + r.Name }

// provider is Provider with its default.
func (r Ref) provider() string {
	if r.Provider == "" {
		return annotations.DefaultProvider
	}
	return r.Provider
}

// Route is a route inside the pod.
type Route struct {
	Dst netip.Prefix
	// Gateway is of the family of Dst.
	Gateway netip.Addr
}

// Network is what one NIC of a pod looks like.
type Network struct {
	Namespace, Name string
	// UID is the pod's UID and the port's options:iface-id-ver.
	UID      string
	Provider string
	// Port is the name of the logical switch port: "<pod>.<ns>", with ".<provider>" for other providers than "ovn".
	Port string
	// LogicalSwitch names the Subnet.
	LogicalSwitch string
	// Addresses hold the address and the length of the subnet's prefix, IPv4 first. Never empty.
	Addresses []netip.Prefix
	// Gateways holds at most one address per family of Addresses.
	Gateways []netip.Addr
	MAC      net.HardwareAddr
	// MTU is in bytes; 0 means the node's default. Annotations do not say it: whoever knows the subnet fills it in.
	MTU int
	// Routes are those of the routes annotation.
	Routes []Route
	// DefaultRoute says whether this NIC owns the pod's default routes.
	DefaultRoute bool
}

// Gateway returns the gateway of the family of addr; the zero Addr if there is none.
func (n Network) Gateway(addr netip.Addr) netip.Addr {
	for _, gw := range n.Gateways {
		if gw.Is4() == addr.Is4() {
			return gw
		}
	}
	return netip.Addr{}
}

// PortName returns the logical switch port of a NIC; name is that of the pod, or of the VM that it runs.
func PortName(namespace, name, provider string) string {
	if provider == "" || provider == annotations.DefaultProvider {
		return name + "." + namespace
	}
	return name + "." + namespace + "." + provider
}

// GatewayKey is the annotation with the gateways of a NIC.
func GatewayKey(ref Ref) string { return annotations.Key(ref.provider(), annotations.SuffixGateway) }

// Pending says in words what the controller has still to write before [Parse] makes sense, without naming the pod; ""
// when nothing is missing.
func Pending(ref Ref, ann map[string]string) string {
	for _, suffix := range []string{annotations.SuffixAllocated, annotations.SuffixRouted} {
		key := annotations.Key(ref.provider(), suffix)
		if ann[key] != "true" {
			return fmt.Sprintf("annotation %s is not yet \"true\"", key)
		}
	}
	return ""
}

// Parse reads the annotations of a pod for which [Pending] is empty. Its errors name the pod, the annotation and the cause.
func Parse(ref Ref, uid string, ann map[string]string) (Network, error) {
	p := parser{ref: ref, provider: ref.provider(), ann: ann}
	n := Network{
		Namespace: ref.Namespace, Name: ref.Name, UID: uid, Provider: p.provider,
		Port:          PortName(ref.Namespace, p.record(), p.provider),
		LogicalSwitch: p.get(annotations.SuffixLogicalSwitch),
		Addresses:     p.addresses(),
		Gateways:      p.gateways(),
		MAC:           p.mac(),
		DefaultRoute:  p.defaultRoute(),
	}
	n.Gateways = slices.DeleteFunc(n.Gateways, func(gw netip.Addr) bool {
		return !slices.ContainsFunc(n.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == gw.Is4() })
	})
	n.Routes = p.routes(n)
	if p.err != nil {
		return Network{}, p.err
	}
	return n, nil
}

// parser keeps the first error, so that Parse reads as a list of fields.
type parser struct {
	ref      Ref
	provider string
	ann      map[string]string
	err      error
}

func (p *parser) get(suffix string) string { return p.ann[annotations.Key(p.provider, suffix)] }

// record is the name that the NIC's port bears.
func (p *parser) record() string { return cmp.Or(p.get(annotations.SuffixVirtualMachine), p.ref.Name) }

func (p *parser) failf(suffix, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: annotation %s: "+format, append([]any{p.ref, annotations.Key(p.provider, suffix)}, args...)...)
	}
}

// addresses joins ip_address with the prefix lengths of cidr.
func (p *parser) addresses() []netip.Prefix {
	addrs := p.list(annotations.SuffixIPAddress)
	if len(addrs) == 0 {
		p.failf(annotations.SuffixIPAddress, "is empty")
		return nil
	}
	cidrs := p.cidrs()
	var out []netip.Prefix
	for _, addr := range addrs {
		i := slices.IndexFunc(cidrs, func(c netip.Prefix) bool { return c.Addr().Is4() == addr.Is4() })
		switch {
		case i < 0:
			p.failf(annotations.SuffixCIDR, "%q has no prefix for the address %s", p.get(annotations.SuffixCIDR), addr)
		case !cidrs[i].Contains(addr):
			p.failf(annotations.SuffixIPAddress, "%s is outside the subnet's CIDR %s", addr, cidrs[i])
		default:
			out = append(out, netip.PrefixFrom(addr, cidrs[i].Bits()))
		}
	}
	return out
}

func (p *parser) cidrs() []netip.Prefix {
	var out []netip.Prefix
	for _, text := range strings.Split(p.get(annotations.SuffixCIDR), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			p.failf(annotations.SuffixCIDR, "%q is not a CIDR", text)
			return nil
		}
		out = append(out, prefix.Masked())
	}
	return out
}

func (p *parser) gateways() []netip.Addr { return p.list(annotations.SuffixGateway) }

// list reads "v4", "v6" or "v4,v6".
func (p *parser) list(suffix string) []netip.Addr {
	var out []netip.Addr
	for _, text := range strings.Split(p.get(suffix), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			p.failf(suffix, "%q is not an IP address", text)
			return nil
		}
		if slices.ContainsFunc(out, func(a netip.Addr) bool { return a.Is4() == addr.Is4() }) {
			p.failf(suffix, "%q has two addresses of one family", p.get(suffix))
			return nil
		}
		out = append(out, addr)
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return out
}

func (p *parser) mac() net.HardwareAddr {
	text := p.get(annotations.SuffixMACAddress)
	mac, err := net.ParseMAC(text)
	switch {
	case err != nil || len(mac) != 6:
		p.failf(annotations.SuffixMACAddress, "%q is not a MAC address", text)
		return nil
	case mac[0]&1 != 0 || slices.Equal(mac, make(net.HardwareAddr, 6)):
		p.failf(annotations.SuffixMACAddress, "%q is not a unicast MAC address", text)
		return nil
	}
	return mac
}

func (p *parser) defaultRoute() bool {
	switch text := p.get(suffixDefaultRoute); text {
	case "true":
		return true
	case "false":
		return false
	case "":
		return p.ref.IfName == "" || p.ref.IfName == DefaultIfName
	default:
		p.failf(suffixDefaultRoute, "%q is neither \"true\" nor \"false\"", text)
		return false
	}
}

func (p *parser) routes(n Network) []Route {
	text := p.get(annotations.SuffixRoutes)
	if text == "" {
		return nil
	}
	var raw []struct {
		Dst string `json:"dst"`
		Gw  string `json:"gw"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		p.failf(annotations.SuffixRoutes, "is not a JSON list of {\"dst\",\"gw\"}: %w", err)
		return nil
	}
	if len(raw) > maxRoutes {
		p.failf(annotations.SuffixRoutes, "has %d elements, at most %d are allowed", len(raw), maxRoutes)
		return nil
	}
	var out []Route
	for i, r := range raw {
		route, err := n.ParseRoute(r.Dst, r.Gw)
		if err != nil {
			p.failf(annotations.SuffixRoutes, "[%d]: %w", i, err)
			return nil
		}
		out = append(out, route)
	}
	return out
}

// ParseRoute reads a route; an empty gateway means the NIC's gateway of that family.
func (n Network) ParseRoute(dst, gw string) (Route, error) {
	prefix, err := netip.ParsePrefix(dst)
	if err != nil || prefix.Addr().Is4In6() {
		return Route{}, fmt.Errorf("dst: %q is not a CIDR", dst)
	}
	if !slices.ContainsFunc(n.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == prefix.Addr().Is4() }) {
		return Route{}, fmt.Errorf("dst: the interface has no address of the family of %s", prefix)
	}
	if gw == "" {
		addr := n.Gateway(prefix.Addr())
		if !addr.IsValid() {
			return Route{}, fmt.Errorf("gw: is empty and the subnet has no gateway of the family of %s", prefix)
		}
		return Route{Dst: prefix.Masked(), Gateway: addr}, nil
	}
	addr, err := netip.ParseAddr(gw)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		return Route{}, fmt.Errorf("gw: %q is not an IP address", gw)
	}
	if addr.Is4() != prefix.Addr().Is4() {
		return Route{}, fmt.Errorf("gw: %s and the destination %s are of different families", addr, prefix)
	}
	return Route{Dst: prefix.Masked(), Gateway: addr}, nil
}
