// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"testing"
)

func TestTranspose(t *testing.T) {
	for _, tc := range []struct{ in, of, addr, want string }{
		{"169.254.64.0/18", "100.64.0.0/16", "100.64.0.2", "169.254.64.2"},
		{"169.254.64.0/18", "100.64.0.0/16", "100.64.63.255", "169.254.127.255"},
		{"169.254.64.0/18", "100.64.0.0/16", "100.64.64.0", ""},
		{"10.0.0.0/8", "100.64.4.0/22", "100.64.6.7", "10.0.2.7"},
		{"10.1.2.3/24", "100.64.0.0/16", "100.64.0.9", "10.1.2.9"},
		{"fd69:254:64::/112", "fd00:100:64::/112", "fd00:100:64::ab:0", ""},
		{"fd69:254:64::/112", "fd00:100:64::/64", "fd00:100:64::ab", "fd69:254:64::ab"},
		{"fd69:254:64::/112", "fd00:100:64::/64", "fd00:100:64::1:0:ab", ""},
		{"fd69:254:64::/112", "100.64.0.0/16", "100.64.0.2", ""},
		{"169.254.64.0/18", "100.64.0.0/16", "100.65.0.2", ""},
	} {
		got, ok := Transpose(netip.MustParsePrefix(tc.in), netip.MustParsePrefix(tc.of), netip.MustParseAddr(tc.addr))
		if ok != (tc.want != "") || ok && got.String() != tc.want {
			t.Errorf("%s of %s in %s is %s, %v; want %s", tc.addr, tc.of, tc.in, got, ok, tc.want)
		}
	}
}
