// SPDX-License-Identifier: Apache-2.0

// Package projection is what a node knows of the cluster: which objects it caches, what of each, and what the node's
// programs read from it.
package projection

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/podnet"
)

// What a node knows of the cluster is projected here, and nowhere else: package model
// reads the objects, and the functions of this file make of its structs what package
// hostplan takes. The cache's transforms may drop what none of them reads.

// NodeOf projects a Node. The cache has neither the readiness of nodes nor the labels
// of others than own.
func NodeOf(o *corev1.Node, own string) model.Node {
	n, _ := model.NodeFrom(o) // the controller reports the problems
	n.Ready = false
	if n.Name != own {
		n.Labels = nil
	}
	return n
}

// HostOf reads what the controller wrote on this node. A value that does not
// parse is an error that names the annotation: the node is then left as it is.
func HostOf(n *model.Node) (hostplan.Node, error) {
	failed := func(key, cause string) (hostplan.Node, error) {
		return hostplan.Node{}, fmt.Errorf("node %s: annotation %s: %s", n.Name, key, cause)
	}
	state, problems := model.ReadNIC(annotations.DefaultProvider, n.Annotations)
	services, more := model.ReadServiceSource(n.Annotations)
	if problems = append(problems, more...); len(problems) > 0 {
		return failed(model.AnnotationKey(problems[0].Field), problems[0].Message)
	}
	h := hostplan.Node{
		Name: n.Name, MAC: state.MAC, Gateways: model.Families(state.Gateway), InternalIPs: n.InternalIPs, Services: services,
	}
	for _, a := range model.Families(state.Addrs) {
		cidr := state.CIDR.Of(a)
		if !cidr.Contains(a) {
			return failed(annotations.IPAddress, fmt.Sprintf("%s is in no prefix of %s (%q)", a, annotations.CIDR, n.Annotations[annotations.CIDR]))
		}
		h.Addresses = append(h.Addresses, netip.PrefixFrom(a, cidr.Bits()))
	}
	return h, nil
}

// ServiceCIDRs projects the ServiceCIDRs.
func ServiceCIDRs(list []networkingv1.ServiceCIDR) (out []*model.ServiceCIDR) {
	for i := range list {
		s, _ := model.ServiceCIDRFrom(&list[i])
		out = append(out, &s)
	}
	return out
}

// InfrastructureOf returns what the controller reserves, as far as a node knows it: config with the ranges that are
// written on its own Node, and what objects of the cluster hold.
func InfrastructureOf(own *model.Node, host hostplan.Node, config model.InfrastructureConfig, services []*model.ServiceCIDR, endpoints []*model.EndpointSlice) model.Infrastructure {
	config.NodeSubnet, config.HostSource = own.Annotations[annotations.LogicalSwitch], rangesOf(host.Services)
	return config.With(services, rangesOf(host.Addresses), endpoints)
}

// rangesOf returns the ranges of addresses, at most one for each family.
func rangesOf(addresses []netip.Prefix) (out model.Prefixes) {
	for _, p := range addresses {
		if p.Addr().Is4() {
			out.V4 = p.Masked()
		} else {
			out.V6 = p.Masked()
		}
	}
	return out
}

// Subnet is what a node knows of a Subnet.
type Subnet struct {
	model.Subnet
	// Plan is what the plan may know.
	Plan hostplan.Subnet
}

// SubnetOf projects a Subnet. Of its problems, a node needs to know those of its CIDR,
// without which nothing can be made, and of what leaves the cluster; the controller
// reports all.
func SubnetOf(o *v1.Subnet) Subnet {
	s, problems := model.SubnetFrom(o)
	egress, unusable := model.EgressFrom(o)
	h := hostplan.Subnet{
		Name:           s.Name,
		Vpc:            s.Vpc,
		CIDRs:          model.PrefixFamilies(s.CIDR),
		Underlay:       egress.Underlay,
		NATOutgoing:    s.NatOutgoing,
		Centralized:    s.GatewayType == model.GatewayCentralized,
		NoLoadBalancer: s.LoadBalancers != nil && !*s.LoadBalancers,
		ActiveGateways: s.Gateways.ActiveNodes(),
		Egress:         egress,
	}
	for _, p := range unusable {
		h.Problems = append(h.Problems, p.Error())
	}
	for _, p := range problems {
		if p.Fatal && p.Field == model.FieldCIDRBlock {
			h.Invalid = p.Error()
		}
	}
	return Subnet{Subnet: s, Plan: h}
}

// PodsOf returns the addresses of the node's pods, one entry for each port. They come from the node's own Open vSwitch,
// because tenants can write annotations. What is in no valid subnet cannot be a pod's, and gets no rule. Ports of
// earlier versions do not name their subnet: it is the one of the default Vpc that contains them.
func PodsOf(ports []ovs.Port, subnets []hostplan.Subnet, defaultVpc string) (out []hostplan.Pod) {
	byName := map[string]hostplan.Subnet{}
	for _, s := range subnets {
		if s.Invalid == "" {
			byName[s.Name] = s
		}
	}
	for _, port := range ports {
		if !isPodPort(port) {
			continue
		}
		addrs, err := model.ParseAddrs(port.ExternalIDs[ovs.KeyIP])
		addresses := model.Families(addrs)
		if err != nil || len(addresses) == 0 {
			continue
		}
		subnet, named := byName[port.ExternalIDs[ovs.KeyLogicalSwitch]]
		if !named && port.ExternalIDs[ovs.KeyLogicalSwitch] == "" {
			subnet = subnetOf(addresses[0], subnets, defaultVpc)
		}
		if containsAll(subnet.CIDRs, addresses) {
			out = append(out, hostplan.Pod{Subnet: subnet.Name, Addresses: addresses})
		}
	}
	return out
}

// subnetOf returns the valid subnet of a Vpc that contains an address.
func subnetOf(addr netip.Addr, subnets []hostplan.Subnet, vpc string) hostplan.Subnet {
	for _, s := range subnets {
		if s.Vpc == vpc && s.Invalid == "" && containsAll(s.CIDRs, []netip.Addr{addr}) {
			return s
		}
	}
	return hostplan.Subnet{}
}

func containsAll(cidrs []netip.Prefix, addresses []netip.Addr) bool {
	for _, addr := range addresses {
		if !slices.ContainsFunc(cidrs, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return false
		}
	}
	return true
}

// SliceOf projects an EndpointSlice. Nodes need addresses only; names and pods, of
// which there are many, are left out.
func SliceOf(o *discoveryv1.EndpointSlice) model.EndpointSlice {
	s, _ := model.EndpointSliceFrom(o) // the controller reports the problems
	s.Pods, s.Named = nil, nil
	return s
}

// PodPorts picks the ports of pods out of all that are ours.
func PodPorts(ports []ovs.Port) (names []string) {
	for _, p := range ports {
		if isPodPort(p) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Complete adds to the network of a NIC what its Subnet says: the MTU in bytes, else the node's, and who
// sends its router advertisements.
func Complete(ctx context.Context, cache client.Reader, n *podnet.Network, mtu int) {
	n.MTU = mtu
	var s v1.Subnet
	if err := cache.Get(ctx, types.NamespacedName{Name: n.LogicalSwitch}, &s); err != nil {
		return
	}
	if subnet, _ := model.SubnetFrom(&s); s.Spec.EnableIPv6RA && subnet.Vpc != "" {
		n.Advertiser = model.GatewayLinkLocal(subnet.Vpc, subnet.Name)
	}
	if s.Spec.Mtu > 0 {
		n.MTU = int(s.Spec.Mtu)
	}
}

func isPodPort(p ovs.Port) bool {
	return p.Bridge == hostplan.IntegrationBridge && p.Type != hostplan.Internal && p.ExternalIDs[ovs.KeyIfaceID] != ""
}
