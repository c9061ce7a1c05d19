// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/wovensdn/woven/test/nbtest"
)

func TestOptionValues(t *testing.T) {
	for _, c := range []struct {
		types             optionTypes
		name, value, want string
	}{
		{dhcpV4Types, "router", "10.0.0.1", "10.0.0.1"},
		{dhcpV4Types, "dns_server", "{10.0.0.1,10.0.0.2}", "{10.0.0.1, 10.0.0.2}"},
		{dhcpV4Types, "dns_server", "{10.0.0.1}", "10.0.0.1"},
		{dhcpV4Types, "dns_server", "{}", ""},
		{dhcpV4Types, "dns_server", "{10.0.0.1, a.b}", ""},
		{dhcpV4Types, "dns_server", "fd00::1", ""},
		{dhcpV4Types, "netmask", "{255.0.0.0, 255.255.0.0}", ""},
		{dhcpV4Types, "mtu", "1400", "1400"},
		{dhcpV4Types, "mtu", "70000", ""},
		{dhcpV4Types, "lease_time", "4294967296", ""},
		{dhcpV4Types, "lease_time", "0600", "600"},
		{dhcpV4Types, "default_ttl", "256", ""},
		{dhcpV4Types, "ip_forward_enable", "true", "1"},
		{dhcpV4Types, "ip_forward_enable", "yes", ""},
		{dhcpV4Types, "domain_name", "example.org", `"example.org"`},
		{dhcpV4Types, "domain_name", `"example.org"`, `"example.org"`},
		{dhcpV4Types, "domain_name", "{a, b}", ""},
		{dhcpV4Types, "domain_search_list", `"a.org, b.org"`, `"a.org, b.org"`},
		{dhcpV4Types, "tftp_server", "10.0.0.1", "10.0.0.1"},
		{dhcpV4Types, "tftp_server", "tftp.example.org", `"tftp.example.org"`},
		{dhcpV4Types, "classless_static_route", "{10.1.0.0/16,10.0.0.1, 0.0.0.0/0,10.0.0.2}", "{10.1.0.0/16, 10.0.0.1, 0.0.0.0/0, 10.0.0.2}"},
		{dhcpV4Types, "classless_static_route", "{10.1.0.0/16}", ""},
		{dhcpV4Types, "classless_static_route", "{10.1.0.0/16,10.0.0.0/24}", ""},
		{dhcpV4Types, "server_mac", "0A:00:00:00:00:01", "0a:00:00:00:00:01"},
		{dhcpV6Types, "server_id", "10.0.0.1", ""},
		{dhcpV6Types, "dns_server", "FD00::1", "fd00::1"},
		{dhcpV6Types, "dns_server", "10.0.0.1", ""},
		{dhcpV6Types, "domain_search", "example.org", `"example.org"`},
		{dhcpV6Types, "dhcpv6_stateless", "yes", ""},
		{raTypes, "address_mode", "slaac", "slaac"},
		{raTypes, "address_mode", "dhcp", ""},
		{raTypes, "route_info", "{HIGH-fd00:1::/64, LOW-fd00:2::/64}", "HIGH-fd00:1::/64,LOW-fd00:2::/64"},
		{raTypes, "route_info", "BEST-fd00:1::/64", ""},
		{raTypes, "route_info", "HIGH-10.0.0.0/8", ""},
		{raTypes, "dnssl", "a.org", "a.org"},
		{raTypes, "dnssl", "{}", ""},
		{raTypes, "rdnss", "fd00::1", "fd00::1"},
		{raTypes, "max_interval", "3", ""},
		{raTypes, "send_periodic", "1", ""},
	} {
		got, cause := c.types[c.name](c.value)
		if got != c.want || (cause == "") != (c.want != "") {
			t.Errorf("%s=%s gives %q (%s), want %q", c.name, c.value, got, cause, c.want)
		}
	}
}

// TestOVNAcceptsOptionValues asks OVN for each option whether it accepts the values that the type of the option
// accepts.
func TestOVNAcceptsOptionValues(t *testing.T) {
	values := []string{
		"0", "1", "1400", "70000", "4294967295", "4294967296", "true", "10.0.0.1", "{10.0.0.1, 10.0.0.2}", "{}", "{a, b}", "a.b", `"a.b"`, "a-b", "fd00::1", "{fd00::1, fd00::2}",
		"{10.1.0.0/16,10.0.0.1}", "{10.1.0.0/16,10.0.0.1, 0.0.0.0/0,10.0.0.1}", "00:00:00:00:00:01", "10.0.0.0/8", `"a.b, c.d"`, "-1", "", "a@b", "10.0.0.1,10.0.0.2",
	}
	var flows []nbtest.LogicalFlow
	for action, types := range map[string]optionTypes{"put_dhcp_opts(offerip = 10.0.0.5": dhcpV4Types, "put_dhcpv6_opts(ia_addr = fd00::5": dhcpV6Types} {
		for _, name := range slices.Sorted(maps.Keys(types)) {
			if name == "server_mac" || name == "dhcpv6_stateless" { // ovn-northd reads them itself
				continue
			}
			for _, value := range values {
				if normal, cause := types[name](value); cause == "" {
					flows = append(flows, nbtest.LogicalFlow{Match: "1", Actions: fmt.Sprintf("reg0[3] = %s, %s = %s); next;", action, name, normal)})
				}
			}
		}
	}
	for i, cause := range nbtest.RefusedByOVN(t, flows) {
		if cause != "" {
			t.Errorf("%s: %s", flows[i].Actions, cause)
		}
	}
	t.Logf("%d values", len(flows))
}
