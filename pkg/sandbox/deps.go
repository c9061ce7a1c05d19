// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Dependency is a Debian package that the sandbox needs on the machine, and a file that shows that it is installed.
type Dependency struct {
	Package string // Debian package name
	Program string // a program in PATH, or an absolute path
	Why     string
}

// Dependencies are all packages that the machine needs. Everything else is built or bootstrapped into the cache.
var Dependencies = []Dependency{
	{"ca-certificates", "/etc/ssl/certs/ca-certificates.crt", "downloads Go modules"},
	{"debootstrap", "debootstrap", "creates the Debian root that OVN and Open vSwitch run from"},
	{"ethtool", "ethtool", "turns checksum offload off on virtual links"},
	{"gcc", "gcc", "compiles the pause image's program"},
	{"iproute2", "ip", "sets the addresses of the nodes' bridges"},
	{"iptables", "iptables", "kubelet and kube-proxy"},
	{"libc6-dev", "/usr/include/stdlib.h", "compiles the pause image's program"},
	{"mount", "mount", "kubelet mounts volumes"},
	{"nftables", "nft", "kube-proxy and the nodes' packet filters"},
	{"runc", "runc", "runs the containers"},
	{"util-linux", "nsenter", "runs commands inside the nodes"},
}

// Missing lists the dependencies that are not on this machine.
func Missing() []Dependency {
	var missing []Dependency
	for _, dep := range Dependencies {
		if !present(dep.Program) {
			missing = append(missing, dep)
		}
	}
	return missing
}

func present(program string) bool {
	if strings.HasPrefix(program, "/") {
		_, err := os.Stat(program)
		return err == nil
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// SearchPath adds the directories of system programs to a PATH, which the PATH of a plain "su" lacks.
func SearchPath(path string) string {
	dirs := filepath.SplitList(path)
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// Packages are the Debian package names of deps.
func Packages(deps []Dependency) []string {
	names := make([]string, 0, len(deps))
	for _, dep := range deps {
		names = append(names, dep.Package)
	}
	return names
}

// InstallDependencies installs missing dependencies with apt-get.
func InstallDependencies(ctx context.Context, out io.Writer) error {
	missing := Missing()
	if len(missing) == 0 {
		return nil
	}
	install := append([]string{"install", "-y", "--no-install-recommends"}, Packages(missing)...)
	for _, args := range [][]string{{"update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...) // #nosec G204 -- fixed package names
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("run apt-get %s: %w", strings.Join(args, " "), err)
		}
	}
	if still := Missing(); len(still) > 0 {
		return fmt.Errorf("still missing after apt-get install: %s", strings.Join(Packages(still), " "))
	}
	return nil
}

// checkMachine returns an error of one line if a sandbox cannot run here.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("a sandbox creates namespaces and mounts: run it as root")
	}
	if missing := Missing(); len(missing) > 0 {
		return fmt.Errorf("missing on this machine: %s; install with: woven-sandbox deps --install", strings.Join(Packages(missing), " "))
	}
	return nil
}
