// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// startSupervisor runs the services of a spec without a capsule and stops them when the test ends.
func startSupervisor(t *testing.T, services ...Service) (status func() CapsuleStatus, logOf func(string) string) {
	t.Helper()
	dir := t.TempDir()
	spec := CapsuleSpec{Name: "test", LogDir: dir, Status: filepath.Join(dir, "status.json"), Services: services}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = supervise(ctx, spec, logr.Discard(), time.Now) })
	status = func() CapsuleStatus { s, _ := readStatus(spec.Status); return s }
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, service := range status().Services {
			if service.PID > 1 {
				_ = syscall.Kill(service.PID, syscall.SIGKILL)
				_, _ = syscall.Wait4(service.PID, nil, 0, nil)
			}
		}
	})
	return status, func(name string) string {
		raw, _ := os.ReadFile(filepath.Join(dir, name+".log"))
		return string(raw)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := waitUntil(ctx, 5*time.Millisecond, cond); err != nil {
		t.Fatalf("%s: never happened", what)
	}
}

func TestSupervisorRestartsServices(t *testing.T) {
	status, _ := startSupervisor(t, Service{Name: "s", Argv: []string{"sleep", "1000"}})
	eventually(t, "ready", func() bool { return status().Services["s"].Ready })
	first := status().Services["s"].PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "restarted", func() bool {
		s := status().Services["s"]
		return s.Ready && s.Starts == 2 && s.PID != first
	})
}

func TestSupervisorHooks(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(dir, "late")
	status, logOf := startSupervisor(t, Service{
		Name: "s", Argv: []string{"sleep", "1000"},
		Before: []Hook{{Argv: []string{"echo", "skipped"}, Unless: there}, {Argv: []string{"echo", "before"}, Unless: late}},
		Then:   []Hook{{Argv: []string{"cat", late}}, {Argv: []string{"echo", "once"}, Once: true}, {Argv: []string{"echo", "always"}}},
	})
	eventually(t, "the first attempt of a failing hook", func() bool { return strings.Contains(logOf("s"), "exit status 1") })
	if status().Services["s"].Ready {
		t.Error("ready before the hooks after the start have run")
	}
	if err := os.WriteFile(late, []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready", func() bool { return status().Services["s"].Ready })
	if err := syscall.Kill(status().Services["s"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", func() bool { s := status().Services["s"]; return s.Ready && s.Starts == 2 })
	log := logOf("s")
	for word, want := range map[string]int{"skipped": 0, "before": 1, "once": 1, "always": 2} {
		if got := strings.Count(log, word+"\n"); got != want {
			t.Errorf("%q printed %d times, want %d, in:\n%s", word, got, want, log)
		}
	}
}

func TestSupervisorOrder(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	status, _ := startSupervisor(
		t,
		Service{Name: "first", Argv: []string{"sleep", "1000"}, Gate: gate},
		Service{Name: "second", Argv: []string{"sleep", "1000"}, After: []string{"first"}},
	)
	eventually(t, "waiting", func() bool {
		s := status().Services
		return strings.Contains(s["first"].Note, "gate") && strings.Contains(s["second"].Note, "first")
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both ready", func() bool { s := status().Services; return s["first"].Ready && s["second"].Ready })
}

func TestSupervisorProgramMissing(t *testing.T) {
	status, _ := startSupervisor(t, Service{Name: "s", Argv: []string{"/no/such/program"}})
	eventually(t, "reported", func() bool { return strings.Contains(status().Services["s"].Note, "/no/such/program") })
}
