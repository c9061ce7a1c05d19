// SPDX-License-Identifier: Apache-2.0

// Package metrics has the controller's Prometheus collectors. It depends on none of the packages that it measures: they
// see it through interfaces of their own.
package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wovensdn/woven/pkg/model"
)

const namespace = "woven"

// Metrics are the controller's collectors. Its methods are safe for concurrent
// use and do not block.
type Metrics struct {
	woken     *prometheus.HistogramVec
	compile   *prometheus.HistogramVec
	commits   *prometheus.HistogramVec
	ops       prometheus.Counter
	batch     prometheus.Histogram
	drift     *prometheus.CounterVec
	compared  prometheus.Counter
	connected prometheus.Gauge
	epoch     prometheus.Gauge
	leading   prometheus.Gauge
	writes    *prometheus.CounterVec
	used      *prometheus.GaugeVec
	available *prometheus.GaugeVec
}

// New creates and registers the collectors.
func New(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		woken:   histogram("engine_owners_woken", "Objects compiled again because of one change of an object of this kind.", prometheus.ExponentialBuckets(1, 4, 10), "kind"),
		compile: histogram("compile_duration_seconds", "Seconds to compile one object of this kind.", prometheus.ExponentialBuckets(1e-6, 4, 10), "kind"),
		commits: histogram("commit_duration_seconds", "Seconds of one transaction of the northbound database, by result.", prometheus.ExponentialBuckets(1e-3, 2, 14), "result"),
		ops:     counter("commit_operations_total", "Operations sent to the northbound database."),
		batch:   prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: "commit_batch_size", Help: "Rows and set members changed by one transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "drift_repairs_total",
			Help: "Changes to our rows of this table by other clients, which the controller reverted.",
		}, []string{"table"}),
		compared:  counter("full_comparisons_total", "Full comparisons with the northbound database: after a start, a reconnect and a change of leader."),
		connected: gauge("nb_connected", "1 while the cache of the northbound database is synced and connected."),
		epoch:     gauge("epoch", "Epoch with which this process fences its writes to the northbound database."),
		leading:   gauge("leading", "1 while this process is the leader (holds the Lease)."),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "api_writes_total",
			Help: "Writes to the API server by kind, verb and result (ok, or the reason of the error).",
		}, []string{"kind", "verb", "result"}),
		used:      subnetGauge("subnet_used_ip_count", "Addresses of the subnet in use."),
		available: subnetGauge("subnet_available_ip_count", "Addresses of the subnet that can still be allocated."),
	}
	var all error
	for _, c := range []prometheus.Collector{
		m.woken, m.compile, m.commits, m.ops, m.batch, m.drift, m.compared, m.connected, m.epoch, m.leading, m.writes, m.used, m.available,
	} {
		all = errors.Join(all, registry.Register(c))
	}
	return m, all
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

// subnetGauge has the name and labels that Kube-OVN uses, so that dashboards and alerts work unchanged.
func subnetGauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"subnet_name", "protocol", "subnet_cidr"})
}

// Woken records how many owners one change caused to be compiled again.
func (m *Metrics) Woken(kind model.Kind, owners int) {
	m.woken.WithLabelValues(string(kind)).Observe(float64(owners))
}

// Compiled records the duration of one compilation in seconds.
func (m *Metrics) Compiled(kind model.Kind, seconds float64) {
	m.compile.WithLabelValues(string(kind)).Observe(seconds)
}

// Committed records one transaction: its operations, the number of its rows and members, its duration in seconds, and
// its error.
func (m *Metrics) Committed(ops, units int, seconds float64, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.commits.WithLabelValues(result).Observe(seconds)
	m.ops.Add(float64(ops))
	m.batch.Observe(float64(units))
}

// Drift counts a change by another client that must be reverted.
func (m *Metrics) Drift(table string) { m.drift.WithLabelValues(table).Inc() }

// Compared counts a full comparison with the northbound database.
func (m *Metrics) Compared() { m.compared.Inc() }

// Connected records whether the northbound database is connected.
func (m *Metrics) Connected(connected bool) { m.connected.Set(number(connected)) }

// Epoch records the epoch of our leadership.
func (m *Metrics) Epoch(epoch int64) { m.epoch.Set(float64(epoch)) }

// Lead records whether this process is the leader.
func (m *Metrics) Lead(leading bool) { m.leading.Set(number(leading)) }

// Wrote counts a write to the API server.
func (m *Metrics) Wrote(kind, verb, result string) {
	m.writes.WithLabelValues(kind, verb, result).Inc()
}

// SubnetUsed records the numbers of used and available addresses of one IP family of a subnet.
func (m *Metrics) SubnetUsed(subnet, protocol, cidr string, used, available float64) {
	m.used.WithLabelValues(subnet, protocol, cidr).Set(used)
	m.available.WithLabelValues(subnet, protocol, cidr).Set(available)
}

// SubnetGone removes the metrics of a subnet.
func (m *Metrics) SubnetGone(subnet string) {
	m.used.DeletePartialMatch(prometheus.Labels{"subnet_name": subnet})
	m.available.DeletePartialMatch(prometheus.Labels{"subnet_name": subnet})
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
