// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of the server.
type Metrics struct {
	latency *prometheus.HistogramVec
	wait    prometheus.Histogram
}

// NewMetrics registers the collectors.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cni_op_latency_seconds",
			Help:    "Time from the arrival of a CNI request to its response, by operation and HTTP status code.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80},
		}, []string{"op", "code"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "cni_wait_address_seconds",
			Help:    "Time that CNI ADD waited for the controller to allocate and program the addresses of the pod.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40},
		}),
	}
	for _, c := range []prometheus.Collector{m.latency, m.wait} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the CNI server: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) observe(op string, code int, took time.Duration) {
	m.latency.WithLabelValues(op, strconv.Itoa(code)).Observe(took.Seconds())
}
