// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kubeletSysctls are the machine-wide settings that a kubelet changes at its start.
var kubeletSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// raisedSysctls are minimums of machine-wide limits, since many nodes share one machine. A kubelet uses about ten
// inotify instances, and Linux grants a user 128. All network namespaces share one neighbour table (arp(7)): 40 pods
// that talk to each other need 1,600 entries, Linux allows 1,024, and beyond that packets are dropped ("neighbor table
// overflow" in the kernel's log).
var raisedSysctls = map[string]int{
	"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288,
	"net/ipv4/neigh/default/gc_thresh2": 32768, "net/ipv4/neigh/default/gc_thresh3": 65536,
	"net/ipv6/neigh/default/gc_thresh2": 32768, "net/ipv6/neigh/default/gc_thresh3": 65536,
}

func sysctlPath(name string) string { return filepath.Join("/proc/sys", name) }

// machine is what sandboxes change on the machine as a whole. Its record is shared by all homes, because the last
// sandbox of one home must not restore what a sandbox of another home still needs.
type machine struct{ dir string }

// thisMachine keeps its record in /run, which a reboot empties.
var thisMachine = machine{dir: "/run/woven-sandbox"}

func (m machine) file() string { return filepath.Join(m.dir, "machine.json") }

func (m machine) lock(ctx context.Context) (*fileLock, error) {
	return acquire(ctx, filepath.Join(m.dir, "lock"), func() {})
}

// savedMachine is what to restore once no sandbox runs any more.
type savedMachine struct {
	Boot    string            `json:"boot"`    // boot id; the settings do not survive a reboot
	Users   []string          `json:"users"`   // run directories of the sandboxes that need the changes
	Sysctls map[string]string `json:"sysctls"` // as they were before the first sandbox
	Dirs    []string          `json:"dirs"`    // directories that were created as mount points, parents first
}

// prepare saves the present settings unless an earlier sandbox has done so, raises limits that are too low, and creates
// the directories that nodes mount over. The sandbox with run directory user needs them until restore.
func (m machine) prepare(ctx context.Context, user string) error {
	lock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	boot, err := bootID()
	if err != nil {
		return err
	}
	saved, err := m.read()
	if errors.Is(err, fs.ErrNotExist) || (err == nil && saved.Boot != boot) {
		saved = savedMachine{Boot: boot, Dirs: saved.Dirs}
		saved.Sysctls, err = presentSysctls()
	}
	if err != nil {
		return err
	}
	if !slices.Contains(saved.Users, user) {
		saved.Users = append(saved.Users, user)
	}
	saved.Dirs = append(saved.Dirs, missingDirs(nodeOwnDirs)...)
	if err := m.write(saved); err != nil { // before anything is changed
		return err
	}
	for _, dir := range saved.Dirs {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	return raiseSysctls()
}

// restore restores the settings and removes the created directories, if the sandbox with run directory user was the
// last. A sandbox whose run directory is gone does not count.
func (m machine) restore(ctx context.Context, user string) error {
	lock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	saved, err := m.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	saved.Users = slices.DeleteFunc(saved.Users, func(dir string) bool {
		_, err := os.Stat(dir)
		return dir == user || errors.Is(err, fs.ErrNotExist)
	})
	if len(saved.Users) > 0 {
		return m.write(saved)
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if saved.Boot == boot {
		if err := applySysctls(saved.Sysctls); err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(saved.Dirs) {
		_ = unix.Rmdir(dir) // fails if something else is in it
	}
	return wrap(os.Remove(m.file()), "remove the saved machine settings")
}

func (m machine) read() (savedMachine, error) {
	var saved savedMachine
	raw, err := os.ReadFile(m.file())
	if err != nil {
		return saved, fmt.Errorf("read the saved machine settings: %w", err)
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		return saved, fmt.Errorf("decode %s: %w", m.file(), err)
	}
	return saved, nil
}

func (m machine) write(saved savedMachine) error {
	raw, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode the machine settings: %w", err)
	}
	return writeAtomically(m.file(), raw)
}

// missingDirs are those of dirs that do not exist, and their missing parents, parents first.
func missingDirs(dirs []string) []string {
	var missing []string
	for _, dir := range dirs {
		var chain []string
		for at := dir; at != "/"; at = filepath.Dir(at) {
			if _, err := os.Stat(at); err == nil {
				break
			}
			chain = append(chain, at)
		}
		for _, at := range slices.Backward(chain) {
			if !slices.Contains(missing, at) {
				missing = append(missing, at)
			}
		}
	}
	return missing
}

// raiseSysctls raises the limits that are lower than a sandbox needs.
func raiseSysctls() error {
	for name, want := range raisedSysctls {
		raw, err := os.ReadFile(sysctlPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return fmt.Errorf("read sysctl %s: %w", name, err)
		}
		present, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil {
			return fmt.Errorf("read sysctl %s: %w", name, err)
		}
		if present >= want {
			continue
		}
		if err := setKernelFile(sysctlPath(name), strconv.Itoa(want)); err != nil {
			return fmt.Errorf("raise sysctl %s: %w", name, err)
		}
	}
	return nil
}

// presentSysctls reads the settings that kubelets and raiseSysctls change.
func presentSysctls() (map[string]string, error) {
	values := map[string]string{}
	for _, name := range append(slices.Collect(maps.Keys(raisedSysctls)), kubeletSysctls...) {
		value, err := os.ReadFile(sysctlPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read sysctl %s: %w", name, err)
		}
		values[name] = strings.TrimSpace(string(value))
	}
	return values, nil
}

func applySysctls(values map[string]string) error {
	for name, want := range values {
		present, err := os.ReadFile(sysctlPath(name))
		if err == nil && strings.TrimSpace(string(present)) == want {
			continue
		}
		if err := setKernelFile(sysctlPath(name), want); err != nil {
			return fmt.Errorf("restore sysctl %s: %w", name, err)
		}
	}
	return nil
}
