// SPDX-License-Identifier: Apache-2.0

package forge

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func TestEncode(t *testing.T) {
	own := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	v4, v6, all := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("ff02::1")
	for _, c := range []struct {
		frame       Frame
		carries     gopacket.LayerType
		destination string
	}{
		{Frame{Kind: UDP, Source: v4, Destination: v4.Next(), Port: 7, Text: "x"}, gopacket.LayerTypePayload, "ff:ff:ff:ff:ff:ff"},
		{Frame{Kind: UDP, Source: v6, Destination: all, Port: 7, Text: "x"}, gopacket.LayerTypePayload, "33:33:00:00:00:01"},
		{Frame{Kind: ARPReply, Source: v4, Destination: v4, DestinationMAC: "02:00:00:00:00:02"}, layers.LayerTypeARP, "02:00:00:00:00:02"},
		{Frame{Kind: NeighborSolicitation, Source: v6, Destination: all, Target: v6.Next()}, layers.LayerTypeICMPv6NeighborSolicitation, "33:33:00:00:00:01"},
		{Frame{Kind: NeighborAdvertisement, Source: v6, Destination: all, Target: v6}, layers.LayerTypeICMPv6NeighborAdvertisement, "33:33:00:00:00:01"},
		{Frame{Kind: RouterAdvertisement, Source: v6, Destination: all, Prefix: netip.MustParsePrefix("2001:db8:1::/64")}, layers.LayerTypeICMPv6RouterAdvertisement, "33:33:00:00:00:01"},
	} {
		raw, err := c.frame.encode(own)
		if err != nil {
			t.Errorf("%s: %v", c.frame.Kind, err)
			continue
		}
		packet := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
		if failed := packet.ErrorLayer(); failed != nil {
			t.Errorf("%s does not decode: %v", c.frame.Kind, failed.Error())
		}
		if packet.Layer(c.carries) == nil {
			t.Errorf("%s carries %v, want %v", c.frame.Kind, packet.Layers(), c.carries)
		}
		for _, layer := range packet.Layers() {
			if sums, ok := layer.(interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}); ok && sums.SetNetworkLayerForChecksum(packet.NetworkLayer()) != nil {
				t.Errorf("%s: %v has no network layer", c.frame.Kind, layer.LayerType())
			}
		}
		ethernet, _ := packet.Layers()[0].(*layers.Ethernet)
		if ethernet.DstMAC.String() != c.destination || ethernet.SrcMAC.String() != own.String() {
			t.Errorf("%s goes from %s to %s, want to %s", c.frame.Kind, ethernet.SrcMAC, ethernet.DstMAC, c.destination)
		}
		if err, mismatches := packet.VerifyChecksums(); err != nil || len(mismatches) > 0 {
			t.Errorf("%s has wrong checksums: %v %v", c.frame.Kind, err, mismatches)
		}
	}
}

func TestFloodIsAboutManyAddresses(t *testing.T) {
	f := Frame{Kind: ARPReply, Source: netip.MustParseAddr("192.0.2.1")}
	f.advance()
	if f.Source != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("the second frame is about %s", f.Source)
	}
}
