// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"fmt"
	"testing"
)

func TestAPIServers(t *testing.T) {
	for _, c := range []struct{ configured, host, port, want string }{
		{"https://192.0.2.1:6443", "", "", "[192.0.2.1] invalid IP [192.0.2.1:6443]"},
		{"https://[2001:db8::1]", "", "", "[2001:db8::1] invalid IP [[2001:db8::1]:443]"},
		{"https://api.example.org:6443", "", "", "[] invalid IP []"},
		{"https://10.96.0.1:443", "10.96.0.1", "443", "[10.96.0.1] 10.96.0.1 [10.96.0.1:443 10.96.0.1:443]"},
		{"https://192.0.2.1:6443", "fd00:10:96::1", "8443", "[192.0.2.1 fd00:10:96::1] fd00:10:96::1 [192.0.2.1:6443 [fd00:10:96::1]:6443 [fd00:10:96::1]:8443]"},
	} {
		s := apiServers(c.configured, c.host, c.port)
		if got := fmt.Sprint(s.addresses, s.clusterIP, s.ports); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.configured, c.host, got, c.want)
		}
	}
}
