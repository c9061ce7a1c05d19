// SPDX-License-Identifier: Apache-2.0

package model

import (
	"fmt"
	"testing"
)

func TestAPIServerAddresses(t *testing.T) {
	for _, tc := range []struct{ host, service, want string }{
		{"https://10.0.0.1:6443", "", "[10.0.0.1]"},
		{"https://[fd00::1]:6443/prefix", "10.96.0.1", "[fd00::1 10.96.0.1]"},
		{"10.0.0.1", "10.0.0.1", "[10.0.0.1]"},
		{"https://api.example:6443", "", "[]"},
	} {
		if got := fmt.Sprint(APIServerAddresses(tc.host, tc.service)); got != tc.want {
			t.Errorf("%q, %q: got %s, want %s", tc.host, tc.service, got, tc.want)
		}
	}
}
