// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The files in docs/reference are what the generator makes.
func TestReferenceIsFresh(t *testing.T) {
	const root = "../.."
	for _, p := range pages {
		want, err := p.make(root)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		have, err := os.ReadFile(filepath.Join(root, "docs", "reference", p.name))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("docs/reference/%s is not up to date: run make generate", p.name)
		}
	}
}

func TestRecorder(t *testing.T) {
	r := &recorder{}
	for _, c := range []prometheus.Collector{
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a_total", Help: `A "quoted" help, with commas.`}, []string{"x", "y"}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "b", Help: "B."}),
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: "c_seconds", Help: "C."}),
	} {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for _, row := range r.rows {
		lines = append(lines, strings.Join(row, " / "))
	}
	want := "`a_total` / counter / `x`, `y` / A \"quoted\" help, with commas.\n`b` / gauge /  / B.\n`c_seconds` / histogram /  / C."
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("recorded:\n%s\nwant:\n%s", got, want)
	}
}
