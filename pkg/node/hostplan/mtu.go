// SPDX-License-Identifier: Apache-2.0

package hostplan

// What Geneve with OVN's option adds to a packet is 58 bytes over IPv4 (20 IP, 8
// UDP, 8 Geneve, 8 option, 14 inner Ethernet) and 20 more over IPv6; the rest of
// the 100 is room for IPsec and VLAN tags, and what Kube-OVN leaves, so that pods
// of both fit through the same links.
const (
	tunnelOverhead     = 100
	tunnelOverheadIPv6 = 20
	// DefaultUnderlayMTU in bytes is assumed while the tunnel's link is not known.
	DefaultUnderlayMTU = 1500
)

// MTU returns the MTU, in bytes, of ovn0 and of pods whose subnet names none:
// the configured one, else the underlay's less what the tunnel needs, never
// less than [MinMTU6]. underlay is 0 if unknown.
func MTU(configured, underlay int, underlayIs6 bool) int {
	if configured > 0 {
		return configured
	}
	if underlay <= 0 {
		underlay = DefaultUnderlayMTU
	}
	mtu := underlay - tunnelOverhead
	if underlayIs6 {
		mtu -= tunnelOverheadIPv6
	}
	return max(mtu, MinMTU6)
}
