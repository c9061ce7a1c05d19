// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wovensdn/woven/pkg/node/driver/nft"
)

// counted has what a kernel would have counted.
type counted struct {
	Tables
	counts map[string]nft.Count
	err    error
	reads  int
}

func (c *counted) Counters(context.Context, string) (map[string]nft.Count, error) {
	c.reads++
	return c.counts, c.err
}

// The metrics have the names and labels of Kube-OVN, and the kernel is asked only when they are scraped.
func TestGatewayMetrics(t *testing.T) {
	h := newHost(t, append(typical(), testSubnet("both", "10.40.0.0/16,fd00:10:40::/112", true))...)
	c := &counted{Tables: h.state.e.Tables, counts: map[string]nft.Count{
		"egress4-both": {Packets: 7, Bytes: 700}, "ingress4-both": {Packets: 5, Bytes: 5000}, "egress6-both": {Packets: 1, Bytes: 60},
		"of-somebody-else": {Packets: 9, Bytes: 9},
	}}
	h.state.e.Tables = c
	collector := h.state.GatewayMetrics(t.Context())
	if n := testutil.CollectAndCount(collector); n != 0 {
		t.Errorf("%d metrics before the first pass", n)
	}
	if _, err := h.pass(); err != nil {
		t.Fatal(err)
	}
	if c.reads != 0 {
		t.Errorf("the kernel was asked %d times without a scrape", c.reads)
	}
	const want = `
# HELP ovn_subnet_gateway_packets Packets that this node forwarded from (egress) or to (ingress) pods of a subnet.
# TYPE ovn_subnet_gateway_packets counter
ovn_subnet_gateway_packets{cidr="10.40.0.0/16",direction="egress",hostname="n1",protocol="IPv4",subnet_name="both"} 7
ovn_subnet_gateway_packets{cidr="10.40.0.0/16",direction="ingress",hostname="n1",protocol="IPv4",subnet_name="both"} 5
ovn_subnet_gateway_packets{cidr="fd00:10:40::/112",direction="egress",hostname="n1",protocol="IPv6",subnet_name="both"} 1
# HELP ovn_subnet_gateway_packet_bytes Bytes of the packets that this node forwarded from (egress) or to (ingress) pods of a subnet.
# TYPE ovn_subnet_gateway_packet_bytes counter
ovn_subnet_gateway_packet_bytes{cidr="10.40.0.0/16",direction="egress",hostname="n1",protocol="IPv4",subnet_name="both"} 700
ovn_subnet_gateway_packet_bytes{cidr="10.40.0.0/16",direction="ingress",hostname="n1",protocol="IPv4",subnet_name="both"} 5000
ovn_subnet_gateway_packet_bytes{cidr="fd00:10:40::/112",direction="egress",hostname="n1",protocol="IPv6",subnet_name="both"} 60
`
	if err := testutil.CollectAndCompare(collector, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	c.err = errors.New("no nft")
	if n := testutil.CollectAndCount(collector); n != 0 {
		t.Errorf("%d metrics although the kernel does not answer", n)
	}
}
