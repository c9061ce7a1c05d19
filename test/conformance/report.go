// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// result is the result of one spec.
type result struct {
	name    string
	state   state
	message string // reason of a failure or a skip
	took    time.Duration
}

type state int

const (
	passed state = iota
	failed
	skippedItself
)

func (s state) String() string { return [...]string{"ok", "FAILED", "skipped"}[s] }

// ginkgoReport is the part of Ginkgo's JSON report that we read (github.com/onsi/ginkgo/v2/types.Report).
type ginkgoReport struct {
	SpecReports []struct {
		ContainerHierarchyTexts []string
		LeafNodeType            string
		LeafNodeText            string
		State                   string
		RunTime                 time.Duration
		Failure                 struct {
			Message  string
			Location struct {
				FileName   string
				LineNumber int
			}
		}
	}
}

// readReport returns the results of the specs that ran or skipped themselves, and of failed setup nodes.
func readReport(raw []byte) ([]result, error) {
	var suites []ginkgoReport
	if err := json.Unmarshal(raw, &suites); err != nil {
		return nil, fmt.Errorf("read Ginkgo's report: %w", err)
	}
	var results []result
	for _, suite := range suites {
		for _, spec := range suite.SpecReports {
			r := result{name: strings.Join(append(slices.Clone(spec.ContainerHierarchyTexts), spec.LeafNodeText), " "), took: spec.RunTime}
			switch spec.State {
			case "passed":
			case "skipped", "pending":
				if r.state, r.message = skippedItself, spec.Failure.Message; r.message == "" {
					continue // not selected
				}
			default: // failed, panicked, timedout, interrupted, aborted
				r.state = failed
				r.message = fmt.Sprintf("%s (%s:%d)", spec.Failure.Message, spec.Failure.Location.FileName, spec.Failure.Location.LineNumber)
			}
			if spec.LeafNodeType == "It" {
				results = append(results, r)
			} else if r.state == failed { // setup and clean-up of the whole suite
				r.name = spec.LeafNodeType
				results = append(results, r)
			}
		}
	}
	return results, nil
}

// summary is the result of a suite.
type summary struct {
	suite   string
	results []result
	missing []string // selected specs without a result
	left    []leftOut
	log     string // the main log file
}

func (s summary) count(of state) (n int) {
	for _, r := range s.results {
		if r.state == of {
			n++
		}
	}
	return n
}

// good reports whether every selected spec has passed.
func (s summary) good() bool {
	return s.count(failed) == 0 && s.count(skippedItself) == 0 && len(s.missing) == 0 && len(s.results) > 0
}

// print prints the counts, the number of skipped specs by reason, and the failed specs.
func (s summary) print(out io.Writer) {
	reasonsFor := map[string]int{}
	for _, l := range s.left {
		reasonsFor[l.by.Reason]++
	}
	fmt.Fprintf(out, "\n%s: %d passed, %d failed, %d skipped\n", s.suite, s.count(passed), s.count(failed)+len(s.missing), s.count(skippedItself)+len(s.left))
	for _, reason := range reasons {
		if reasonsFor[reason] > 0 {
			fmt.Fprintf(out, "  skipped, %s: %d\n", reason, reasonsFor[reason])
		}
	}
	for _, kind := range []struct {
		state state
		word  string
	}{{skippedItself, "SKIPPED ITSELF"}, {failed, "FAILED"}} {
		for _, r := range s.results {
			if r.state == kind.state {
				fmt.Fprintf(out, "  %s %s\n      %s\n", kind.word, r.name, brief(r.message))
			}
		}
	}
	for i, name := range s.missing {
		if i == mostMissing {
			fmt.Fprintf(out, "  NOT RUN, and %d more\n", len(s.missing)-i)
			break
		}
		fmt.Fprintf(out, "  NOT RUN %s\n", name)
	}
	fmt.Fprintf(out, "  logs: %s\n", filepath.Dir(s.log))
}

// mostMissing bounds the number of printed specs that did not run.
const mostMissing = 20

// brief returns the beginning of a message, on one line.
func brief(message string) string {
	const most = 300
	line := strings.Join(strings.Fields(message), " ")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + " …"
	}
	return line
}
