// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"strings"

	netutils "k8s.io/utils/net"
)

// Fields of Kubernetes' own kinds are read as the API server and kube-proxy read them (k8s.io/utils/net): leading zeros
// of a decimal number have no meaning, and an IPv4-mapped IPv6 address is that IPv4 address. The API server refuses
// both in new objects (KEP-4858), and keeps those that are stored. Woven's own kinds are read by [ParseAddrs] and the
// like.

// parseAPIAddr reads an address of one of Kubernetes' own kinds.
func parseAPIAddr(text string) (netip.Addr, error) {
	a, err := parseAddr(text)
	if err == nil {
		return a, nil
	}
	sloppy, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
	if !ok {
		return netip.Addr{}, err
	}
	return sloppy.Unmap(), nil
}

// parseAPIPrefix reads a CIDR of one of Kubernetes' own kinds and clears the host bits. Blanks around it are ignored,
// as in spec.loadBalancerSourceRanges.
func parseAPIPrefix(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	p, err := parsePrefix(text)
	if err == nil {
		return p.Masked(), nil
	}
	_, sloppy, sloppyErr := netutils.ParseCIDRSloppy(text)
	if sloppyErr != nil {
		return netip.Prefix{}, err
	}
	addr, _ := netip.AddrFromSlice(sloppy.IP)
	length, bits := sloppy.Mask.Size()
	if addr = addr.Unmap(); addr.BitLen() < bits { // ::ffff:10.0.0.0/104 is 10.0.0.0/8
		length -= bits - addr.BitLen()
	}
	if p, err = addr.Prefix(length); err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a CIDR: %w", quote(text), err)
	}
	return p, nil
}
