// SPDX-License-Identifier: Apache-2.0

package model

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptions(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                                   {},
		"lease_time=60":                      {"lease_time": "60"},
		" mtu = 1300 , router=10.0.0.1,":     {"mtu": "1300", "router": "10.0.0.1"},
		"dns_server={1.1.1.1, 8.8.8.8},T1=9": {"dns_server": "{1.1.1.1, 8.8.8.8}", "T1": "9"},
		"dns_server=1.1.1.1;8.8.8.8":         {"dns_server": "{1.1.1.1, 8.8.8.8}"},
		`domain_name="a,b=c"`:                {"domain_name": `"a,b=c"`},
		"lease_time,=5,router=,nothing=1":    {},
		"router=1.1.1.1);drop;":              {},
		`domain_name="open`:                  {},
	} {
		p := problems{}
		got := p.options("f", text, dhcpV4Types)
		if want["domain_name"] != "" { // an equals sign is no character of a value
			want = map[string]string{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// Nothing that ovn-northd would read as the end of an argument may get through.
func FuzzOptions(f *testing.F) {
	f.Add("lease_time=60,dns_server={1.1.1.1, 8.8.8.8}", true)
	f.Add("ntp_server=1.1.1.1;8.8.8.8);next;", false)
	f.Fuzz(func(t *testing.T, text string, v4 bool) {
		p, known := problems{}, dhcpV6Types
		if v4 {
			known = dhcpV4Types
		}
		for name, value := range p.options("f", text, known) {
			if known[name] == nil || value == "" || strings.ContainsAny(value, "();\n\\=") || strings.Count(value, `"`)%2 != 0 {
				t.Fatalf("%q gives %s=%q", text, name, value)
			}
		}
	})
}
