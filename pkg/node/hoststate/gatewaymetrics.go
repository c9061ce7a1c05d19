// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// scrapeTimeout bounds the reading of the kernel's counters.
const scrapeTimeout = 5 * time.Second

// gatewayMetrics counts what the node forwards from and to the networks of pods. The kernel counts; its counters are
// read on each scrape, and at no other time. Names and labels are those of Kube-OVN, so that its dashboards work.
type gatewayMetrics struct {
	loop           *Reconciler
	within         func() (context.Context, context.CancelFunc)
	packets, bytes *prometheus.Desc
}

// GatewayMetrics returns the collector of the metrics ovn_subnet_gateway_packets and
// ovn_subnet_gateway_packet_bytes; it reads as long as ctx lasts.
func (l *Reconciler) GatewayMetrics(ctx context.Context) prometheus.Collector {
	labels := []string{"hostname", "subnet_name", "cidr", "direction", "protocol"}
	return &gatewayMetrics{
		loop:   l,
		within: func() (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, scrapeTimeout) },
		packets: prometheus.NewDesc("ovn_subnet_gateway_packets",
			"Packets that this node forwarded from (egress) or to (ingress) pods of a subnet.", labels, nil),
		bytes: prometheus.NewDesc("ovn_subnet_gateway_packet_bytes",
			"Bytes of the packets that this node forwarded from (egress) or to (ingress) pods of a subnet.", labels, nil),
	}
}

// Describe implements [prometheus.Collector].
func (t *gatewayMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- t.packets; ch <- t.bytes }

// ValueType is the type of both metrics.
func (*gatewayMetrics) ValueType() prometheus.ValueType { return prometheus.CounterValue }

// Collect implements [prometheus.Collector].
func (t *gatewayMetrics) Collect(ch chan<- prometheus.Metric) {
	counters := t.loop.counters.Load()
	if counters == nil {
		return
	}
	ctx, cancel := t.within()
	defer cancel()
	counts, err := t.loop.e.Tables.Counters(ctx, hostplan.TableName)
	if err != nil {
		// Not an invalid metric: that would take all others from the scrape, too.
		t.loop.e.Log.Error(err, "cannot read the counters of gateway metrics, leaving them out")
		return
	}
	for _, c := range *counters {
		count, there := counts[c.Name]
		if !there {
			continue
		}
		labels := gatewayLabels(t.loop.cfg.NodeName, c)
		ch <- prometheus.MustNewConstMetric(t.packets, t.ValueType(), float64(count.Packets), labels...)
		ch <- prometheus.MustNewConstMetric(t.bytes, t.ValueType(), float64(count.Bytes), labels...)
	}
}

func gatewayLabels(node string, c hostplan.Counter) []string {
	direction, protocol := "egress", "IPv6"
	if c.Ingress {
		direction = "ingress"
	}
	if c.CIDR.Addr().Is4() {
		protocol = "IPv4"
	}
	return []string{node, c.Subnet, c.CIDR.String(), direction, protocol}
}

var _ Tables = (*nft.Driver)(nil)
