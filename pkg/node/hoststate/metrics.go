// SPDX-License-Identifier: Apache-2.0

package hoststate

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of the node's programs.
type Metrics struct {
	passes  *prometheus.CounterVec
	changes prometheus.Counter
	ready   prometheus.Gauge
}

// NewMetrics registers the collectors.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "woven_node_passes_total",
			Help: "Comparisons of the desired and the actual state of the node, by result (ok, error).",
		}, []string{"result"}),
		changes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "woven_node_changes_total",
			Help: "Changes made to links, addresses, routes, kernel settings and NAT rules of the node.",
		}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "woven_node_ready",
			Help: "1 if ovn0 works, the join gateway answers and CNI requests are served; else 0.",
		}),
	}
	for _, c := range []prometheus.Collector{m.passes, m.changes, m.ready} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the node: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) pass(err error, ready bool) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.passes.WithLabelValues(result).Inc()
	m.ready.Set(0)
	if ready {
		m.ready.Set(1)
	}
}

// Changed counts changes.
func (m *Metrics) Changed(n int) { m.changes.Add(float64(n)) }
