// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
)

// Elements that forward an API server's address go; other ports, other addresses and what rules have learned stay.
func TestReleaseOnLinux(t *testing.T) {
	node := nstest.New(t)
	node.Do(func() {
		d := &nft.Driver{}
		at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:6443"), netip.MustParseAddrPort("[2001:db8::1]:6443")}
		if n, err := d.Release(t.Context(), "woven-services", at); n != 0 || err != nil {
			t.Errorf("no table: %d, %v", n, err)
		}
		run(t, "add", "table", "inet", "woven-services")
		run(t, "add", "map", "inet", "woven-services", "plain4", "{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; elements = { 192.0.2.1 . tcp . 6443 : 10.96.0.9 . 443, 192.0.2.1 . udp . 6443 : 10.96.0.9 . 443, 192.0.2.1 . tcp . 30080 : 10.96.0.9 . 443, 192.0.2.9 . tcp . 6443 : 10.96.0.9 . 443 } }")
		run(t, "add", "set", "inet", "woven-services", "guarded6", "{ type ipv6_addr . inet_proto . inet_service; elements = { 2001:db8::1 . tcp . 6443, 2001:db8::9 . tcp . 6443 } }")
		run(t, "add", "map", "inet", "woven-services", "learned4", "{ type mark . ipv4_addr : ipv4_addr; elements = { 0x1 . 192.0.2.1 : 10.16.0.5 } }")
		if n, err := d.Release(t.Context(), "woven-services", at); n != 3 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		text := run(t, "list", "table", "inet", "woven-services")
		for want, times := range map[string]int{"192.0.2.1 . tcp . 30080": 1, "192.0.2.9 . tcp . 6443": 1, "2001:db8::9 . tcp . 6443": 1, "0x00000001 . 192.0.2.1": 1, ". 6443": 2} {
			if strings.Count(text, want) != times {
				t.Errorf("%q is not %d times in\n%s", want, times, text)
			}
		}
	})
}
