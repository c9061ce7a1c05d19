// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Host is the state of one node that the cniserver manages.
type Host struct {
	Interfaces []Interface
	Mirrors    []Mirror
	Links      []Link
	Routes     []Route
	// Sets are the sets of the nftables table [hostplan.TableName] of family inet, by name; nil if there is no such
	// table.
	Sets map[string][]string
}

// Interface is a row of table Interface of Open_vSwitch (ovs-vswitchd.conf.db(5)).
type Interface struct {
	Name, Type string
	// Bridge is the bridge of the interface; empty if it has none.
	Bridge      string
	ExternalIDs map[string]string
	// Error is why the datapath has no port for it; empty if it has one.
	Error string
}

// Mirror is a row of table Mirror of Open_vSwitch, with names for ports.
type Mirror struct {
	Name, Output     string
	SelectSrc, ToDst []string
}

// Link is a network link of the node's own namespace.
type Link struct {
	Name, Alias, MAC string
	Up               bool
	Addresses        []netip.Prefix
}

// Route is a route of the node's main table; the default route has an invalid Dst.
type Route struct {
	Dst      netip.Prefix
	Gateway  netip.Addr
	Link     string
	Protocol int
}

// Marks of a pod's interface: a key of the Interface's external_ids, and the prefix of the link's alias.
const (
	keyContainerID = "container_id"
	aliasPrefix    = "woven "
)

// host compares one node's Open_vSwitch and kernel with the pods and the annotations of that node.
func (c *comparison) host(name string, h *Host) {
	node, ok := c.node[name]
	if !ok {
		c.differ(checkAPI, "node %s runs, but has no Node object", name)
		return
	}
	links := map[string]*Link{}
	for i := range h.Links {
		links[h.Links[i].Name] = &h.Links[i]
	}
	interfaces := c.podInterfaces(name, h, links)
	for _, n := range c.wanted() {
		if n.pod.Spec.NodeName == name && n.hasContainer && len(interfaces[n.port]) == 0 {
			c.differ(checkOVS, "%s: node %s has no OVS interface with iface-id %s", n, name, n.port)
		}
	}
	for _, port := range sortedKeys(interfaces) {
		if names := interfaces[port]; len(names) > 1 {
			c.differ(checkOVS, "node %s: OVS interfaces %s have the same iface-id %s", name, strings.Join(names, " and "), port)
		}
	}
	c.veths(name, h)
	c.mirrors(name, h, interfaces)
	c.nodeLink(node, h, links)
	c.routes(node, h)
	c.filter(node, h)
}

// podInterfaces compares each interface of a pod with its pod, and returns the interfaces by port.
func (c *comparison) podInterfaces(node string, h *Host, links map[string]*Link) map[string][]string {
	all := map[string][]string{}
	for i := range h.Interfaces {
		iface := &h.Interfaces[i]
		if !marked(iface.ExternalIDs) || iface.ExternalIDs[keyContainerID] == "" {
			continue
		}
		port := iface.ExternalIDs[ovs.KeyIfaceID]
		all[port] = append(all[port], iface.Name)
		n := c.nics[port]
		if n == nil || n.pod.Spec.NodeName != node {
			c.differ(checkOVS, "node %s: OVS interface %s (iface-id %s) has no pod on this node", node, iface.Name, orNone(port))
			continue
		}
		if n.deleting {
			continue
		}
		c.podInterface(node, n, iface)
		if links[iface.Name] == nil {
			c.differ(checkKernel, "%s: node %s has no link %s, which is its OVS interface", n, node, iface.Name)
		}
	}
	return all
}

func (c *comparison) podInterface(node string, n *nic, iface *Interface) {
	if ver := iface.ExternalIDs[ovs.KeyIfaceIDVer]; ver != string(n.pod.UID) {
		c.differ(checkOVS, "%s: UID %s, OVS interface %s of node %s has iface-id-ver %s", n, n.pod.UID, iface.Name, node, orNone(ver))
	}
	if iface.Bridge != hostplan.IntegrationBridge {
		c.differ(checkOVS, "%s: OVS interface %s of node %s is on bridge %s, not on %s", n, iface.Name, node, orNone(iface.Bridge), hostplan.IntegrationBridge)
	}
	if iface.Error != "" {
		c.differ(checkOVS, "%s: OVS interface %s of node %s: %s", n, iface.Name, node, iface.Error)
	}
	if n.hasContainer && iface.ExternalIDs[ovs.KeyOVNInstalled] != "true" {
		c.differ(checkOVS, "%s: OVS interface %s of node %s is not ovn-installed", n, iface.Name, node)
	}
}

// veths finds the node ends of veth pairs whose pod no longer exists.
func (c *comparison) veths(node string, h *Host) {
	for i := range h.Links {
		link := &h.Links[i]
		rest, ours := strings.CutPrefix(link.Alias, aliasPrefix)
		fields := strings.Fields(rest)
		if !ours || len(fields) < 3 {
			continue
		}
		namespace, pod, _ := strings.Cut(fields[2], "/")
		n := c.ofPod[model.Ref{Kind: model.KindPod, Namespace: namespace, Name: pod}]
		if n == nil || n.pod.Spec.NodeName != node {
			c.differ(checkKernel, "node %s: link %s has no pod %s on this node", node, link.Name, fields[2])
			continue
		}
		plugged := slices.ContainsFunc(h.Interfaces, func(i Interface) bool { return i.Name == link.Name })
		if n.hasContainer && !plugged {
			c.differ(checkOVS, "%s: link %s of node %s has no OVS interface", n, link.Name, node)
		}
	}
}

// mirrors finds pods' interfaces that our mirror does not select.
func (c *comparison) mirrors(node string, h *Host, interfaces map[string][]string) {
	for _, m := range h.Mirrors {
		if m.Name != hostplan.MirrorName {
			continue
		}
		for _, port := range sortedKeys(interfaces) {
			n := c.nics[port]
			if n == nil || !n.hasContainer {
				continue
			}
			for _, name := range interfaces[port] {
				if !slices.Contains(m.SelectSrc, name) || !slices.Contains(m.ToDst, name) {
					c.differ(checkOVS, "%s: mirror %s of node %s does not select its OVS interface %s", n, m.Name, node, name)
				}
			}
		}
	}
}

// nodeLink compares ovn0 with the node's annotations.
func (c *comparison) nodeLink(node *corev1.Node, h *Host, links map[string]*Link) {
	port := model.NodePortName(node.Name)
	at := slices.IndexFunc(h.Interfaces, func(i Interface) bool { return i.Name == hostplan.NodeLink })
	if at < 0 {
		c.differ(checkOVS, "node %s has no OVS interface %s", node.Name, hostplan.NodeLink)
	} else if id := h.Interfaces[at].ExternalIDs[ovs.KeyIfaceID]; id != port {
		c.differ(checkOVS, "node %s: OVS interface %s has iface-id %s, not %s", node.Name, hostplan.NodeLink, orNone(id), port)
	}
	link := links[hostplan.NodeLink]
	if link == nil {
		c.differ(checkKernel, "node %s has no link %s", node.Name, hostplan.NodeLink)
		return
	}
	if !link.Up {
		c.differ(checkKernel, "node %s: link %s is down", node.Name, hostplan.NodeLink)
	}
	if mac := node.Annotations[annotations.MACAddress]; !strings.EqualFold(mac, link.MAC) {
		c.differ(checkKernel, "node %s: annotation mac_address %s, link %s has %s", node.Name, orNone(mac), hostplan.NodeLink, link.MAC)
	}
	addrs, _ := model.ParseAddrs(node.Annotations[annotations.IPAddress])
	cidrs, _ := model.ParsePrefixes(node.Annotations[annotations.CIDR])
	var want []netip.Prefix
	for _, a := range model.Families(addrs) {
		bits := cidrs.V4.Bits()
		if a.Is6() {
			bits = cidrs.V6.Bits()
		}
		want = append(want, netip.PrefixFrom(a, bits))
	}
	for _, p := range want {
		if !slices.Contains(link.Addresses, p) {
			c.differ(checkKernel, "node %s: link %s lacks the join address %s", node.Name, hostplan.NodeLink, p)
		}
	}
	for _, p := range link.Addresses {
		if !slices.Contains(want, p) && !p.Addr().IsLinkLocalUnicast() {
			c.differ(checkKernel, "node %s: link %s has address %s, which is in no annotation", node.Name, hostplan.NodeLink, p)
		}
	}
}

// inside are the projections of subnets that hosts reach through ovn0, except those that overlap with other networks.
func (c *comparison) inside() []*model.Subnet {
	var out []*model.Subnet
	for _, name := range sortedKeys(c.subnet) {
		s, problems := model.SubnetFrom(c.subnet[name])
		if !model.Fatal(problems) && s.Vpc == c.names.ClusterRouter && s.Vlan == "" {
			out = append(out, &s)
		}
	}
	var nodes []*model.Node
	for _, name := range sortedKeys(c.node) {
		n, _ := model.NodeFrom(c.node[name])
		nodes = append(nodes, &n)
	}
	refused := model.Refused(out, nodes, c.infrastructure())
	return slices.DeleteFunc(out, func(s *model.Subnet) bool { _, is := refused[s.Name]; return is })
}

// apiServers are the projected endpoints of the Service kubernetes.
func (c *comparison) apiServers() (out []*model.EndpointSlice) {
	for _, o := range c.Objects.Others {
		if slice, ok := o.(*discoveryv1.EndpointSlice); ok && slice.Namespace == model.APIServerNamespace {
			if e, _ := model.EndpointSliceFrom(slice); e.Service == model.APIServerService {
				out = append(out, &e)
			}
		}
	}
	return out
}

// infrastructure holds the addresses that no Subnet may have.
func (c *comparison) infrastructure() model.Infrastructure {
	var services []*model.ServiceCIDR
	for i := range c.Objects.ServiceCIDRs {
		s, _ := model.ServiceCIDRFrom(&c.Objects.ServiceCIDRs[i])
		services = append(services, &s)
	}
	var nodes model.Prefixes
	if o, ok := c.subnet[c.names.NodeSwitch]; ok {
		s, _ := model.SubnetFrom(o)
		nodes = s.CIDR
	}
	return c.names.Infrastructure().With(services, nodes, c.apiServers())
}

// routes compares our routes with the subnets.
func (c *comparison) routes(node *corev1.Node, h *Host) {
	gateways, _ := model.ParseAddrs(node.Annotations[annotations.Gateway])
	known := map[netip.Prefix]bool{}
	for _, s := range c.subnet { // a refused subnet may have had a route before
		cidrs, _ := model.ParsePrefixes(s.Spec.CIDRBlock)
		for _, cidr := range model.PrefixFamilies(cidrs) {
			known[cidr.Masked()] = true
		}
	}
	c.serviceRoutes(node, h, gateways, known)
	for _, s := range c.inside() {
		for _, cidr := range model.PrefixFamilies(s.CIDR) {
			gateway := gateways.V4
			if cidr.Addr().Is6() {
				gateway = gateways.V6
			}
			if s.Name == c.names.NodeSwitch || s.Deleting || !gateway.IsValid() {
				continue // the join subnet is connected
			}
			if !h.routed(cidr, gateway) {
				c.differ(checkKernel, "node %s: no route to %s of Subnet %s via %s on %s", node.Name, cidr, s.Name, gateway, hostplan.NodeLink)
			}
		}
	}
	for _, r := range h.Routes {
		if r.Protocol == hostplan.RouteProtocol && !known[r.Dst] {
			c.differ(checkKernel, "node %s: route to %s via %s on %s belongs to no Subnet and to no Services", node.Name, r.Dst, r.Gateway, r.Link)
		}
	}
}

// serviceRoutes finds networks of Services that the node has no route to through ovn0, if it has a source address for
// them, and adds these networks to known.
func (c *comparison) serviceRoutes(node *corev1.Node, h *Host, gateways model.Addrs, known map[netip.Prefix]bool) {
	sources, _ := model.ParsePrefixes(node.Annotations[annotations.ServiceSource])
	for _, source := range model.PrefixFamilies(sources) {
		want := map[netip.Prefix]string{source: "the hosts' source addresses for Services"}
		for i := range c.Objects.ServiceCIDRs {
			for _, text := range c.Objects.ServiceCIDRs[i].Spec.CIDRs {
				if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is4() == source.Addr().Is4() {
					want[p.Masked()] = "ServiceCIDR " + c.Objects.ServiceCIDRs[i].Name
				}
			}
		}
		gateway := gateways.V4
		if source.Addr().Is6() {
			gateway = gateways.V6
		}
		for dst, what := range want {
			known[dst] = true
			if !h.routed(dst, gateway) {
				c.differ(checkKernel, "node %s: no route to %s (%s) via %s on %s", node.Name, dst, what, gateway, hostplan.NodeLink)
			}
		}
	}
}

// routed reports whether the node has a route through ovn0.
func (h *Host) routed(dst netip.Prefix, gateway netip.Addr) bool {
	return slices.ContainsFunc(h.Routes, func(r Route) bool {
		return r.Dst == dst && r.Gateway == gateway && r.Link == hostplan.NodeLink
	})
}

// filter compares the sets of our nftables table with the subnets and nodes.
func (c *comparison) filter(node *corev1.Node, h *Host) {
	if h.Sets == nil {
		c.differ(checkKernel, "node %s has no nftables table inet %s", node.Name, hostplan.TableName)
		return
	}
	for _, s := range c.inside() {
		for _, cidr := range model.PrefixFamilies(s.CIDR) {
			c.element(node.Name, h, "pods", cidr, "CIDR "+cidr.String()+" of Subnet "+s.Name)
			if s.NatOutgoing {
				c.element(node.Name, h, "nat", cidr, "CIDR "+cidr.String()+" of Subnet "+s.Name)
			}
		}
	}
	apiServers := c.infrastructure().APIServers
	for _, other := range sortedKeys(c.node) {
		projected, _ := model.NodeFrom(c.node[other])
		for _, a := range projected.InternalIPs {
			if model.PretendsAPIServer(&projected, a, apiServers) {
				continue
			}
			c.element(node.Name, h, "nodes", netip.PrefixFrom(a, a.BitLen()), "InternalIP "+a.String()+" of node "+other)
		}
	}
}

// element reports a difference if no element of a set contains want.
func (c *comparison) element(node string, h *Host, prefix string, want netip.Prefix, what string) {
	set := prefix + "4"
	if want.Addr().Is6() {
		set = prefix + "6"
	}
	for _, text := range h.Sets[set] {
		if have, err := parseElement(text); err == nil && have.Bits() <= want.Bits() && have.Contains(want.Addr()) {
			return
		}
	}
	c.differ(checkKernel, "node %s: set %s of nftables table inet %s lacks %s", node, set, hostplan.TableName, what)
}

func parseElement(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}
