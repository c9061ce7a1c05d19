// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/model"
)

func TestReverseNames(t *testing.T) {
	for address, want := range map[string]string{
		"10.96.0.1":   "1.0.96.10.in-addr.arpa",
		"fd00:10::a1": "1.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// A response has at most 512 octets: here 12 + 25 + 4, and 25 + 10 + 4 (IPv6: 16) for each record.
func TestRecordFitsInResponse(t *testing.T) {
	const name = "a.default.svc.cluster.l" // 23 characters
	first := map[bool]netip.Addr{true: netip.MustParseAddr("10.0.0.1"), false: netip.MustParseAddr("fd00::1")}
	for _, tc := range []struct {
		v4    bool
		count int
		fits  bool
	}{{true, 12, true}, {true, 13, false}, {false, 9, true}, {false, 10, false}} {
		addresses := []netip.Addr{first[tc.v4]}
		for len(addresses) < tc.count {
			addresses = append(addresses, addresses[len(addresses)-1].Next())
		}
		r := Result{}
		record(&r, dnsRow(0), name, slices.Concat(addresses, addresses))
		if fits := len(r.Members) == 1; fits != tc.fits {
			t.Errorf("%d addresses (IPv4: %t): response of %d octets fits: %t", tc.count, tc.v4, dnsAnswer(name, addresses), fits)
		}
	}
}

// Services are distributed over all rows.
func TestServicesAreDistributedOverRows(t *testing.T) {
	parts := map[uint32]int{}
	for _, namespace := range []string{"default", "kube-system", "shop", "bank", "x"} {
		for _, name := range []string{"web", "api", "db", "cache", "kubernetes", "kube-dns", "metrics", "frontend", "backend", "queue"} {
			parts[dnsPartOf(&model.Service{Meta: model.Meta{Namespace: namespace, Name: name}})]++
		}
	}
	for part, count := range parts {
		if part >= dnsParts || count > 12 {
			t.Errorf("row %d has %d of 50 Services", part, count)
		}
	}
}
