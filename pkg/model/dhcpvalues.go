// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// optionType reads the value of an option. It returns the value as OVN reads it, or why it is invalid.
//
// ovn-northd writes all options of a port into one logical flow. ovn-controller ignores a flow that it cannot parse, so
// one value of the wrong type would end DHCP for all ports with these options.
type optionType func(value string) (normal, cause string)

// optionTypes are the types of options by name.
type optionTypes map[string]optionType

func (types optionTypes) add(of optionType, names string) {
	for _, name := range strings.Fields(names) {
		types[name] = of
	}
}

// The options that OVN supports (ovn-nb(5), "DHCPv4 options", "DHCPv6 options", and
// Logical_Router_Port.ipv6_ra_configs). It silently ignores others.
var (
	dhcpV4Types = typesOfDHCPv4()
	dhcpV6Types = typesOfDHCPv6()
	raTypes     = typesOfRA()
)

func typesOfDHCPv4() optionTypes {
	types := optionTypes{"server_mac": hardware, "tftp_server": host, "domain_search_list": quoted}
	types.add(addressOf(IPv4), "server_id netmask next_server broadcast_address")
	types.add(addressesOf(IPv4), `router dns_server log_server lpr_server swap_server policy_filter router_solicitation nis_server ntp_server
		netbios_name_server tftp_server_address`)
	types.add(staticRoutes, "classless_static_route ms_classless_static_route")
	types.add(flag, "ip_forward_enable router_discovery ethernet_encap")
	types.add(integer(0, 1<<8-1), "default_ttl tcp_ttl netbios_node_type")
	types.add(integer(minMTUv4, maxMTU), "mtu")
	types.add(integer(0, 1<<32-1), "lease_time T1 T2 arp_cache_timeout tcp_keepalive_interval")
	types.add(quoted, "wpad bootfile_name path_prefix hostname domain_name bootfile_name_alt")
	return types
}

func typesOfDHCPv6() optionTypes {
	types := optionTypes{"server_id": hardware, "dns_server": addressesOf(IPv6), "dhcpv6_stateless": word("true", "false")}
	types.add(quoted, "domain_search bootfile_name bootfile_name_alt fqdn")
	return types
}

func typesOfRA() optionTypes {
	return optionTypes{
		"address_mode":      word("slaac", "dhcpv6_stateful", "dhcpv6_stateless"),
		"router_preference": word("HIGH", "MEDIUM", "LOW"),
		"route_info":        listOf(routeInfo),
		"dnssl":             listOf(domain),
		"rdnss":             addressOf(IPv6),
		"mtu":               integer(minMTUv6, maxMTU),
		"send_periodic":     word("true", "false"),
		// RFC 4861, 6.2.1
		"max_interval": integer(4, 1800),
		"min_interval": integer(3, 1350),
	}
}

func integer(least, most uint64) optionType {
	return func(value string) (string, string) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n < least || n > most {
			return "", fmt.Sprintf("is not a number from %d to %d", least, most)
		}
		return strconv.FormatUint(n, 10), ""
	}
}

func word(valid ...string) optionType {
	return func(value string) (string, string) {
		if !slices.Contains(valid, value) {
			return "", "is not one of " + strings.Join(valid, ", ")
		}
		return value, ""
	}
}

// flag is 1 or 0.
func flag(value string) (string, string) {
	switch value {
	case "1", "true":
		return "1", ""
	case "0", "false":
		return "0", ""
	default:
		return "", "is neither true nor false"
	}
}

func hardware(value string) (string, string) {
	mac, err := ParseMAC(value)
	if err != nil {
		return "", "is not a MAC address"
	}
	return mac, ""
}

func addressOf(f Family) optionType {
	return func(value string) (string, string) {
		addr, err := parseAddr(value)
		if err != nil || FamilyOf(addr) != f {
			return "", fmt.Sprintf("is not an %s address", f)
		}
		return addr.String(), ""
	}
}

// addressesOf is one address or several in braces.
func addressesOf(f Family) optionType {
	return func(value string) (string, string) {
		parts := elements(value)
		for i := range parts {
			var cause string
			if parts[i], cause = addressOf(f)(parts[i]); cause != "" {
				parts = nil
				break
			}
		}
		switch len(parts) {
		case 0:
			return "", fmt.Sprintf("is not an %s address, or several in braces", f)
		case 1:
			return parts[0], ""
		default:
			return "{" + strings.Join(parts, ", ") + "}", ""
		}
	}
}

// elements are those of a list in braces, or one without.
func elements(value string) []string { return csv(strings.Trim(value, "{}")) }

// staticRoutes are pairs of a prefix and a router (RFC 3442).
func staticRoutes(value string) (string, string) {
	const cause = "is not a list of prefixes and their routers, as in {10.1.0.0/16,10.0.0.1, 0.0.0.0/0,10.0.0.2}"
	parts := elements(value)
	if len(parts) == 0 || len(parts)%2 != 0 {
		return "", cause
	}
	for i, part := range parts {
		prefix, err := parseHostOrPrefix(part)
		if err != nil || !prefix.Addr().Is4() || i%2 == 1 && !prefix.IsSingleIP() {
			return "", cause
		}
	}
	return "{" + strings.Join(parts, ", ") + "}", ""
}

// maxOptionText is the greatest length of an option of DHCP, in bytes (RFC 2132, 2).
const maxOptionText = 255

// quoted is a text, which OVN accepts in quotes only.
func quoted(value string) (string, string) {
	value = strings.Trim(value, `"`)
	switch {
	case strings.ContainsAny(value, `"{}`):
		return "", "has quotes or braces inside"
	case len(value) > maxOptionText:
		return "", fmt.Sprintf("has more than %d bytes", maxOptionText)
	}
	return `"` + value + `"`, ""
}

// host is an IPv4 address or a name.
func host(value string) (string, string) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Is4() {
		return value, ""
	}
	return quoted(value)
}

func listOf(one optionType) optionType {
	return func(value string) (string, string) {
		parts := elements(strings.Trim(value, `"`))
		if len(parts) == 0 {
			return "", "is an empty list"
		}
		for i := range parts {
			var cause string
			if parts[i], cause = one(parts[i]); cause != "" {
				return "", cause
			}
		}
		return strings.Join(parts, ","), ""
	}
}

func domain(value string) (string, string) {
	if causes := validation.IsDNS1123Subdomain(value); len(causes) > 0 {
		return "", "is not a list of domains"
	}
	return value, ""
}

var routePreference = regexp.MustCompile(`^(HIGH|MEDIUM|LOW)-(.+)$`)

// routeInfo is a preference and a prefix (RFC 4191, 2.3).
func routeInfo(value string) (string, string) {
	parts := routePreference.FindStringSubmatch(value)
	if parts != nil {
		if prefix, err := parsePrefix(parts[2]); err == nil && prefix.Addr().Is6() {
			return value, ""
		}
	}
	return "", "is not a list of preferences and prefixes, as in HIGH-fd00:1::/64"
}
