// SPDX-License-Identifier: Apache-2.0

// Package podnet reads the network configuration of one NIC from the annotations of its pod. It is pure: no client, no
// clock, no kernel.
package podnet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
)

// DefaultIfName is the interface that owns the default route unless the annotation default_route says otherwise.
const DefaultIfName = "eth0"

const (
	suffixDefaultRoute = "default_route"
	maxRoutes          = 256
)

// ErrOutside is wrapped by the errors of [Parse] about an address that the subnet's CIDR does not contain.
var ErrOutside = errors.New("is outside the subnet's CIDR")

// Ref names one NIC of a pod.
type Ref struct {
	Namespace, Name string
	// UID is the pod's UID; empty if the runtime did not send it: then any pod of that name matches.
	UID string
	// Provider selects the annotations; empty means [annotations.DefaultProvider].
	Provider string
	// IfName is the interface inside the pod.
	IfName string
}

// String names the pod in errors and logs.
func (r Ref) String() string { return "pod " + r.Namespace + "/" + r.Name }

// provider returns Provider or its default.
func (r Ref) provider() string {
	if r.Provider == "" {
		return annotations.DefaultProvider
	}
	return r.Provider
}

// Route is a route inside the pod.
type Route struct {
	Dst netip.Prefix
	// Gateway has the IP family of Dst.
	Gateway netip.Addr
}

// Network is the network configuration of one NIC of a pod.
type Network struct {
	Namespace, Name string
	// UID is the pod's UID and the port's options:iface-id-ver.
	UID      string
	Provider string
	// Port is the name of the logical switch port: "<pod>.<ns>", with ".<provider>" for other providers than "ovn".
	Port string
	// LogicalSwitch names the Subnet.
	LogicalSwitch string
	// Addresses are the addresses with the prefix length of the subnet, IPv4 first. Never empty.
	Addresses []netip.Prefix
	// Gateways contains at most one address for each IP family of Addresses.
	Gateways []netip.Addr
	MAC      net.HardwareAddr
	// MTU is in bytes; 0 means the node's default. It is not in the annotations: the caller that knows the subnet sets
	// it.
	MTU int
	// Advertiser is the source of the subnet's router advertisements (RFC 4861); the zero Addr if it sends none. It is
	// not in the annotations either.
	Advertiser netip.Addr
	// Routes are those of the routes annotation.
	Routes []Route
	// DefaultRoute is whether this NIC has the pod's default routes.
	DefaultRoute bool
}

// Addrs returns the addresses without their prefix lengths.
func (n Network) Addrs() (out model.Addrs) {
	for _, p := range n.Addresses {
		if p.Addr().Is4() {
			out.V4 = p.Addr()
		} else {
			out.V6 = p.Addr()
		}
	}
	return out
}

// Gateway returns the gateway of the IP family of addr; the zero Addr if there is none.
func (n Network) Gateway(addr netip.Addr) netip.Addr {
	for _, gw := range n.Gateways {
		if gw.Is4() == addr.Is4() {
			return gw
		}
	}
	return netip.Addr{}
}

// GatewayKey is the annotation with the gateways of a NIC.
func GatewayKey(ref Ref) string { return annotations.Key(ref.provider(), annotations.SuffixGateway) }

// CIDRKey is the annotation with the networks of a NIC.
func CIDRKey(ref Ref) string { return annotations.Key(ref.provider(), annotations.SuffixCIDR) }

// Pending describes what the controller has still to write before [Parse] can be called, without the name of the pod;
// empty if nothing is missing.
func Pending(ref Ref, ann map[string]string) string {
	for _, suffix := range []string{annotations.SuffixAllocated, annotations.SuffixRouted} {
		key := annotations.Key(ref.provider(), suffix)
		if ann[key] != "true" {
			return fmt.Sprintf("annotation %s is not yet \"true\"", key)
		}
	}
	return ""
}

// Parse reads the annotations of a pod for which [Pending] is empty. Its errors name the pod, the annotation and the
// cause.
func Parse(ref Ref, uid string, ann map[string]string) (Network, error) {
	state, problems := model.ReadNIC(model.Provider(ref.provider()), ann)
	if len(problems) > 0 {
		return Network{}, fmt.Errorf("%s: annotation %s: %s", ref, model.AnnotationKey(problems[0].Field), problems[0].Message)
	}
	n, suffix, err := network(ref, uid, state)
	if err == nil {
		n.DefaultRoute, suffix, err = defaultRoute(ref, ann)
	}
	if err == nil {
		suffix = annotations.SuffixRoutes
		n.Routes, err = n.parseRoutes(ann[annotations.Key(n.Provider, suffix)])
	}
	if err != nil {
		return Network{}, fmt.Errorf("%s: annotation %s: %w", ref, annotations.Key(ref.provider(), suffix), err)
	}
	return n, nil
}

// network builds the network from the annotations that the controller wrote; an error is about the annotation with the
// suffix.
func network(ref Ref, uid string, state model.NICState) (n Network, suffix string, err error) {
	n = Network{
		Namespace: ref.Namespace, Name: ref.Name, UID: uid, Provider: string(state.Provider), LogicalSwitch: state.Subnet,
		Port: model.PortName(cmp.Or(state.VM, ref.Name), ref.Namespace, state.Provider),
	}
	for _, addr := range model.Families(state.Addrs) {
		cidr, gateway := state.CIDR.Of(addr), state.Gateway.Of(addr)
		switch {
		case state.CIDR == model.Prefixes{}:
			return n, annotations.SuffixCIDR, fmt.Errorf("\"\" has no prefix for the address %s", addr)
		case !cidr.Contains(addr): // or there is no CIDR of that family
			return n, annotations.SuffixIPAddress, fmt.Errorf("%s %w %s", addr, ErrOutside, model.PrefixesText(state.CIDR))
		}
		n.Addresses = append(n.Addresses, netip.PrefixFrom(addr, cidr.Bits()))
		if gateway.IsValid() {
			n.Gateways = append(n.Gateways, gateway)
		}
	}
	switch {
	case len(n.Addresses) == 0:
		return n, annotations.SuffixIPAddress, errors.New("is empty")
	case state.MAC == "":
		return n, annotations.SuffixMACAddress, errors.New("is empty")
	}
	n.MAC, err = net.ParseMAC(state.MAC)
	return n, annotations.SuffixMACAddress, err
}

func defaultRoute(ref Ref, ann map[string]string) (yes bool, suffix string, err error) {
	switch text := ann[annotations.Key(ref.provider(), suffixDefaultRoute)]; text {
	case "true":
		return true, "", nil
	case "false":
		return false, "", nil
	case "":
		return ref.IfName == "" || ref.IfName == DefaultIfName, "", nil
	default:
		return false, suffixDefaultRoute, fmt.Errorf("%q is neither \"true\" nor \"false\"", text)
	}
}

// parseRoutes reads the routes annotation.
func (n Network) parseRoutes(text string) ([]Route, error) {
	if text == "" {
		return nil, nil
	}
	var raw []struct {
		Dst string `json:"dst"`
		Gw  string `json:"gw"`
	}
	// A mistyped "dst" would make a default route.
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil || d.More() {
		return nil, fmt.Errorf("is not a JSON list of {\"dst\",\"gw\"}: %w", cmp.Or(err, errMore))
	}
	if len(raw) > maxRoutes {
		return nil, fmt.Errorf("has %d elements, at most %d are allowed", len(raw), maxRoutes)
	}
	var out []Route
	for i, r := range raw {
		route, err := n.ParseRoute(r.Dst, r.Gw)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out = append(out, route)
	}
	return out, nil
}

// errMore is the problem of a text after the end of a JSON value.
var errMore = errors.New("text follows the list")

// ParseRoute reads a route. An empty destination means the default route of the gateway's IP family, and an empty
// gateway the NIC's gateway of the destination's IP family.
func (n Network) ParseRoute(dst, gw string) (Route, error) {
	prefix, gateway, err := routeText(dst, gw)
	if err != nil {
		return Route{}, err
	}
	if !slices.ContainsFunc(n.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == prefix.Addr().Is4() }) {
		field := "dst"
		if dst == "" {
			field = "gw"
		}
		return Route{}, fmt.Errorf("%s: the interface has no address of the IP family of %s", field, cmp.Or(dst, gw))
	}
	if !gateway.IsValid() {
		if gateway = n.Gateway(prefix.Addr()); !gateway.IsValid() {
			return Route{}, fmt.Errorf("gw: is empty and the subnet has no gateway of the IP family of %s", prefix)
		}
	}
	return Route{Dst: prefix, Gateway: gateway}, nil
}

// routeText parses the texts of a route: destination and gateway, of which one may be empty. The gateway is the zero
// Addr if it is empty.
func routeText(dst, gw string) (prefix netip.Prefix, gateway netip.Addr, err error) {
	if dst == "" && gw == "" {
		return prefix, gateway, errors.New("has neither dst nor gw")
	}
	if gw != "" {
		if gateway, err = netip.ParseAddr(gw); err != nil || gateway.Zone() != "" || gateway.Is4In6() {
			return prefix, gateway, fmt.Errorf("gw: %q is not an IP address", gw)
		}
		prefix = netip.PrefixFrom(gateway, 0).Masked()
	}
	if dst != "" {
		if prefix, err = netip.ParsePrefix(dst); err != nil || prefix.Addr().Is4In6() {
			return prefix, gateway, fmt.Errorf("dst: %q is not a CIDR", dst)
		}
	}
	if gateway.IsValid() && gateway.Is4() != prefix.Addr().Is4() {
		return prefix, gateway, fmt.Errorf("gw: %s and the destination %s have different IP families", gateway, prefix)
	}
	return prefix.Masked(), gateway, nil
}
