// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Woven on a sandbox: a whole cluster on this machine, with real packets. "make e2e" runs it; it
// needs root.
//
//	go test ./test/e2e -v -run TestDrift -sandbox k0     use a running sandbox, and keep it
//	go test ./test/e2e -v -run TestDrift -keep           keep the sandbox until the next run
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// sandboxName makes the names of concurrent runs unique.
func sandboxName(prefix string) string { return fmt.Sprintf("%s-%d", prefix, os.Getpid()) }

var (
	reuse = flag.String("sandbox", "", "use the running sandbox of this name instead of starting one")
	keep  = flag.Bool("keep", false, "do not tear down the sandbox afterwards; the next run does")

	// shared is the cluster of all tests without a sandbox of their own.
	shared *env
)

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // controller-runtime prints a warning without a logger
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := runAll(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(ctx context.Context, m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, fmt.Errorf("the sandbox needs root")
	}
	if *reuse != "" {
		home, err := sandbox.DefaultHome()
		if err != nil {
			return 1, err
		}
		cluster, err := sandbox.Open(home, *reuse)
		if err != nil {
			return 1, err
		}
		if shared, err = newEnv(ctx, cluster); err != nil {
			return 1, err
		}
		defer shared.stop()
		return m.Run(), nil
	}
	if err := endAbandoned(ctx); err != nil {
		return 1, err
	}
	down, err := up(ctx, sandbox.Options{Name: sandboxName("e2e"), Nodes: 2}, &shared)
	defer func() {
		if failed := down(); failed != nil && err == nil {
			code, err = 1, failed
		}
	}()
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// up starts a sandbox with Woven. The caller must always call down.
func up(ctx context.Context, o sandbox.Options, e **env) (down func() error, err error) {
	home, err := sandbox.DefaultHome()
	if err != nil {
		return func() error { return nil }, err
	}
	source, err := sandbox.FindSource()
	if err != nil {
		return func() error { return nil }, err
	}
	o.Dev, o.Source, o.KubeProxy = true, source, sandbox.KubeProxyNone
	o.Exe = filepath.Join(source, "bin", "woven-sandbox")
	progress := sandbox.NewProgress(os.Stderr, time.Now)
	down = func() error {
		if *e != nil {
			(*e).stop()
		}
		if *keep {
			fmt.Fprintf(os.Stderr, "sandbox %s is kept until the next run: woven-sandbox --name %s …, go test ./test/e2e -sandbox %s …\n", o.Name, o.Name, o.Name)
			return nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return sandbox.Down(ctx, home, o.Name, progress)
	}
	cluster, err := sandbox.Up(ctx, home, o, progress, time.Now)
	if err != nil {
		return down, err
	}
	*e, err = newEnv(context.WithoutCancel(ctx), cluster) // a failed test reads it after its context has ended
	return down, err
}

// endAbandoned tears down the sandboxes of runs that were killed.
func endAbandoned(ctx context.Context) error {
	home, err := sandbox.DefaultHome()
	if err != nil {
		return err
	}
	names, err := sandbox.List(home)
	if err != nil {
		return err
	}
	for _, name := range names {
		prefix, text, _ := strings.Cut(name, "-")
		pid, err := strconv.Atoi(text)
		if err != nil || prefix != "e2e" && prefix != "e2e6" && prefix != "e2es" && prefix != "e2en" && prefix != "e2ea" || syscall.Kill(pid, 0) == nil {
			continue
		}
		if err := sandbox.Down(ctx, home, name, sandbox.NewProgress(os.Stderr, time.Now)); err != nil {
			return err
		}
	}
	return nil
}

// buildPeer builds the program of the pods into a directory that all nodes see.
func buildPeer(ctx context.Context, cluster *sandbox.Cluster) (string, error) {
	dir := filepath.Join(cluster.Plan().Paths.Dir(), "e2e")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "peer"), "./test/e2e/peer")
	cmd.Dir, cmd.Env = cluster.Plan().Source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the peer program: %w: %s", err, out)
	}
	return dir, nil
}
