// SPDX-License-Identifier: Apache-2.0

// Command reference writes docs/reference: every flag, metric, API field, annotation and event reason, taken from the
// code and from the CRDs. It also writes docs/compatibility.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run github.com/wovensdn/woven/hack/reference -root ../..

// page is one file.
type page struct {
	name string // below docs
	make func(root string) (string, error)
}

var pages = []page{
	{"reference/flags.md", flagsPage},
	{"reference/metrics.md", metricsPage},
	{"reference/api.md", apiPage},
	{"reference/events.md", eventsPage},
	{"compatibility.md", compatibilityPage},
}

func main() {
	root := flag.String("root", ".", "root of the source tree")
	flag.Parse()
	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	dir := filepath.Join(root, "docs")
	if err := os.MkdirAll(filepath.Join(dir, "reference"), 0o755); err != nil { // #nosec G301 -- documentation
		return fmt.Errorf("make directory: %w", err)
	}
	for _, p := range pages {
		text, err := p.make(root)
		if err != nil {
			return fmt.Errorf("make %s: %w", p.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.name), []byte(text), 0o644); err != nil { // #nosec G306 -- documentation
			return fmt.Errorf("write %s: %w", p.name, err)
		}
	}
	return nil
}
