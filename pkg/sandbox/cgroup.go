// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupsV2 reports whether this machine has the unified hierarchy.
func cgroupsV2() bool {
	var fsInfo unix.Statfs_t
	return unix.Statfs(cgroupRoot, &fsInfo) == nil && fsInfo.Type == unix.CGROUP2_SUPER_MAGIC
}

// hierarchy is a mounted cgroup v1 hierarchy and our own place in it.
type hierarchy struct {
	mount CgroupMount
	own   string // directory of our own cgroup
}

// hierarchiesV1 finds the v1 hierarchies in /proc/self/cgroup and /proc/self/mounts (cgroups(7), proc(5)).
func hierarchiesV1() ([]hierarchy, error) {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("read our own cgroups: %w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	return parseHierarchies(self, mounts), nil
}

func parseHierarchies(self, mounts []byte) []hierarchy {
	var found []hierarchy
	scanner := bufio.NewScanner(bytes.NewReader(self))
	for scanner.Scan() {
		parts := strings.SplitN(scanner.Text(), ":", 3)
		if len(parts) != 3 || parts[1] == "" { // "0::/" is the v2 hierarchy of a hybrid machine, without controllers
			continue
		}
		at := mountOf(mounts, strings.Split(parts[1], ","))
		if at == "" {
			continue
		}
		option := parts[1]
		if strings.HasPrefix(option, "name=") {
			option = "none," + option
		}
		found = append(found, hierarchy{
			mount: CgroupMount{Dir: filepath.Base(at), Option: option},
			own:   filepath.Join(at, parts[2]),
		})
	}
	return found
}

// mountOf returns where the v1 hierarchy with all these controllers is mounted.
func mountOf(mounts []byte, controllers []string) string {
	scanner := bufio.NewScanner(bytes.NewReader(mounts))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) < 4 || fields[2] != "cgroup" {
			continue
		}
		options := strings.Split(fields[3], ",")
		if !slices.ContainsFunc(controllers, func(c string) bool { return !slices.Contains(options, c) }) {
			return fields[1]
		}
	}
	return ""
}

// nodeCgroups are the directories of one node's cgroups, one per hierarchy: with v1 below our own cgroup; with v2 below
// the root, because a cgroup that has processes cannot enable controllers in its children.
func nodeCgroups(p Plan, node string, v1 []hierarchy) []string {
	home := sha256.Sum256([]byte(p.Paths.Home)) // two homes may have sandboxes of the same name
	name := "woven-" + p.Paths.Name + "-" + hex.EncodeToString(home[:3])
	if p.CgroupV2 {
		return []string{filepath.Join(cgroupRoot, name, node)}
	}
	dirs := make([]string, 0, len(v1))
	for _, h := range v1 {
		dirs = append(dirs, filepath.Join(h.own, name, node))
	}
	return dirs
}

// makeCgroup creates one cgroup with all controllers usable in it.
func makeCgroup(dir string, v2 bool) error {
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("create cgroup %s: %w", dir, err)
	}
	parent := filepath.Dir(dir)
	if v2 {
		for _, at := range []string{filepath.Dir(parent), parent} {
			if err := enableControllers(at); err != nil {
				return err
			}
		}
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new v1 cpuset, which then accepts no process
		for _, at := range []string{parent, dir} {
			if err := inheritCpuset(at, file); err != nil {
				return err
			}
		}
	}
	return nil
}

func inheritCpuset(dir, file string) error {
	value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file)) // #nosec G304 -- a kernel file
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not the cpuset hierarchy
	}
	if err == nil {
		err = setKernelFile(filepath.Join(dir, file), string(value))
	}
	if err != nil {
		return fmt.Errorf("copy %s into cgroup %s: %w", file, dir, err)
	}
	return nil
}

func joinCgroup(dir string, pid int) error {
	return wrap(setKernelFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)), "move process %d into cgroup %s", pid, dir)
}

// removeCgroup removes a cgroup and all below, deepest first. It retries: rmdir fails shortly after the last process
// exits.
func removeCgroup(ctx context.Context, dir string) error {
	err := waitUntil(ctx, 20*time.Millisecond, func() bool {
		var dirs []string
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, d := range slices.Backward(dirs) {
			_ = unix.Rmdir(d)
		}
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	if err != nil {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
