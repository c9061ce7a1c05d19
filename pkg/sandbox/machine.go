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

// kubeletSysctls are the machine-wide settings that a kubelet writes at its start.
var kubeletSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// raisedSysctls are machine-wide limits that many kubelets on one machine run into: each takes about ten inotify instances, and
// Linux gives a user 128 of them. Where the machine allows less, the sandbox raises it.
var raisedSysctls = map[string]int{"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}

// savedMachine is what has to be put back once no sandbox runs any more.
type savedMachine struct {
	Boot    string            `json:"boot"`    // a reboot makes the settings void
	Sysctls map[string]string `json:"sysctls"` // as they were before the first running sandbox
	Dirs    []string          `json:"dirs"`    // directories that were made for nodes to mount over, those above first
}

func sysctlPath(name string) string { return filepath.Join("/proc/sys", name) }

// prepareMachine keeps the present settings, unless a sandbox that was started earlier in this boot has done so, raises limits
// that are too low, and makes the directories that nodes mount over.
func prepareMachine(ctx context.Context, home Home) error {
	lock, err := acquire(ctx, home.lockFile("machine"), func() {})
	if err != nil {
		return err
	}
	defer lock.release()
	boot, err := bootID()
	if err != nil {
		return err
	}
	saved, err := readMachine(home)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && saved.Boot != boot) {
		saved.Boot = boot
		saved.Sysctls, err = presentSysctls()
	}
	if err != nil {
		return err
	}
	saved.Dirs = append(saved.Dirs, missingDirs(nodeOwnDirs)...)
	if err := saved.write(home); err != nil { // before anything is changed
		return err
	}
	for _, dir := range saved.Dirs {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	return raiseSysctls()
}

// missingDirs are those of dirs that are not there, and those above them that are not there, each after what is above it.
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

func (m savedMachine) write(home Home) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode what is to be put back on the machine: %w", err)
	}
	return writeAtomically(home.machineFile(), raw)
}

// raiseSysctls sets what is lower than a sandbox needs.
func raiseSysctls() error {
	for name, want := range raisedSysctls {
		raw, err := os.ReadFile(sysctlPath(name))
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

func readMachine(home Home) (savedMachine, error) {
	var saved savedMachine
	raw, err := os.ReadFile(home.machineFile())
	if err != nil {
		return saved, fmt.Errorf("read what is to be put back on the machine: %w", err)
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		return saved, fmt.Errorf("decode %s: %w", home.machineFile(), err)
	}
	return saved, nil
}

// restoreMachine puts settings back and removes the directories that were made, once there is no sandbox any more.
func restoreMachine(ctx context.Context, home Home) error {
	lock, err := acquire(ctx, home.lockFile("machine"), func() {})
	if err != nil {
		return err
	}
	defer lock.release()
	names, err := List(home)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return nil // another sandbox is there; the last one restores
	}
	saved, err := readMachine(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
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
		_ = unix.Rmdir(dir) // refused if somebody else has put something there
	}
	return wrap(os.Remove(home.machineFile()), "forget what was to be put back")
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
