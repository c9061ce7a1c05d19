// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// goProgram is a set of programs built from one module below hack/build. Each is a Go module of its own, so that
// Kubernetes' dependencies do not end up in Woven's go.mod.
type goProgram struct {
	name     string            // of the artifact; defaults to module
	module   string            // directory below hack/build
	requires string            // the module whose version is the artifact's version
	packages []string          // what to build
	tests    map[string]string // test programs: name → package whose tests they run
	files    map[string]string // files to add: name → path in module requires; with a glob pattern, name is a directory
	images   map[string]image  // single-program container images: program → image, in <program>.tar
	rename   map[string]string
	tags     string
	ldflags  func(version string) string
	expect   string
	into     func(*Artifacts) *string
}

var goPrograms = []goProgram{
	{
		module: "kubernetes", requires: "k8s.io/kubernetes", expect: "about 6 minutes on 2 cores the first time",
		packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager", "k8s.io/kubernetes/cmd/kube-scheduler",
			"k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes/cmd/kube-proxy", "k8s.io/kubernetes/test/images/agnhost",
		},
		ldflags: kubernetesVersionFlags,
		into:    func(a *Artifacts) *string { return &a.Kubernetes },
	},
	{
		module: "etcd", requires: "go.etcd.io/etcd/server/v3", expect: "about 30 s the first time",
		packages: []string{"go.etcd.io/etcd/server/v3"},
		rename:   map[string]string{"server": "etcd", "v3": "etcd"},
		ldflags:  func(string) string { return "" },
		into:     func(a *Artifacts) *string { return &a.Etcd },
	},
	{
		module: "containerd", requires: "github.com/containerd/containerd/v2", expect: "about 1 minute the first time",
		packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containerd/containerd/v2/cmd/ctr",
		},
		tags: "no_btrfs,no_devmapper,no_zfs",
		ldflags: func(version string) string {
			return " -X github.com/containerd/containerd/v2/version.Version=" + version
		},
		into: func(a *Artifacts) *string { return &a.Containerd },
	},
	{
		module: "cni", requires: "github.com/containernetworking/plugins", expect: "a few seconds",
		packages: []string{"github.com/containernetworking/plugins/plugins/main/loopback", "github.com/containernetworking/plugins/plugins/meta/portmap"},
		ldflags:  func(string) string { return "" },
		into:     func(a *Artifacts) *string { return &a.CNI },
	},
	{
		module: "coredns", requires: "github.com/coredns/coredns", expect: "about 2 minutes the first time",
		packages: []string{"github.com/coredns/coredns"},
		ldflags:  func(string) string { return "" },
		into:     func(a *Artifacts) *string { return &a.CoreDNS },
	},
}

// kubernetesVersionFlags are linker flags that set the version. The programs refuse to start with an empty one.
func kubernetesVersionFlags(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	var flags strings.Builder
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, kv := range [][2]string{{"gitVersion", version}, {"gitMajor", parts[0]}, {"gitMinor", parts[1]}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"}} {
			fmt.Fprintf(&flags, " -X %s.%s=%s", pkg, kv[0], kv[1])
		}
	}
	return flags.String()
}

var requireLine = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(\S+)\s+(v\d+\.\d+\.\d+\S*)(?:\s|$)`)

// requiredVersion returns the version of one module that a go.mod file requires.
func requiredVersion(goMod []byte, module string) (string, error) {
	for _, match := range requireLine.FindAllSubmatch(goMod, -1) {
		if string(match[1]) == module {
			return string(match[2]), nil
		}
	}
	return "", fmt.Errorf("go.mod does not require %s", module)
}

func (b *builder) goModule(ctx context.Context, p goProgram) (string, error) {
	dir := filepath.Join(b.source, "hack", "build", p.module)
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod")) // #nosec G304 -- the source tree
	if err != nil {
		return "", fmt.Errorf("read the module that builds %s: %w", p.module, err)
	}
	goSum, err := os.ReadFile(filepath.Join(dir, "go.sum")) // #nosec G304 -- the source tree
	if err != nil {
		return "", fmt.Errorf("read the checksums of %s: %w", p.module, err)
	}
	version, err := requiredVersion(goMod, p.requires)
	if err != nil {
		return "", fmt.Errorf("find the version of %s: %w", p.module, err)
	}
	ldflags := "-s -w" + p.ldflags(version)
	return b.ensure(ctx, artifact{
		name:    cmp.Or(p.name, p.module) + " " + strings.TrimPrefix(version, "v"),
		inputs:  strings.Join(append([]string{string(goMod), string(goSum), ldflags, p.tags, strings.Join(p.packages, " ")}, p.extras()...), "\x00"),
		expect:  p.expect,
		produce: func(ctx context.Context, out string) error { return b.compile(ctx, p, dir, out, ldflags) },
	})
}

// extras lists tests, files and images as inputs of the artifact.
func (p goProgram) extras() (list []string) {
	for _, from := range []map[string]string{p.tests, p.files} {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			list = append(list, name+"="+from[name])
		}
	}
	for _, program := range slices.Sorted(maps.Keys(p.images)) {
		list = append(list, imageRecipe, program, p.images[program].names[0])
	}
	return list
}

// compile builds the programs of a module (in dir) into out.
func (b *builder) compile(ctx context.Context, p goProgram, dir, out, ldflags string) error {
	if !present("go") {
		return errors.New("go is not in PATH: install the version that go.mod names, or a newer one, from https://go.dev/dl/")
	}
	env := []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"}
	flags := []string{"-trimpath", "-tags", p.tags, "-ldflags", ldflags, "-o"}
	if len(p.packages) > 0 {
		argv := slices.Concat([]string{"go", "build"}, flags, []string{out + "/"}, p.packages)
		if err := b.run(ctx, dir, env, argv...); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.tests)) {
		argv := slices.Concat([]string{"go", "test", "-c"}, flags, []string{filepath.Join(out, name), p.tests[name]})
		if err := b.run(ctx, dir, env, argv...); err != nil {
			return err
		}
	}
	if err := b.addFiles(ctx, p, out); err != nil {
		return err
	}
	for program, img := range p.images {
		if err := programImage(out, program, img); err != nil {
			return err
		}
	}
	return renameAll(out, p.rename)
}

func (b *builder) addFiles(ctx context.Context, p goProgram, out string) error {
	if len(p.files) == 0 {
		return nil
	}
	source, err := b.moduleSource(ctx, p)
	if err != nil {
		return err
	}
	for name, from := range p.files {
		matches, err := filepath.Glob(filepath.Join(source, from))
		if err == nil && len(matches) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return fmt.Errorf("find %s of %s: %w", from, p.requires, err)
		}
		for _, match := range matches {
			target := name
			if strings.ContainsRune(from, '*') {
				target = filepath.Join(name, filepath.Base(match))
			}
			if err := (rootfs{dir: out}).copy(match, target, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func renameAll(dir string, names map[string]string) error {
	for from, to := range names {
		err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to))
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("rename %s: %w", from, err)
		}
	}
	return nil
}

// moduleSource returns the directory of a module's source in the module cache.
func (b *builder) moduleSource(ctx context.Context, p goProgram) (string, error) {
	out, err := b.output(ctx, filepath.Join(b.source, "hack", "build", p.module), "go", "list", "-m", "-f", "{{.Dir}}", p.requires)
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", path.Base(p.requires), err)
	}
	dir := strings.TrimSpace(out)
	if dir == "" {
		return "", fmt.Errorf("the source of %s is not in the module cache", p.requires)
	}
	return dir, nil
}
