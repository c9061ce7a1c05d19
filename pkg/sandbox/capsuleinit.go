// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// goFD is the file descriptor on which pid 1 of a capsule waits for "go" from its parent. If the parent exits first,
// pid 1 reads the end of the pipe and exits, too: no capsule runs that is not recorded.
const goFD = 3

// EnterCommand is the command of woven-sandbox that calls EnterCapsule, with the name of the spec file as its argument.
const EnterCommand = "capsule-init"

// EnterCapsule is the first stage of a capsule's pid 1: it waits until it has been recorded and put into its cgroups,
// takes a cgroup namespace rooted there, and becomes the second stage (RunCapsule) by exec(2), so that all threads are
// in that namespace. It must be called on the first thread of the process.
func EnterCapsule(exe, specFile string) error {
	pipe := os.NewFile(goFD, "go")
	var word [1]byte
	if _, err := io.ReadFull(pipe, word[:]); err != nil {
		return fmt.Errorf("wait for the start of the capsule: %w", err)
	}
	if err := pipe.Close(); err != nil {
		return fmt.Errorf("close the start pipe: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("create a cgroup namespace: %w", err)
	}
	if err := unix.Exec(exe, []string{exe, "capsule-run", specFile}, os.Environ()); err != nil {
		return fmt.Errorf("start the second stage: %w", err)
	}
	return nil
}

func readSpec(file string) (CapsuleSpec, error) {
	var spec CapsuleSpec
	raw, err := os.ReadFile(file) // #nosec G304 -- written by `up`
	if err != nil {
		return spec, fmt.Errorf("read the capsule's spec: %w", err)
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return spec, fmt.Errorf("decode the capsule's spec %s: %w", file, err)
	}
	return spec, nil
}

// prepareCapsule creates the file system and the kernel settings of a capsule.
func prepareCapsule(spec CapsuleSpec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range spec.Mounts {
		if err := m.apply(); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.Kind, m.Target, err)
		}
	}
	for name, value := range spec.Sysctls {
		err := setKernelFile(sysctlPath(name), value)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set sysctl %s: %w", name, err)
		}
	}
	return nil
}

// strict are the flags of mounts that contain neither programs nor devices.
const strict = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

func (m Mount) apply() error {
	switch m.Kind {
	case MountBind:
		return bindMount(m.Source, m.Target)
	case MountProc:
		return mount("proc", m.Target, "proc", strict, "")
	case MountSys:
		return mount("sysfs", m.Target, "sysfs", strict, "")
	case MountTmpfs:
		return mount("tmpfs", m.Target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755")
	case MountCgroup:
		if err := makeDir(m.Target); err != nil {
			return err
		}
		return mount("cgroup", m.Target, "cgroup", strict, m.Source)
	case MountCgroup2:
		if err := mount("cgroup2", m.Target, "cgroup2", strict, ""); err != nil {
			return err
		}
		return delegateCgroup2(m.Target)
	case MountShared:
		return mount("", m.Target, "", unix.MS_REC|unix.MS_SHARED, "")
	default:
		return fmt.Errorf("unknown kind of mount %q", m.Kind)
	}
}

func mount(source, target, fsType string, flags uintptr, data string) error {
	return wrap(unix.Mount(source, target, fsType, flags, data), "mount(2)")
}

// bindMount makes source, with all that is mounted below it, appear at target. A missing source becomes an empty
// directory; a missing target becomes a file or a directory as source is.
func bindMount(source, target string) error {
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDir(source); err == nil {
			info, err = os.Stat(source)
		}
	}
	if err != nil {
		return fmt.Errorf("stat the source: %w", err)
	}
	if info.IsDir() {
		err = makeDir(target)
	} else {
		target, err = ensureFile(target)
	}
	if err != nil {
		return err
	}
	return mount(source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// ensureFile resolves a symbolic link at path (also a dangling one) and creates the file if it is missing.
func ensureFile(path string) (string, error) {
	if target, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600) // #nosec G304 -- a mount point
	if err != nil {
		return "", fmt.Errorf("create a mount point: %w", err)
	}
	return path, wrap(file.Close(), "create a mount point")
}

// delegateCgroup2 lets the capsule create cgroups of its own. Cgroup v2 allows controllers in children only of a cgroup
// without processes (cgroups(7), "no internal processes"), so pid 1 first moves into a child.
func delegateCgroup2(at string) error {
	leaf := filepath.Join(at, "init")
	if err := makeDir(leaf); err != nil {
		return err
	}
	if err := setKernelFile(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return err
	}
	return enableControllers(at)
}

// enableControllers enables all controllers of a v2 cgroup in its children.
func enableControllers(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers")) // #nosec G304 -- a kernel file
	if err != nil {
		return fmt.Errorf("read the controllers of a cgroup: %w", err)
	}
	for _, controller := range strings.Fields(string(raw)) {
		if err := setKernelFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+controller); err != nil {
			return fmt.Errorf("enable cgroup controller %s: %w", controller, err)
		}
	}
	return nil
}
