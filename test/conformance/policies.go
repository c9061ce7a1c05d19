// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
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
	dir     string // directory of conformance.test, the CRDs and, in tests/, the source
	cluster *sandbox.Cluster
	out     io.Writer
	logs    string
}

//go:embed sctp.yaml sctp-probe.yaml
var manifests embed.FS

// rootTest is the only top-level test of conformance.test.
const rootTest = "TestConformance"

// run installs the CRDs and runs the selected tests.
func (p policySuite) run(ctx context.Context, chosen selection) (summary, error) {
	done := summary{suite: p.name, log: filepath.Join(p.logs, "log"), left: chosen.left}
	if _, err := p.cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", p.dir); err != nil {
		return done, fmt.Errorf("install the CRDs of %s: %w", p.name, err)
	}
	if _, err := p.cluster.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=1m", "-f", p.dir); err != nil {
		return done, fmt.Errorf("install the CRDs of %s: %w", p.name, err)
	}
	// Both suites use the same namespaces.
	if err := p.until(ctx, "the namespaces of an earlier suite are deleted", "", "get", "namespaces", "-l", "conformance-house", "-o", "name"); err != nil {
		return done, err
	}
	if !hasFeature("sctp") {
		if err := p.withoutSCTP(ctx); err != nil {
			return done, fmt.Errorf("replace the SCTP servers in the pods of %s: %w", p.name, err)
		}
	}
	argv, err := p.cluster.ControlCommand(filepath.Join(p.dir, "conformance.test"),
		"-test.v", "-test.run=^"+rootTest+"$", "-test.skip="+except(chosen.others), "-test.timeout=3h", "-all-features")
	if err != nil {
		return done, err
	}
	lines := &verdicts{count: newCounter(p.out, time.Now, len(chosen.run)), output: map[string][]string{}}
	ended := runLogged(ctx, "conformance.test", done.log, p.logs, []string{"KUBECONFIG=" + p.cluster.Kubeconfig()}, argv, lines)
	done.results = lines.leaves()
	done.missing = missing(chosen.run, done.results)
	if ended != nil && done.good() {
		return done, fmt.Errorf("all tests passed, but their suite failed (see %s): %w", done.log, ended)
	}
	return done, ctx.Err()
}

// withoutSCTP applies an admission policy that replaces the SCTP servers in pods.
func (p policySuite) withoutSCTP(ctx context.Context) error {
	for _, name := range []string{"sctp.yaml", "sctp-probe.yaml"} {
		content, err := fs.ReadFile(manifests, name)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.logs, name), content, 0o600)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if _, err := p.cluster.Kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(p.logs, "sctp.yaml")); err != nil {
		return err
	}
	// The API server does not report when an admission policy is in force, so poll with a request that it changes.
	return p.until(ctx, "the admission policy is in force", "pause", "create", "--dry-run=server",
		"-f", filepath.Join(p.logs, "sctp-probe.yaml"), "-o", "jsonpath={.spec.template.spec.containers[0].command[1]}")
}

// prepareTimeout bounds each step of the preparation of a suite.
const prepareTimeout = 2 * time.Minute

// until repeats a kubectl command until its output is want.
func (p policySuite) until(ctx context.Context, what, want string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	for {
		out, err := p.cluster.Kubectl(ctx, args...)
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if out == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last: %s", what, ctx.Err(), brief(out))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// except is the regular expression for -test.skip that matches exactly these subtests of rootTest, and tests of which
// no subtest runs.
func except(names []string) string {
	exact := make([]string, len(names))
	for i, name := range names {
		parts := strings.Split(rootTest+"/"+name, "/")
		for j, part := range parts {
			parts[j] = "^" + regexp.QuoteMeta(part) + "$"
		}
		exact[i] = strings.Join(parts, "/")
	}
	return strings.Join(exact, "|")
}

// verdicts parses the verbose output of a Go test program while it is written. The results of subtests come only at the
// end, so progress counts the subtests that have begun.
type verdicts struct {
	lineReader
	count   *counter
	results []result
	running string
	output  map[string][]string // by test
}

var verdictLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \((\d+(?:\.\d+)?)s\)$`)

// lastLines is the number of lines of a failed test's output in its message.
const lastLines = 6

func (v *verdicts) Write(b []byte) (int, error) {
	for _, line := range v.lines(b) {
		v.line(line)
	}
	return len(b), nil
}

func (v *verdicts) line(line string) {
	if name, ok := strings.CutPrefix(line, "=== RUN   "+rootTest+"/"); ok {
		if v.running = name; strings.Contains(name, "/") {
			v.count.began(name)
		}
		return
	}
	match := verdictLine.FindStringSubmatch(line)
	if match == nil {
		v.output[v.running] = append(v.output[v.running], strings.TrimSpace(line))
		return
	}
	seconds, _ := strconv.ParseFloat(match[3], 64) // matches the regular expression
	r := result{name: strings.TrimPrefix(match[2], rootTest+"/"), took: time.Duration(seconds * float64(time.Second))}
	output := v.output[r.name]
	r.message = strings.Join(output[max(0, len(output)-lastLines):], " ")
	switch match[1] {
	case "PASS":
		r.message = ""
	case "FAIL":
		r.state = failed
	case "SKIP":
		r.state = skippedItself
	}
	v.results = append(v.results, r)
}

// leaves returns the results of tests without subtests, and of tests that failed although no subtest did.
func (v *verdicts) leaves() []result {
	var leaves []result
	for _, r := range v.results {
		covered := false
		for _, sub := range v.results {
			if isPart(sub.name, r.name) && (sub.state == r.state || r.state == passed) {
				covered = true
			}
		}
		if !covered {
			leaves = append(leaves, r)
		}
	}
	return leaves
}

// isPart reports whether a test is a subtest of another.
func isPart(name, of string) bool {
	return name != rootTest && (of == rootTest || strings.HasPrefix(name, of+"/"))
}
