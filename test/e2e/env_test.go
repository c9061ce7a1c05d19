// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/check/onsandbox"
	ovsdb "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// env is a cluster and the clients to access it.
type env struct {
	cluster *sandbox.Cluster
	api     client.Client
	kube    kubernetes.Interface
	sources check.Sources
	peerDir string // with the program "peer", the same on every node
	stop    func()
}

func newEnv(ctx context.Context, cluster *sandbox.Cluster) (*env, error) {
	e := &env{cluster: cluster}
	config, err := cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	scheme, err := check.Scheme()
	if err != nil {
		return nil, err
	}
	if e.api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if e.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if e.peerDir, err = buildPeer(ctx, cluster); err != nil {
		return nil, err
	}
	return e, e.openDatabases(ctx)
}

func (e *env) openDatabases(ctx context.Context) error {
	nbAddr, sbAddr := onsandbox.Databases(e.cluster)
	nb, err := ovsdb.New(ovsdb.Config{Database: ovsdb.NB, Endpoints: []string{nbAddr}, Tables: check.NBTables()})
	if err != nil {
		return err
	}
	sb, err := ovsdb.New(ovsdb.Config{Database: ovsdb.SB, Endpoints: []string{sbAddr}, Tables: check.SBTables()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = nb.Run(ctx) })
	wg.Go(func() { _ = sb.Run(ctx) })
	e.stop = func() { cancel(); wg.Wait() }
	e.sources = check.Sources{API: e.api, NB: nb, SB: sb, Hosts: onsandbox.Hosts(e.cluster)}
	return nil
}

// test is one test on a cluster. It logs its steps and, on failure, dumps the cluster's state.
type test struct {
	*testing.T
	*env
	began time.Time
	undo  []func()        // newest last
	made  []client.Object // deleted concurrently: finalizers order the deletion
}

// alone begins a test on a dual-stack sandbox of its own with two nodes, or on the sandbox that -sandbox names.
func alone(t *testing.T, o sandbox.Options) *test {
	t.Helper()
	var e *env
	if *reuse != "" {
		e = shared
	} else {
		o.Nodes, o.DualStack = 2, true
		down, err := up(t.Context(), o, &e)
		t.Cleanup(func() {
			if err := down(); err != nil {
				t.Errorf("tear down the sandbox: %v", err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	te := begin(t, e)
	te.consistent(30 * time.Second)
	return te
}

// begin starts a test. If it fails, it dumps what an engineer would look at first.
func begin(t *testing.T, e *env) *test {
	t.Helper()
	te := &test{T: t, env: e, began: time.Now()}
	t.Cleanup(func() {
		if t.Failed() {
			te.dump()
		}
		for _, undo := range slices.Backward(te.undo) {
			undo()
		}
		te.remove(te.made...)
	})
	return te
}

// after runs fn when the test ends, in reverse order and after the dump.
func (t *test) after(fn func()) { t.undo = append(t.undo, fn) }

// say logs a step with the time since the start.
func (t *test) say(format string, args ...any) {
	t.Helper()
	t.Logf("%6.1fs  %s", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// must fails the test on an error.
func (t *test) must(err error, format string, args ...any) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// wait calls done every 100 ms until it returns an empty string. On timeout the test fails with the last returned
// string.
func (t *test) wait(limit time.Duration, what string, done func(ctx context.Context) string) {
	t.Helper()
	if missing := t.waitFor(limit, done); missing != "" {
		t.Fatalf("%s: not after %s: %s", what, limit, missing)
	}
}

func (t *test) waitFor(limit time.Duration, done func(ctx context.Context) string) (missing string) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		now := done(ctx)
		if now == "" {
			return ""
		}
		if ctx.Err() != nil {
			if missing == "" {
				missing = now
			}
			return missing
		}
		missing = now
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// flowsInstalled waits until the nodes have installed the flows of the northbound database. "--wait=hv" does not wait
// together with a command that only reads (ovn-nbctl(8)); sync always does.
func (t *test) flowsInstalled() error {
	_, err := t.cluster.NBCtl(t.Context(), "--wait=hv", "--timeout=30", "sync")
	return err
}

// convergeTimeout bounds how long differences may last: the lease of a killed controller expires after 30 s.
const convergeTimeout = time.Minute

// consistent fails the test if the checker still finds differences after limit.
func (t *test) consistent(limit time.Duration) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var found []check.Difference
	var err error
	for {
		// A read that the deadline interrupts says nothing about the cluster.
		now, failed := check.Differences(t.Context(), t.sources)
		if found, err = now, failed; err == nil && len(found) == 0 {
			t.say("checker: no difference (after %.1f s)", time.Since(start).Seconds())
			return
		}
		select {
		case <-ctx.Done():
			t.must(err, "compare")
			t.Fatalf("checker: %d differences after %s:\n%s", len(found), limit, lines(found, 40))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func lines[T any](list []T, limit int) string {
	var b strings.Builder
	for i, item := range list {
		if i == limit {
			fmt.Fprintf(&b, "  … and %d more\n", len(list)-limit)
			break
		}
		fmt.Fprintf(&b, "  %v\n", item)
	}
	return b.String()
}

// dump logs the state of the cluster.
func (t *test) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	show := func(title, text string, err error) {
		if err != nil {
			text += "\n" + err.Error()
		}
		t.Logf("---- %s\n%s", title, tail(text, 40))
	}
	text, err := t.cluster.Kubectl(ctx, "get", "pods,nodes,subnets,vpcs", "-A", "-o", "wide")
	show("objects", text, err)
	text, err = t.cluster.Kubectl(ctx, "get", "events", "-A", "--sort-by=.metadata.creationTimestamp", "--field-selector=type=Warning")
	show("warnings", text, err)
	text, err = t.cluster.NBCtl(ctx, "show")
	show("ovn-nbctl show", text, err)
	if found, err := check.Differences(ctx, t.sources); len(found) > 0 || err != nil {
		show("differences", lines(found, 40), err)
	}
	show("controller's log", readTail(t.cluster.LogFile("controller", 0)), nil)
	for n := 1; n <= t.cluster.Nodes(); n++ {
		show("cniserver's log on "+sandbox.NodeName(n), readTail(t.cluster.LogFile("cniserver", n)), nil)
	}
}

func tail(text string, count int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-count):], "\n")
}

// hostPort joins an address and a port.
func hostPort(address string, port int) string { return net.JoinHostPort(address, fmt.Sprint(port)) }

// peerPath is the peers' program inside a node.
func (e *env) peerPath() string { return filepath.Join(e.peerDir, "peer") }
