// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	ethHeaderLen  = 14
	ipv6HeaderLen = 40
	arpLen        = 28
	naLen         = 32 // neighbour advertisement with one target link-layer address option
)

// announce notifies the neighbours in the pod's subnet where its addresses are now: a gratuitous ARP for IPv4 (RFC 5227
// §3), an unsolicited neighbour advertisement for IPv6 (RFC 4861 §7.2.6). Old entries would otherwise blackhole an
// address that was used before.
func announce(p *podNS, index int, mac net.HardwareAddr, addrs []netip.Prefix) error {
	fd := -1
	err := p.do(func() (err error) {
		// Protocol 0: the socket only sends.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	var errs []error
	for _, a := range addrs {
		frame := gratuitousARP(mac, a.Addr())
		if a.Addr().Is6() {
			frame = neighbourAdvertisement(mac, a.Addr())
		}
		to := &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}
		copy(to.Addr[:], frame[:6])
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", a.Addr(), err))
		}
	}
	return errors.Join(append(errs, unix.Close(fd))...)
}

func ethernet(dst, src net.HardwareAddr, etherType uint16, payload int) []byte {
	frame := make([]byte, ethHeaderLen, ethHeaderLen+payload)
	copy(frame, dst)
	copy(frame[6:], src)
	binary.BigEndian.PutUint16(frame[12:], etherType)
	return frame
}

// gratuitousARP is an ARP request in which sender and target are the announced address.
func gratuitousARP(mac net.HardwareAddr, addr netip.Addr) []byte {
	frame := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, unix.ETH_P_ARP, arpLen)
	frame = append(frame,
		0, 1, // hardware: Ethernet
		8, 0, // protocol: IPv4
		6, 4, // lengths of the addresses
		0, 1, // request
	)
	frame = append(frame, mac...)
	frame = append(frame, addr.AsSlice()...)
	frame = append(frame, make([]byte, 6)...)
	return append(frame, addr.AsSlice()...)
}

// neighbourAdvertisement is sent to all nodes with the override flag, which replaces cached link-layer addresses.
func neighbourAdvertisement(mac net.HardwareAddr, addr netip.Addr) []byte {
	allNodes := netip.MustParseAddr("ff02::1")
	frame := ethernet(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, mac, unix.ETH_P_IPV6, ipv6HeaderLen+naLen)
	frame = append(frame,
		0x60, 0, 0, 0, // version 6
		0, naLen, unix.IPPROTO_ICMPV6, 255, // payload length, next header, hop limit (must be 255)
	)
	frame = append(frame, addr.AsSlice()...)
	frame = append(frame, allNodes.AsSlice()...)
	icmp := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, addr.AsSlice()...)
	icmp = append(icmp, 2, 1) // target link-layer address, in units of 8 bytes
	icmp = append(icmp, mac...)
	binary.BigEndian.PutUint16(icmp[2:], icmpv6Checksum(addr, allNodes, icmp))
	return append(frame, icmp...)
}

// icmpv6Checksum is that of RFC 4443 §2.3 over the pseudo header of RFC 8200 §8.1; message is a neighbour advertisement
// of naLen bytes with its checksum field zero.
func icmpv6Checksum(src, dst netip.Addr, message []byte) uint16 {
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	pseudo = append(pseudo, 0, 0, 0, naLen, 0, 0, 0, unix.IPPROTO_ICMPV6)
	var sum uint32
	for _, b := range [][]byte{pseudo, message} {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
