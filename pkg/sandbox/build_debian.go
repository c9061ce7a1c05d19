// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// debianSuite is the first Debian release that OVN 25.03 and Open vSwitch 3.5 are in: Woven needs OVN 25.03 or newer.
const debianSuite = "trixie"

// debianPackages are OVN, Open vSwitch and the network tools for the test image and the nodes.
var debianPackages = []string{
	"ovn-central", "ovn-host", "openvswitch-switch", "procps", "busybox-static",
	"iproute2", "iputils-ping", "iputils-arping", "tcpdump", "curl", "bind9-dnsutils", "netcat-openbsd", "ncat", "iperf3", "ethtool",
}

func (b *builder) debianRoot(ctx context.Context) (string, error) {
	packages := strings.Join(debianPackages, ",")
	return b.ensure(ctx, artifact{
		name: "debian " + debianSuite, inputs: packages,
		expect: "OVN and Open vSwitch, about 1 minute the first time",
		produce: func(ctx context.Context, dir string) error {
			mirror, err := b.debianMirror(ctx)
			if err != nil {
				return err
			}
			// debootstrap mounts /proc inside the new root; in a mount namespace of its own, that mount disappears with
			// it.
			return b.run(ctx, "", []string{"DEBIAN_FRONTEND=noninteractive"}, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
				"debootstrap", "--variant=minbase", "--include="+packages, debianSuite, dir, mirror)
		},
	})
}

// debianMirror returns the mirror that this machine gets its own Debian packages from.
func (b *builder) debianMirror(ctx context.Context) (string, error) {
	targets, err := b.output(ctx, "", "apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages")
	if err != nil {
		return "", fmt.Errorf("list apt's mirrors: %w", err)
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("read the release of this machine: %w", err)
	}
	return chooseMirror(targets, osReleaseField(string(release), "VERSION_CODENAME"))
}

// chooseMirror returns the site that serves component main of this machine's own release. targets has one line
// "<site> <codename> <component>" per index.
func chooseMirror(targets, codename string) (string, error) {
	for line := range strings.Lines(targets) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[1] == codename && fields[2] == "main" {
			return fields[0], nil
		}
	}
	return "", fmt.Errorf("apt names no mirror for component main of release %q: add one to /etc/apt/sources.list and run apt-get update", codename)
}

// osReleaseField reads one variable of os-release(5).
func osReleaseField(content, name string) string {
	for line := range strings.Lines(content) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == name {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

// output runs a command and returns its standard output without surrounding white space.
func (b *builder) output(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- commands are written in this package
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run %s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(stderr.String()))
	}
	if stdout.Len() == 0 {
		return "", errors.New(filepath.Base(argv[0]) + " printed nothing")
	}
	return stdout.String(), nil
}
