package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// policySuite is a conformance suite of network-policy-api.
type policySuite struct {
	name    string
	dir     string // of conformance.test and the CRDs
	cluster *sandbox.Cluster
	out     io.Writer
	logs    string
	pattern string // which tests: for -test.run; empty: all
}

// run installs the CRDs and runs the tests.
func (p policySuite) run(ctx context.Context) (summary, error) {
	done := summary{suite: p.name, log: filepath.Join(p.logs, "log")}
	if _, err := p.cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", p.dir); err != nil {
		return done, fmt.Errorf("install the CRDs of %s: %w", p.name, err)
	}
	if _, err := p.cluster.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=1m", "-f", p.dir); err != nil {
		return done, fmt.Errorf("install the CRDs of %s: %w", p.name, err)
	}
	run := "TestConformance"
	if p.pattern != "" {
		run += "/" + p.pattern
	}
	argv, err := p.cluster.ControlCommand(filepath.Join(p.dir, "conformance.test"),
		"-test.v", "-test.run="+run, "-test.timeout=2h", "-all-features")
	if err != nil {
		return done, err
	}
	lines := &verdicts{count: newCounter(p.out, time.Now, 0)}
	ended := runLogged(ctx, done.log, p.logs, []string{"KUBECONFIG=" + p.cluster.Kubeconfig()}, argv, lines)
	done.results = lines.leaves()
	if ended != nil && done.good() {
		return done, fmt.Errorf("the tests passed, but not their suite (see %s): %w", done.log, ended)
	}
	return done, ctx.Err()
}

// verdicts reads the verbose output of a Go test program while it is written.
type verdicts struct {
	lineReader
	count   *counter
	results []result
	last    []string // lines since a test began, for the message of a failure
}

var verdictLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \((\d+(?:\.\d+)?)s\)$`)

// lastLines bounds how much of a failed test's output its message shows.
const lastLines = 6

func (v *verdicts) Write(b []byte) (int, error) {
	for _, line := range v.lines(b) {
		v.line(line)
	}
	return len(b), nil
}

func (v *verdicts) line(line string) {
	match := verdictLine.FindStringSubmatch(line)
	if match == nil {
		v.last = append(v.last, strings.TrimSpace(line))
		v.last = v.last[max(0, len(v.last)-lastLines):]
		return
	}
	seconds, _ := strconv.ParseFloat(match[3], 64) // digits, says the expression
	r := result{name: match[2], took: time.Duration(seconds * float64(time.Second))}
	switch match[1] {
	case "FAIL":
		r.state, r.message = failed, strings.Join(v.last, " ")
	case "SKIP":
		r.state, r.message = skippedItself, strings.Join(v.last, " ")
	}
	v.last = nil
	parent := false
	for _, earlier := range v.results {
		parent = parent || strings.HasPrefix(earlier.name, r.name+"/")
	}
	v.results = append(v.results, r)
	if !parent {
		v.count.ended(r.name, r.state)
	}
}

// leaves are the results of tests without subtests, and of others that failed though no subtest did.
func (v *verdicts) leaves() []result {
	var leaves []result
	for i, r := range v.results {
		covered := false
		for _, sub := range v.results[:i] {
			if strings.HasPrefix(sub.name, r.name+"/") && (sub.state == r.state || r.state == passed) {
				covered = true
			}
		}
		if !covered {
			leaves = append(leaves, r)
		}
	}
	return leaves
}
