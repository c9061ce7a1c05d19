// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// kubernetesSuite is e2e.test, Kubernetes' own tests.
type kubernetesSuite struct {
	dir     string // of e2e.test and ginkgo
	cluster *sandbox.Cluster
	procs   int
	out     io.Writer
	logs    string // directory for logs and reports
}

// listSpecs returns the names of the network specs of e2e.test.
func listSpecs(ctx context.Context, dir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "e2e.test"), "--list-tests") // #nosec G204 -- built by us
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the specs of e2e.test: %w: %s", err, brief(stderr.String()))
	}
	specs, err := parseSpecs(string(raw))
	return slices.DeleteFunc(specs, func(spec string) bool { return !aboutNetwork(spec) }), err
}

// parseSpecs reads lines "    <file>:<line>: <name>".
func parseSpecs(text string) ([]string, error) {
	var specs []string
	line := regexp.MustCompile(`(?m)^\s+\S+:\d+: (.+)$`)
	for _, match := range line.FindAllStringSubmatch(text, -1) {
		specs = append(specs, match[1])
	}
	if len(specs) == 0 {
		return nil, errors.New("list the specs of e2e.test: none found")
	}
	return specs, nil
}

// focus is the regular expression that matches exactly these specs. Ginkgo matches it against "<suite> <spec>".
func focus(specs []string) string {
	quoted := make([]string, len(specs))
	for i, spec := range specs {
		quoted[i] = regexp.QuoteMeta(spec)
	}
	return "^Kubernetes e2e suite (" + strings.Join(quoted, "|") + ")$"
}

// alone matches specs that cannot run in parallel, though upstream does not mark them Serial: their pods listen on the
// same ports of the nodes (see the comment above them in test/e2e/network/networking.go).
var alone = regexp.MustCompile(`should function for service endpoints using hostNetwork`)

// run runs the specs in parallel, those marked Serial one by one (Ginkgo does that), and then those that must run
// alone.
func (k kubernetesSuite) run(ctx context.Context, chosen selection) (summary, error) {
	done, specs := summary{suite: "Kubernetes", log: filepath.Join(k.logs, "parallel.log"), left: chosen.left}, chosen.run
	if err := k.cluster.ImportImages(ctx, k.dir); err != nil {
		return done, err
	}
	var parallel, single []string
	for _, spec := range specs {
		if alone.MatchString(spec) {
			single = append(single, spec)
		} else {
			parallel = append(parallel, spec)
		}
	}
	count := newCounter(k.out, time.Now, len(specs))
	passes := []pass{{name: "parallel", procs: k.procs, specs: parallel, count: count}, {name: "alone", procs: 1, specs: single, count: count}}
	for _, p := range passes {
		if len(p.specs) == 0 {
			continue
		}
		results, err := k.pass(ctx, p)
		if done.results = append(done.results, results...); err != nil {
			return done, err
		}
	}
	done.missing = missing(specs, done.results)
	return done, ctx.Err()
}

// pass is one run of Ginkgo.
type pass struct {
	name  string
	procs int
	specs []string
	count *counter
}

func (k kubernetesSuite) pass(ctx context.Context, p pass) ([]result, error) {
	argv, err := k.cluster.ControlCommand(k.command(p)...)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(k.logs, p.name+".log")
	ended := runLogged(ctx, "ginkgo", log, k.logs, []string{"KUBECACHEDIR=" + filepath.Join(k.logs, "kubectl-cache")}, argv, &specLines{count: p.count})
	raw, err := os.ReadFile(filepath.Join(k.logs, p.name+".json")) // #nosec G304 -- our own directory
	if err != nil {
		return nil, errors.Join(ended, fmt.Errorf("read the report of the specs (see %s): %w", log, err))
	}
	results, err := readReport(raw)
	if err == nil && ended != nil && (summary{results: results}).good() {
		err = fmt.Errorf("all specs passed, but their suite failed (see %s): %w", log, ended)
	}
	return results, err
}

// missing returns the specs that have no result.
func missing(specs []string, results []result) (none []string) {
	known := map[string]bool{}
	for _, r := range results {
		known[r.name] = true
	}
	for _, spec := range specs {
		if !known[spec] {
			none = append(none, spec)
		}
	}
	return none
}

func (k kubernetesSuite) command(p pass) []string {
	kubectl := filepath.Join(k.cluster.Plan().Artifacts.Kubernetes, "kubectl")
	return []string{
		filepath.Join(k.dir, "ginkgo"), fmt.Sprintf("--procs=%d", p.procs), "--no-color", "-v", "--timeout=6h",
		"--focus=" + focus(p.specs), "--json-report=" + p.name + ".json", "--output-dir=" + k.logs,
		filepath.Join(k.dir, "e2e.test"), "--",
		"--kubeconfig=" + k.cluster.Kubeconfig(), "--kubectl-path=" + kubectl,
		"--provider=skeleton", fmt.Sprintf("--num-nodes=%d", k.cluster.Nodes()),
		"--allowed-not-ready-nodes=-1", "--minStartupPods=0",
	}
}

// interruptGrace is how long an interrupted suite may clean up.
const interruptGrace = 30 * time.Second

// runLogged runs a command and writes its output to a file. When ctx ends, it sends SIGINT, and SIGKILL after
// interruptGrace.
func runLogged(ctx context.Context, name, file, dir string, env, argv []string, also ...io.Writer) error {
	log, err := os.Create(file) // #nosec G304 -- our own directory
	if err != nil {
		return fmt.Errorf("create a log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- commands are written in this package
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out := io.MultiWriter(append([]io.Writer{log}, also...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's SIGINT is for this process, which forwards it once
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // Ginkgo's workers outlive a killed Ginkgo
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	return nil
}
