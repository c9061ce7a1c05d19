// SPDX-License-Identifier: Apache-2.0

// Command conformance runs conformance suites on a sandbox with Woven: the network specs of Kubernetes' own e2e.test,
// and the conformance suites of network-policy-api. It exits with 1 if a spec fails or did not run for a reason that is
// not in skips.yaml. See docs/conformance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// Names of the suites.
const (
	suiteAll        = "all"
	suiteKubernetes = "kubernetes"
	suitePolicies   = "network-policy-api"
)

type options struct {
	suite   string
	spec    string
	subset  bool
	list    bool
	reuse   string
	keep    bool
	nodes   int
	procs   int
	source  string
	home    sandbox.Home
	wanted  *regexp.Regexp
	out     io.Writer
	advance *sandbox.Progress
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o := &options{out: os.Stdout, advance: sandbox.NewProgress(os.Stdout, time.Now)}
	flag.StringVar(&o.suite, "suite", suiteAll, "suite to run: all, kubernetes or network-policy-api")
	flag.StringVar(&o.spec, "spec", "", "run only specs whose name matches this regular expression")
	flag.BoolVar(&o.subset, "subset", false, "run only the subset of Kubernetes' specs that \"make test\" runs")
	flag.BoolVar(&o.list, "list", false, "print the specs that would run and those that are skipped, and exit")
	flag.StringVar(&o.reuse, "sandbox", "", "use the running sandbox of this name instead of starting one")
	flag.BoolVar(&o.keep, "keep", false, "do not tear down the sandbox afterwards")
	flag.IntVar(&o.nodes, "nodes", 3, "number of nodes; some specs need 3")
	flag.IntVar(&o.procs, "procs", 3, "number of Kubernetes specs that run in parallel")
	flag.Parse()
	good, err := o.main(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

func (o *options) main(ctx context.Context) (good bool, err error) {
	if err := o.prepare(); err != nil {
		return false, err
	}
	suites, err := o.build(ctx)
	if err != nil {
		return false, err
	}
	specs := 0
	for i := range suites {
		if err := o.choose(ctx, &suites[i]); err != nil {
			return false, err
		}
		specs += len(suites[i].chosen.run)
	}
	if o.list {
		return true, o.print(suites)
	}
	if specs == 0 {
		return false, fmt.Errorf("-spec %q matches no spec, or only skipped ones", o.spec)
	}
	cluster, down, err := o.up(ctx)
	if err != nil {
		return false, errors.Join(err, down())
	}
	good, err = o.runAll(ctx, cluster, suites)
	return good, errors.Join(err, down())
}

func (o *options) prepare() (err error) {
	if err := os.Setenv("PATH", sandbox.SearchPath(os.Getenv("PATH"))); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	switch o.suite {
	case suiteAll, suiteKubernetes, suitePolicies:
	default:
		return fmt.Errorf("-suite %q: want %s, %s or %s", o.suite, suiteAll, suiteKubernetes, suitePolicies)
	}
	if o.wanted, err = regexp.Compile(o.spec); err != nil {
		return fmt.Errorf("-spec: %w", err)
	}
	if o.home, err = sandbox.DefaultHome(); err != nil {
		return err
	}
	o.source, err = sandbox.FindSource()
	return err
}

// built is one suite and the selection of its specs.
type built struct {
	name, dir string
	chosen    selection
}

// build builds the requested suites.
func (o *options) build(ctx context.Context) (suites []built, err error) {
	if o.suite != suitePolicies {
		dir, err := sandbox.BuildKubernetesSuite(ctx, o.home, o.source, o.advance)
		if err != nil {
			return nil, err
		}
		suites = append(suites, built{name: suiteKubernetes, dir: dir})
	}
	if o.suite != suiteKubernetes && !o.subset {
		cluster, admin, err := sandbox.BuildPolicySuites(ctx, o.home, o.source, o.advance)
		if err != nil {
			return nil, err
		}
		suites = append(suites, built{name: "ClusterNetworkPolicy", dir: cluster}, built{name: "AdminNetworkPolicy", dir: admin})
	}
	return suites, nil
}

// choose selects the specs of a suite.
func (o *options) choose(ctx context.Context, b *built) error {
	skips, err := readSkips(skipsFile)
	if err != nil {
		return err
	}
	wanted := func(spec string) bool { return o.wanted.MatchString(spec) && (!o.subset || inSubset(spec)) }
	if b.name == suiteKubernetes {
		specs, err := listSpecs(ctx, b.dir)
		if err != nil {
			return err
		}
		b.chosen, err = choose(specs, skips[suiteKubernetes], hasFeature, wanted)
		return err
	}
	tests, err := listPolicyTests(filepath.Join(b.dir, "tests"))
	if err != nil {
		return err
	}
	b.chosen, err = choose(tests, skips[suitePolicies], hasFeature, wanted)
	b.chosen.others = withParents(tests, b.chosen.run)
	return err
}

func (o *options) print(suites []built) error {
	for _, b := range suites {
		for _, spec := range b.chosen.run {
			fmt.Fprintf(o.out, "%s: %s\n", b.name, spec)
		}
		for _, l := range b.chosen.left {
			fmt.Fprintf(o.out, "%s: skipped (%s): %s\n", b.name, l.by.Reason, l.spec)
		}
	}
	for _, b := range suites {
		if _, err := fmt.Fprintf(o.out, "%s: %d specs, %d skipped\n", b.name, len(b.chosen.run), len(b.chosen.left)); err != nil {
			return fmt.Errorf("print the specs: %w", err)
		}
	}
	return nil
}

// namePrefix begins the names of our sandboxes; the pid of this process follows.
const namePrefix = "conf"

// up returns the dual-stack sandbox to run on. The caller must always call down.
func (o *options) up(ctx context.Context) (cluster *sandbox.Cluster, down func() error, err error) {
	down = func() error { return nil }
	if o.reuse != "" {
		cluster, err = sandbox.Open(o.home, o.reuse)
		return cluster, down, err
	}
	if err := sandbox.DownAbandoned(ctx, o.home, namePrefix, o.advance); err != nil {
		return nil, down, err
	}
	name := fmt.Sprintf("%s-%d", namePrefix, os.Getpid())
	down = func() error {
		if o.keep {
			fmt.Fprintf(o.out, "sandbox %s is kept until the next run: bin/woven-sandbox --name %s …\n", name, name)
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return sandbox.Down(ctx, o.home, name, o.advance)
	}
	cluster, err = sandbox.Up(ctx, o.home, sandbox.Options{
		Name: name, Nodes: o.nodes, DualStack: true, Dev: true, DNS: true, KubeProxy: sandbox.KubeProxyNone,
		Source: o.source, Exe: filepath.Join(o.source, "bin", "woven-sandbox"),
	}, o.advance, time.Now)
	return cluster, down, err
}

func (o *options) runAll(ctx context.Context, cluster *sandbox.Cluster, suites []built) (good bool, err error) {
	var done []summary
	for _, b := range suites {
		if len(b.chosen.run) == 0 {
			continue
		}
		logs, err := o.logs(b.name)
		if err != nil {
			return false, err
		}
		var s summary
		if b.name == suiteKubernetes {
			s, err = kubernetesSuite{dir: b.dir, cluster: cluster, procs: o.procs, out: o.out, logs: logs}.run(ctx, b.chosen)
		} else {
			s, err = policySuite{name: b.name, dir: b.dir, cluster: cluster, out: o.out, logs: logs}.run(ctx, b.chosen)
		}
		if done = append(done, s); err != nil {
			s.print(o.out)
			return false, err
		}
	}
	good = true
	for _, s := range done {
		s.print(o.out)
		good = good && s.good()
	}
	return good, nil
}

// logs creates an empty directory for the output of a suite.
func (o *options) logs(suite string) (string, error) {
	dir := filepath.Join(o.source, "bin", "conformance", suite)
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("remove the logs of an earlier run: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("create a directory for logs: %w", err)
	}
	return dir, nil
}
