// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "42 (a ) strange) name) S 1 " + strings.Repeat("0 ", 17) + "987654 0 0\n"
	start, state, err := parseStat([]byte(line))
	if err != nil || start != 987654 || state != 'S' {
		t.Errorf("%d, %c, %v", start, state, err)
	}
	for _, bad := range []string{"", "42 name S 1", "42 (n) S 1 2"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
}

func TestKillSparesReusedPID(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	process, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	earlier := process
	earlier.Start--
	if earlier.Alive() {
		t.Error("a process that had the same pid earlier counts as alive")
	}
	if err := earlier.kill(t.Context()); err != nil || !process.Alive() {
		t.Errorf("another process was killed: %v", err)
	}
	reboot := process
	reboot.Boot = "another"
	if reboot.Alive() {
		t.Error("a process of an earlier boot counts as alive")
	}
	if err := process.kill(t.Context()); err != nil || process.Alive() {
		t.Errorf("the process was not killed: %v", err)
	}
	_ = cmd.Wait()
	if (Process{PID: 1}).Alive() {
		t.Error("pid 1 counts as a process of ours")
	}
}

func TestStateRoundTrip(t *testing.T) {
	home := Home(t.TempDir())
	state := newState(testPlan(2))
	state.Plan.Paths = home.paths("k0")
	state.Capsules["n1"] = Process{PID: 77, Start: 5, Boot: "b"}
	state.Cgroups = []string{"/sys/fs/cgroup/cpu/woven-k0/n1"}
	if names, err := List(home); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
	if err := makeDir(state.Plan.Paths.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := state.write(); err != nil {
		t.Fatal(err)
	}
	back, err := readState(home.paths("k0"))
	if err != nil || !reflect.DeepEqual(back, state) {
		t.Errorf("got %+v, %v, want %+v", back, err, state)
	}
	if names, err := List(home); err != nil || !reflect.DeepEqual(names, []string{"k0"}) {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := Open(home, "k0"); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Errorf("opened a dead sandbox: %v", err)
	}
	if _, err := Open(home, "none"); err == nil || !strings.Contains(err.Error(), "there is no sandbox") {
		t.Errorf("opened no sandbox: %v", err)
	}
}

func TestRemoveDeadSandbox(t *testing.T) {
	home := Home(t.TempDir())
	state := newState(testPlan(1))
	state.Plan.Paths = home.paths("k0")
	state.Capsules["n1"] = Process{PID: os.Getpid(), Start: 1, Boot: "another"}
	if err := makeDir(state.Plan.Paths.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := state.write(); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), home, "k0", NewProgress(&strings.Builder{}, time.Now)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(state.Plan.Paths.Dir()); !os.IsNotExist(err) {
		t.Errorf("the run directory is still there: %v", err)
	}
}

func TestParseHierarchies(t *testing.T) {
	self := "9:name=systemd:/user.slice\n4:memory:/a/b\n3:cpu,cpuacct:/\n2:nowhere:/\n0::/x\n"
	mounts := "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpuacct,cpu 0 0\n" +
		"cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
	want := []hierarchy{
		{CgroupMount{"systemd", "none,name=systemd"}, "/sys/fs/cgroup/systemd/user.slice"},
		{CgroupMount{"memory", "memory"}, "/sys/fs/cgroup/memory/a/b"},
		{CgroupMount{"cpu,cpuacct", "cpu,cpuacct"}, "/sys/fs/cgroup/cpu,cpuacct"},
	}
	got := parseHierarchies([]byte(self), []byte(mounts))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	dirs := nodeCgroups(testPlan(1), "n1", got[1:2])
	if len(dirs) != 1 || !strings.HasPrefix(dirs[0], "/sys/fs/cgroup/memory/a/b/woven-k0-") || filepath.Base(dirs[0]) != "n1" {
		t.Errorf("cgroups %v", dirs)
	}
	elsewhere := testPlan(1)
	elsewhere.Paths.Home = "/elsewhere"
	if other := nodeCgroups(elsewhere, "n1", got[1:2]); other[0] == dirs[0] {
		t.Errorf("two homes share the cgroup %s", other[0])
	}
}

func TestInnerPID(t *testing.T) {
	if got := innerPID([]byte("Name:\tx\nNSpid:\t2115\t86\nVmPeak: 1\n")); got != 86 {
		t.Error(got)
	}
	if got := innerPID([]byte("Name:\tx\n")); got != 0 {
		t.Error(got)
	}
}

func TestRemoveCgroupGivesUp(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "busy"), nil, 0o600); err != nil { // rmdir refuses, as with a process inside
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := removeCgroup(ctx, dir); err == nil {
		t.Error("removeCgroup returned no error for a busy cgroup")
	}
}
