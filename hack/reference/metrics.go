// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wovensdn/woven/pkg/cniserver"
	"github.com/wovensdn/woven/pkg/metrics"
	"github.com/wovensdn/woven/pkg/node/hoststate"
)

func metricsPage(string) (string, error) {
	d := newDocument("Metrics", "woven-controller serves `/metrics` on `--pprof-port`, woven-cniserver on `--metrics-bind-address`. "+
		"Both also serve the metrics of the Go runtime, of the process, of client-go and of controller-runtime. "+
		"Names ending in `_seconds` are seconds; a histogram has the series `_bucket`, `_sum` and `_count`.")
	for _, process := range []struct {
		name     string
		register func(prometheus.Registerer) error
	}{
		{"woven-controller", func(r prometheus.Registerer) error { _, err := metrics.New(r); return err }},
		{"woven-cniserver", registerNode},
	} {
		r := &recorder{}
		if err := process.register(r); err != nil {
			return "", fmt.Errorf("register metrics of %s: %w", process.name, err)
		}
		slices.SortFunc(r.rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
		d.heading(2, process.name)
		d.table([]string{"metric", "type", "labels", "meaning"}, r.rows)
	}
	return d.String(), nil
}

func registerNode(r prometheus.Registerer) error {
	_, err1 := hoststate.NewMetrics(r)
	_, err2 := cniserver.NewMetrics(r)
	return errors.Join(err1, err2, r.Register((&hoststate.Reconciler{}).GatewayMetrics(context.Background())))
}

// recorder is a registerer that describes what is registered.
type recorder struct {
	prometheus.Registerer
	rows [][]string
}

// descriptor is the format of [prometheus.Desc.String], whose fields are not exported.
var descriptor = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*"), unit: "[^"]*", constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

func (r *recorder) Register(c prometheus.Collector) error {
	kind, err := kindOf(c)
	if err != nil {
		return err
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		c.Describe(descriptions)
		close(descriptions)
	}()
	for description := range descriptions {
		parts := descriptor.FindStringSubmatch(description.String())
		if parts == nil {
			err = errors.Join(err, fmt.Errorf("unknown format of a descriptor: %s", description))
			continue
		}
		help, unquoted := strconv.Unquote(parts[2])
		err = errors.Join(err, unquoted)
		var labels []string
		if parts[3] != "" {
			labels = strings.Split(parts[3], ",")
		}
		r.rows = append(r.rows, []string{code(parts[1]), kind, codes(labels), help})
	}
	return err
}

// kindOf finds the type of the metrics of a collector. One that makes its metrics when it is asked says the type.
func kindOf(c prometheus.Collector) (string, error) {
	switch c := c.(type) {
	case interface{ ValueType() prometheus.ValueType }:
		return map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge"}[c.ValueType()], nil
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram", nil
	case *prometheus.GaugeVec, prometheus.Gauge:
		return "gauge", nil
	case *prometheus.CounterVec, prometheus.Counter:
		return "counter", nil
	}
	return "", fmt.Errorf("unknown type of metric: %T", c)
}
