// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wovensdn/woven/api/annotations"
	"github.com/wovensdn/woven/pkg/compat"
)

// The files are what the generator makes.
func TestReferenceIsFresh(t *testing.T) {
	const root = "../.."
	for _, p := range pages {
		want, err := p.make(root)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		have, err := os.ReadFile(filepath.Join(root, "docs", p.name))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("docs/%s is not up to date: run make generate", p.name)
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

// What package annotations names is in the table of package compat, for each kind that has it.
func TestAnnotationsAreInTheCompatibilityTable(t *testing.T) {
	all, err := readAnnotations("../../api/annotations/annotations.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, k := range compat.Kinds {
		for _, r := range k.Annotations {
			rows[k.Name+" "+r.Name] = true
		}
		for _, r := range k.Labels {
			rows[k.Name+" label "+r.Name] = true
		}
	}
	for _, m := range all {
		name := m.name
		if strings.HasPrefix(m.constant, "Suffix") {
			name = annotations.Key(annotations.DefaultProvider, m.name)
		}
		if strings.HasPrefix(m.constant, "Label") {
			name = "label " + name
		}
		for kind := range strings.SplitSeq(m.on, ",") {
			if m.on != "" && !rows[kind+" "+name] {
				t.Errorf("%s of kind %s is in no row of package compat", name, kind)
			}
		}
	}
}
