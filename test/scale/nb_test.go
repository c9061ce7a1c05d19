// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/test/nbtest"
)

// controller is a core on a real ovsdb-server.
type controller struct {
	t     testing.TB
	db    *client.DB
	core  *engine.Core
	fence commit.Fence
	ops   int
	txns  int
}

func connect(t testing.TB, endpoint string) *controller {
	t.Helper()
	db := nbtest.Connect(t, client.Config{Database: client.NB, Endpoints: []string{endpoint}, Tables: commit.Tables()})
	return &controller{t: t, db: db}
}

// start runs a core up to the start barrier.
func (c *controller) start(objects ...[]engine.Change) {
	c.t.Helper()
	view := commit.NewView(c.db)
	view.Reset()
	c.core = newCore(c.t, view, nil)
	for _, o := range objects {
		apply(c.t, c.core, o)
	}
	c.core.KubeSynced()
	c.core.NBSynced()
	fence, err := commit.TakeOver(c.t.Context(), c.db, commit.Claim{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.fence = fence
	c.core.Lead(true)
}

func (c *controller) drain() {
	c.t.Helper()
	for {
		c.core.Step()
		units := c.core.Next()
		if len(units) == 0 {
			return
		}
		out := commit.Commit(c.t.Context(), c.db, c.fence, units)
		if out.Err != nil || len(out.Failed)+len(out.Stale) > 0 {
			c.t.Fatalf("commit: %v, %d failed, %d stale", out.Err, len(out.Failed), len(out.Stale))
		}
		c.ops += out.Operations
		c.txns += out.Transactions
		c.core.Committed(units, out, 0)
	}
}

// BenchmarkBurst writes 10,000 pods into an empty database.
func BenchmarkBurst(b *testing.B) {
	const pods = 10_000
	cluster := newCluster(100, pods)
	for range b.N {
		b.StopTimer()
		c := connect(b, nbtest.Start(b).Endpoint())
		c.start(cluster.infrastructure())
		c.drain()
		var changes [][]engine.Change
		for i := range pods {
			changes = append(changes, cluster.pod(i))
		}
		b.StartTimer()
		for _, ch := range changes {
			apply(b, c.core, ch)
		}
		c.drain()
	}
	b.ReportMetric(pods*float64(b.N)/b.Elapsed().Seconds(), "pods/s")
}

// BenchmarkLargeSwitch adds one pod at a time to a switch with 50,000 ports. The client's own CPU time is the
// controller's cost; the remainder is the server's.
func BenchmarkLargeSwitch(b *testing.B) {
	const pods = 50_000
	cluster := newCluster(100, pods)
	c := connect(b, nbtest.Start(b).Endpoint())
	c.start(cluster.infrastructure())
	for i := range pods {
		apply(b, c.core, cluster.pod(i))
	}
	c.drain()
	runtime.GC()
	next := pods
	b.ResetTimer()
	before := processorTime()
	for range b.N {
		apply(b, c.core, cluster.pod(next))
		next++
		c.drain()
	}
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "client-µs/pod")
}

// processorTime is the CPU time of this process, without its children.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startReport is what a new process reports about its start.
type startReport struct {
	Connect, Compile, Compare float64 // seconds
	Operations, Pods          int
	PeakMiB                   float64
}

const startEnv = "WOVEN_BENCH_START"

// BenchmarkStart starts a new process with 100,000 pods whose rows exist, and measures from the connection to the
// database until nothing is left to do.
func BenchmarkStart(b *testing.B) {
	const pods = 100_000
	endpoint := nbtest.Start(b).Endpoint()
	loader := connect(b, endpoint)
	cluster := newCluster(1000, pods)
	loader.start(cluster.infrastructure())
	for i := range pods {
		apply(b, loader.core, cluster.pod(i))
	}
	loader.drain()
	b.ResetTimer()
	var last startReport
	for range b.N {
		last = startChild(b, endpoint, pods)
	}
	b.ReportMetric(last.Connect, "load-s")
	b.ReportMetric(last.Compile, "compile-s")
	b.ReportMetric(last.Compare, "compare-s")
	b.ReportMetric(float64(last.Operations), "operations")
	b.ReportMetric(last.PeakMiB, "peak-MiB")
}

func startChild(b *testing.B, endpoint string, pods int) startReport {
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestStartChild$", "-test.v") //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), startEnv+"="+endpoint+","+strconv.Itoa(pods))
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("start: %v\n%s", err, out)
	}
	var report startReport
	for line := range strings.Lines(string(out)) {
		if text, ok := strings.CutPrefix(line, "report "); ok {
			if err := json.Unmarshal([]byte(text), &report); err != nil {
				b.Fatal(err)
			}
		}
	}
	if report.Pods != pods || report.Operations != 0 {
		b.Fatalf("an unchanged database costs %d operations for %d pods\n%s", report.Operations, report.Pods, out)
	}
	return report
}

// TestStartChild is the process that BenchmarkStart measures.
func TestStartChild(t *testing.T) {
	endpoint, count, ok := strings.Cut(os.Getenv(startEnv), ",")
	if !ok {
		return // only a part of BenchmarkStart
	}
	pods, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	var report startReport
	begin := time.Now()
	lap := func() float64 {
		s := time.Since(begin).Seconds()
		begin = time.Now()
		return s
	}
	c := connect(t, endpoint)
	report.Connect = lap()
	cluster := newCluster(1000, pods)
	c.start(cluster.infrastructure())
	for i := range pods {
		apply(t, c.core, cluster.pod(i))
	}
	c.core.Step()
	report.Compile = lap()
	c.drain()
	report.Compare = lap()
	report.Operations, report.Pods, report.PeakMiB = c.ops, pods, peak(t)
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("report %s\n", raw)
}

// peak is the largest resident set of this process so far, in MiB (proc(5), VmHWM).
func peak(t *testing.T) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1024
		}
	}
	return 0
}
