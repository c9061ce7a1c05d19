// SPDX-License-Identifier: Apache-2.0

package model

import (
	"crypto/sha256"
	"net/netip"
)

// RouterPort is the name of the router's port in a subnet.
func RouterPort(vpc, subnet string) string { return vpc + "-" + subnet }

// SwitchPort is the name of a subnet's port to its router.
func SwitchPort(vpc, subnet string) string { return subnet + "-" + vpc }

// GatewayMAC is the MAC of a subnet's router port: locally administered and derived from the names, so that it never
// changes.
func GatewayMAC(vpc, subnet string) string { return MACText(gatewayMAC(vpc, subnet)) }

func gatewayMAC(vpc, subnet string) [macOctets]byte {
	sum := sha256.Sum256([]byte("Logical_Router_Port/" + RouterPort(vpc, subnet)))
	mac := [macOctets]byte(sum[:macOctets])
	mac[0] = mac[0]&^0x01 | 0x02
	return mac
}

// GatewayLinkLocal is the link-local address of a subnet's router port, which OVN derives from the MAC. It is the
// source of the router's advertisements.
func GatewayLinkLocal(vpc, subnet string) netip.Addr { return LinkLocal(gatewayMAC(vpc, subnet)) }

// LinkLocal is the IPv6 link-local address that belongs to a MAC (RFC 4291, appendix A).
func LinkLocal(mac [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: mac[0] ^ 0x02, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	})
}
