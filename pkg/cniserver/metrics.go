package cniserver

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the collectors of the server.
type metrics struct {
	latency *prometheus.HistogramVec
	wait    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "cni_op_latency_seconds",
			Help:    "Seconds from a CNI request to its response, by operation and HTTP status code.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80},
		}, []string{"op", "code"}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "cni_wait_address_seconds",
			Help:    "Seconds that ADD waited for the controller to allocate and program the pod's addresses.",
			Buckets: []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40},
		}),
	}
	for _, c := range []prometheus.Collector{m.latency, m.wait} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(op string, code int, took time.Duration) {
	m.latency.WithLabelValues(op, strconv.Itoa(code)).Observe(took.Seconds())
}
