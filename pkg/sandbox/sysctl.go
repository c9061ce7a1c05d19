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
)

// kubeletSysctls are the machine-wide settings that a kubelet writes at its start.
var kubeletSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// raisedSysctls are machine-wide limits that many kubelets on one machine run into: each takes about ten inotify instances, and
// Linux gives a user 128 of them. Where the machine allows less, the sandbox raises it.
var raisedSysctls = map[string]int{"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}

// savedSysctls are the machine's settings from before the first running sandbox.
type savedSysctls struct {
	Boot   string            `json:"boot"` // a reboot makes them void
	Values map[string]string `json:"values"`
}

func sysctlPath(name string) string { return filepath.Join("/proc/sys", name) }

// prepareSysctls keeps the present settings, unless a sandbox that was started earlier in this boot has done so, and raises
// limits that are too low.
func prepareSysctls(ctx context.Context, home Home) error {
	lock, err := acquire(ctx, home.lockFile("sysctls"), func() {})
	if err != nil {
		return err
	}
	defer lock.release()
	boot, err := bootID()
	if err != nil {
		return err
	}
	if saved, err := readSysctls(home); err == nil && saved.Boot == boot {
		return raiseSysctls()
	}
	if err := saveSysctls(home, boot); err != nil {
		return err
	}
	return raiseSysctls()
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

func saveSysctls(home Home, boot string) error {
	saved := savedSysctls{Boot: boot, Values: map[string]string{}}
	for _, name := range append(slices.Collect(maps.Keys(raisedSysctls)), kubeletSysctls...) {
		value, err := os.ReadFile(sysctlPath(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("save sysctl %s: %w", name, err)
		}
		saved.Values[name] = strings.TrimSpace(string(value))
	}
	raw, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode the saved sysctls: %w", err)
	}
	return writeAtomically(home.sysctlFile(), raw)
}

func readSysctls(home Home) (savedSysctls, error) {
	var saved savedSysctls
	raw, err := os.ReadFile(home.sysctlFile())
	if err != nil {
		return saved, fmt.Errorf("read the saved sysctls: %w", err)
	}
	if err := json.Unmarshal(raw, &saved); err != nil {
		return saved, fmt.Errorf("decode the saved sysctls: %w", err)
	}
	return saved, nil
}

// restoreSysctls puts the settings back once no sandbox runs any more.
func restoreSysctls(ctx context.Context, home Home) error {
	lock, err := acquire(ctx, home.lockFile("sysctls"), func() {})
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
	saved, err := readSysctls(home)
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
		if err := applySysctls(saved.Values); err != nil {
			return err
		}
	}
	if err := os.Remove(home.sysctlFile()); err != nil {
		return fmt.Errorf("remove the saved sysctls: %w", err)
	}
	return nil
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
