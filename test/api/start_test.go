// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/wovensdn/woven/test/nbtest"
)

// seedTime limits the creation of the pods before a start is measured.
const seedTime = 10 * time.Minute

// BenchmarkStart restarts a controller in a cluster with running pods, until a new pod has its address. The objects
// come through a real API server and informers, so that pods arrive before their IP objects.
func BenchmarkStart(b *testing.B) {
	program := Build(b, "cmd/controller")
	for _, pods := range []int{1_000, 4_000, 20_000} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			for range b.N {
				m := restarted(b, program, pods)
				b.ReportMetric(m.took.Seconds(), "s")
				b.ReportMetric(float64(m.cpu.Microseconds())/float64(pods), "cpu-µs/pod")
				b.ReportMetric(m.compiled/float64(pods), "compiled/pod")
			}
		})
	}
}

// A start compiles each pod once, in whichever order the objects arrive.
func TestStartCompilesOnce(t *testing.T) {
	const pods = 300
	if m := restarted(t, Build(t, "cmd/controller"), pods); m.compiled > pods*3/2 {
		t.Errorf("a start with %d pods compiled pods %.0f times", pods, m.compiled)
	}
}

type start struct {
	took, cpu time.Duration
	compiled  float64 // pods, again counted if more than once
}

// restarted measures a start with running pods.
func restarted(t testing.TB, program string, pods int) (m start) {
	t.Helper()
	s := Start(t)
	s.Install()
	s.AddNode("n1", "172.18.0.1")
	c, endpoint := s.Client(Admin), nbtest.Start(t).Endpoint()
	first := StartController(t, s, program, endpoint)
	ready(t, c)
	seeded := watchAddresses(t, s, pods, seedTime)
	create(t, c, pods)
	seeded()
	first.Terminate()
	served := watchAddresses(t, s, pods+1, startTime)
	began := time.Now()
	second := StartController(t, s, program, endpoint)
	if err := c.Create(t.Context(), Pod("default", "new", "n1")); err != nil {
		t.Fatal(err)
	}
	served()
	return start{took: time.Since(began), cpu: second.CPU(), compiled: second.Metric(t, `woven_compile_duration_seconds_count{kind="Pod"}`)}
}
