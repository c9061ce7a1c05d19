// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
)

// DHCP is what OVN returns to requests from a subnet, or from one port, besides the address: options by name, as in
// ovn-nb(5), table DHCP_Options. An IP family whose map is nil gets no responses.
type DHCP = Dual[map[string]string]

// optionValue matches valid values. ovn-northd writes values into logical flows unquoted, so a parenthesis or semicolon
// would be parsed as part of an action.
var optionValue = regexp.MustCompile(`^[A-Za-z0-9._:/{}, "+@-]*$`)

// maxOptions limits the text of one field, in bytes.
const maxOptions = 4096

// options parses "name=value,name=value". A comma inside braces or quotes is part of the value; "a;b" is "{a, b}". An
// invalid pair is skipped and reported.
func (p *problems) options(field, text string, known optionTypes) map[string]string {
	out := map[string]string{}
	if len(text) > maxOptions {
		p.warn(field, "it is %d bytes long, the limit is %d", len(text), maxOptions)
		return out
	}
	for _, pair := range splitOptions(text) {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case pair == "":
		case !ok || name == "" || value == "":
			p.warn(field, "%s is not of the form name=value", quote(pair))
		case known[name] == nil:
			p.warn(field, "%s is not an option that OVN knows (ovn-nb(5) lists them)", quote(name))
		default:
			value = braced(value)
			if !optionValue.MatchString(value) || strings.Count(value, `"`)%2 != 0 || strings.Count(value, "{") != strings.Count(value, "}") {
				p.warn(field, "the value of %s, %s, has characters that OVN does not accept", name, quote(value))
				continue
			}
			normal, cause := known[name](value)
			if cause != "" {
				p.warn(field, "the value of %s, %s, %s; the option is left out", name, quote(value), cause)
				continue
			}
			out[name] = normal
		}
	}
	return out
}

// braced formats a list that is separated by semicolons as OVN does.
func braced(value string) string {
	if !strings.Contains(value, ";") || strings.ContainsAny(value, `{}"`) {
		return value
	}
	var elements []string
	for _, e := range strings.Split(value, ";") {
		if e = strings.TrimSpace(e); e != "" {
			elements = append(elements, e)
		}
	}
	return "{" + strings.Join(elements, ", ") + "}"
}

// splitOptions splits at the commas outside of braces and quotes.
func splitOptions(text string) []string {
	var out []string
	depth, quoted, start := 0, false, 0
	for i := range len(text) {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth <= 0 && !quoted {
				out = append(out, strings.TrimSpace(text[start:i]))
				start = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(text[start:]))
}

// dhcp reads the DHCP options of the subnet, and its router advertisements.
func (p *problems) dhcp(spec *v1.SubnetSpec, s *Subnet) {
	v4 := p.options("spec.dhcpV4Options", spec.DHCPv4Options, dhcpV4Types)
	v6 := p.options("spec.dhcpV6Options", spec.DHCPv6Options, dhcpV6Types)
	ra := p.options("spec.ipv6RAConfigs", spec.IPv6RAConfigs, raTypes)
	if spec.EnableDHCP && s.CIDR.V4.IsValid() {
		s.DHCP.V4 = v4
	}
	if spec.EnableDHCP && s.CIDR.V6.IsValid() {
		s.DHCP.V6 = v6
	}
	if spec.EnableIPv6RA && s.CIDR.V6.IsValid() {
		s.RouterAdvertisement = ra
	}
}

// portDHCP reads the options that a pod requests for one of its NICs.
func (p *problems) portDHCP(all map[string]string, nic *PodNIC) {
	v4, v6 := nic.Provider.Key(annotations.SuffixDHCPv4Options), nic.Provider.Key(annotations.SuffixDHCPv6Options)
	if text := all[v4]; text != "" {
		nic.DHCP.V4 = p.options(AnnotationField(v4), text, dhcpV4Types)
	}
	if text := all[v6]; text != "" {
		nic.DHCP.V6 = p.options(AnnotationField(v6), text, dhcpV6Types)
	}
}

// DHCPOptions returns the options for a subnet, or for one of its ports: the defaults, overridden by those of the
// subnet, then those of the port. mac is the server's. The defaults are in docs/subnets.md.
func DHCPOptions(s *Subnet, f Family, mac string, layers ...map[string]string) map[string]string {
	out := map[string]string{"server_id": mac}
	if f == IPv4 {
		mtu := s.MTU
		if mtu == 0 {
			mtu = overlayMTU
		}
		out = map[string]string{
			"server_id": dhcpServer, "server_mac": mac, "lease_time": "3600",
			"router": AddrsText(Addrs{V4: s.Gateway.V4}), "mtu": fmt.Sprint(mtu),
		}
	}
	for _, layer := range layers {
		maps.Copy(out, layer)
	}
	return out
}

const (
	// dhcpServer is the source address of the responses: no other host has it, since it is link-local (RFC 3927).
	dhcpServer = "169.254.0.254"
	// overlayMTU is what Geneve leaves of 1500 bytes, see pkg/node/hostplan.
	overlayMTU = 1400
)

// RouterAdvertisement is [Subnet.RouterAdvertisement] on top of the defaults.
func RouterAdvertisement(set map[string]string) map[string]string {
	out := map[string]string{"address_mode": "dhcpv6_stateful", "max_interval": "30", "min_interval": "5", "send_periodic": "true"}
	maps.Copy(out, set)
	return out
}
