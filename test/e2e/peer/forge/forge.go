// SPDX-License-Identifier: Apache-2.0

// Package forge sends frames with any content on an interface, as a program in a pod with CAP_NET_RAW can.
package forge

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// Kind is what a frame carries.
type Kind string

// Kinds of frames.
const (
	UDP                   Kind = "udp"
	ARPRequest            Kind = "arp-request" // RFC 826
	ARPReply              Kind = "arp-reply"
	NeighborSolicitation  Kind = "ns" // RFC 4861
	NeighborAdvertisement Kind = "na" // with the flag Override
	RouterAdvertisement   Kind = "ra"
)

const (
	routerLifetime        = 1800 // seconds
	hopLimitOfNeighbors   = 255  // receivers drop neighbor discovery with another one (RFC 4861, 7.1)
	flagOverride          = 0x20
	flagsOnLinkAutonomous = 0xc0
)

// Frame describes a frame. Empty MAC addresses mean that of the interface as source, and broadcast or the multicast
// address of the destination as destination.
type Frame struct {
	Kind           Kind   `json:"kind"`
	SourceMAC      string `json:"sourceMAC,omitempty"`
	DestinationMAC string `json:"destinationMAC,omitempty"`
	// Source and Destination are those of IP; in ARP they are the addresses of sender and target.
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination"`
	// Target is the address that neighbor discovery is about.
	Target netip.Addr `json:"target,omitzero"`
	// LinkAddress is the MAC address that ARP and neighbor discovery name as that of the sender; empty: SourceMAC.
	LinkAddress string `json:"linkAddress,omitempty"`
	// Prefix is what a router advertisement announces.
	Prefix     netip.Prefix `json:"prefix,omitzero"`
	SourcePort uint16       `json:"sourcePort,omitempty"`
	Port       uint16       `json:"port,omitempty"`
	Text       string       `json:"text,omitempty"` // payload of UDP
	// Count is the number of frames to send, each about the next address: Source in ARP, Target in neighbor discovery.
	// 0 means 1.
	Count int `json:"count,omitempty"`
}

// Send sends frames on an interface.
func Send(link string, frames []Frame) error {
	device, err := net.InterfaceByName(link)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", link, err)
	}
	// Protocol 0: the socket receives nothing (packet(7)).
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	for _, f := range frames {
		for range max(1, f.Count) {
			raw, err := f.encode(device.HardwareAddr)
			if err != nil {
				return fmt.Errorf("encode %+v: %w", f, err)
			}
			if err := unix.Sendto(socket, raw, 0, &unix.SockaddrLinklayer{Ifindex: device.Index}); err != nil {
				return fmt.Errorf("send %+v: %w", f, err)
			}
			f.advance()
		}
	}
	return nil
}

// advance makes the frame one about the next address.
func (f *Frame) advance() {
	switch f.Kind {
	case ARPRequest, ARPReply:
		f.Source = f.Source.Next()
	case NeighborAdvertisement:
		f.Target = f.Target.Next()
	case NeighborSolicitation:
		f.Source = f.Source.Next()
	}
}

// encode returns the frame as on the wire. own is the MAC address of the interface.
func (f *Frame) encode(own net.HardwareAddr) ([]byte, error) {
	source, err := macOr(f.SourceMAC, own)
	if err != nil {
		return nil, err
	}
	destination, err := macOr(f.DestinationMAC, broadcast(f.Destination))
	if err != nil {
		return nil, err
	}
	claimed, err := macOr(f.LinkAddress, source)
	if err != nil {
		return nil, err
	}
	stack := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: source, DstMAC: destination, EthernetType: f.etherType()}}
	switch f.Kind {
	case UDP:
		stack = append(stack, f.datagram()...)
	case ARPRequest, ARPReply:
		stack = append(stack, f.arp(claimed))
	default:
		stack = append(stack, f.neighborDiscovery(claimed)...)
	}
	buffer := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...)
	return buffer.Bytes(), err
}

func macOr(text string, otherwise net.HardwareAddr) (net.HardwareAddr, error) {
	if text == "" {
		return otherwise, nil
	}
	return net.ParseMAC(text)
}

// broadcast returns the Ethernet address of a multicast address (RFC 2464, 7), and that of broadcasts for others.
func broadcast(ip netip.Addr) net.HardwareAddr {
	if ip.Is6() && ip.IsMulticast() {
		b := ip.As16()
		return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
	}
	return layers.EthernetBroadcast
}

func (f *Frame) etherType() layers.EthernetType {
	switch {
	case f.Kind == ARPRequest || f.Kind == ARPReply:
		return layers.EthernetTypeARP
	case f.Source.Is4():
		return layers.EthernetTypeIPv4
	default:
		return layers.EthernetTypeIPv6
	}
}

func (f *Frame) datagram() []gopacket.SerializableLayer {
	udp := &layers.UDP{SrcPort: layers.UDPPort(f.SourcePort), DstPort: layers.UDPPort(f.Port)}
	ip := f.ip(layers.IPProtocolUDP)
	_ = udp.SetNetworkLayerForChecksum(ip)
	return []gopacket.SerializableLayer{ip, udp, gopacket.Payload(f.Text)}
}

// networkLayer is an IP header that can be serialized.
type networkLayer interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}

func (f *Frame) ip(protocol layers.IPProtocol) networkLayer {
	if f.Source.Is4() {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: f.Source.AsSlice(), DstIP: f.Destination.AsSlice()}
	}
	hops := uint8(64)
	if protocol == layers.IPProtocolICMPv6 {
		hops = hopLimitOfNeighbors
	}
	return &layers.IPv6{Version: 6, HopLimit: hops, NextHeader: protocol, SrcIP: f.Source.AsSlice(), DstIP: f.Destination.AsSlice()}
}

func (f *Frame) arp(claimed net.HardwareAddr) *layers.ARP {
	operation := uint16(layers.ARPReply)
	if f.Kind == ARPRequest {
		operation = layers.ARPRequest
	}
	return &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: operation,
		SourceHwAddress: claimed, SourceProtAddress: f.Source.AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: f.Destination.AsSlice(),
	}
}

func (f *Frame) neighborDiscovery(claimed net.HardwareAddr) []gopacket.SerializableLayer {
	ip := f.ip(layers.IPProtocolICMPv6)
	icmp := &layers.ICMPv6{}
	_ = icmp.SetNetworkLayerForChecksum(ip)
	target := layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: claimed}}
	source := layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: claimed}}
	var message gopacket.SerializableLayer
	var kind uint8
	switch f.Kind {
	case NeighborSolicitation:
		kind, message = layers.ICMPv6TypeNeighborSolicitation, &layers.ICMPv6NeighborSolicitation{TargetAddress: f.Target.AsSlice(), Options: source}
	case NeighborAdvertisement:
		kind, message = layers.ICMPv6TypeNeighborAdvertisement, &layers.ICMPv6NeighborAdvertisement{Flags: flagOverride, TargetAddress: f.Target.AsSlice(), Options: target}
	default:
		kind, message = layers.ICMPv6TypeRouterAdvertisement, &layers.ICMPv6RouterAdvertisement{
			HopLimit: 64, RouterLifetime: routerLifetime, Options: append(source, prefixOption(f.Prefix)),
		}
	}
	icmp.TypeCode = layers.CreateICMPv6TypeCode(kind, 0)
	return []gopacket.SerializableLayer{ip, icmp, message}
}

// prefixOption announces a prefix for autoconfiguration (RFC 4861, 4.6.2).
func prefixOption(prefix netip.Prefix) layers.ICMPv6Option {
	lifetime := []byte{0, 0, routerLifetime >> 8, routerLifetime & 0xff}
	data := []byte{uint8(prefix.Bits()), flagsOnLinkAutonomous} //nolint:gosec // at most 128
	data = append(data, lifetime...)                            // valid
	data = append(data, lifetime...)                            // preferred
	data = append(data, 0, 0, 0, 0)
	return layers.ICMPv6Option{Type: layers.ICMPv6OptPrefixInfo, Data: append(data, prefix.Addr().AsSlice()...)}
}
