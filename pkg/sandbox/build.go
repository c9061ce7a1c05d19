// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Artifacts are the finished builds that a sandbox runs from.
type Artifacts struct {
	Kubernetes string // directory of kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kubectl, kube-proxy, agnhost
	Etcd       string // directory of etcd
	Containerd string // directory of containerd, containerd-shim-runc-v2, ctr
	CNI        string // directory of the CNI plugins
	Root       string // root of a Debian with OVN and Open vSwitch
	CoreDNS    string // directory of coredns
	Images     string // directory of the container images, as OCI archives
}

// builder creates artifacts below home. A finished artifact is a directory whose name contains its version and a hash
// of all its inputs, so it is reused until one of them changes.
type builder struct {
	home     Home
	source   string // root of Woven's source tree
	progress *Progress
	log      *os.File
}

// Build creates every artifact that is not in the cache. source is the root of Woven's source tree (see FindSource).
func Build(ctx context.Context, home Home, source string, progress *Progress) (made Artifacts, err error) {
	err = withBuilder(ctx, home, source, progress, func(b *builder) error {
		made, err = b.all(ctx)
		return err
	})
	return made, err
}

// withBuilder calls do while it holds the build lock.
func withBuilder(ctx context.Context, home Home, source string, progress *Progress, do func(*builder) error) error {
	if err := checkMachine(); err != nil {
		return err
	}
	if err := makeDir(home.buildDir()); err != nil {
		return err
	}
	lock, err := acquire(ctx, home.lockFile("build"), func() { progress.Say("waiting for another build to finish") })
	if err != nil {
		return err
	}
	defer lock.release()
	logFile, err := os.OpenFile(filepath.Join(home.buildDir(), "build.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the build log: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	b := &builder{home: home, source: source, progress: progress, log: logFile}
	if err := b.removePartial(); err != nil {
		return err
	}
	return do(b)
}

func (b *builder) all(ctx context.Context) (Artifacts, error) {
	var made Artifacts
	root, err := b.debianRoot(ctx)
	if err != nil {
		return made, err
	}
	made.Root = root
	for _, p := range goPrograms {
		dir, err := b.goModule(ctx, p)
		if err != nil {
			return made, err
		}
		*p.into(&made) = dir
	}
	made.Images, err = b.images(ctx, made)
	return made, err
}

// partialPrefix marks the directories of unfinished builds. A build holds the build lock, so a partial directory found
// under the lock was left by a killed build.
const partialPrefix = ".partial-"

func (b *builder) removePartial() error {
	left, err := filepath.Glob(filepath.Join(b.home.buildDir(), partialPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list unfinished builds: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove an unfinished build: %w", err)
		}
	}
	return nil
}

// artifact describes one cached directory.
type artifact struct {
	name    string // what it is, e.g. "kubernetes 1.36.3"
	inputs  string // everything that determines its content
	expect  string // how long it takes the first time, for the progress line
	produce func(ctx context.Context, dir string) error
}

func (a artifact) dirName() string {
	sum := sha256.Sum256([]byte(a.name + "\x00" + runtime.GOARCH + "\x00" + a.inputs))
	return strings.ReplaceAll(a.name, " ", "-") + "-" + hex.EncodeToString(sum[:6])
}

// ensure returns the directory of a finished artifact. It builds a missing one in a partial directory and renames that
// once complete.
func (b *builder) ensure(ctx context.Context, a artifact) (string, error) {
	final := filepath.Join(b.home.buildDir(), a.dirName())
	if _, err := os.Stat(final); err == nil {
		return final, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("stat the build of %s: %w", a.name, err)
	}
	partial := filepath.Join(b.home.buildDir(), partialPrefix+a.dirName())
	if err := makeDir(partial); err != nil {
		return "", err
	}
	done := b.progress.Step("building %s (%s)", a.name, a.expect)
	err := a.produce(ctx, partial)
	if err == nil {
		err = os.Rename(partial, final)
	}
	done(err)
	if err != nil {
		return "", fmt.Errorf("build %s (see %s): %w", a.name, b.log.Name(), err)
	}
	return final, nil
}

// run executes one build command and writes its output to the build log. The command dies with this process, so a
// killed build leaves nothing running.
func (b *builder) run(ctx context.Context, dir string, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- commands are written in this package
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, _ = fmt.Fprintf(b.log, "+ %s\n", strings.Join(argv, " "))
	runtime.LockOSThread() // Pdeathsig is sent when the thread that started the child ends
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", filepath.Base(argv[0]), err)
	}
	return nil
}

// FindSource searches for Woven's source tree from the directory of this program and from the working directory
// upwards.
func FindSource() (string, error) {
	var starts []string
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, start := range starts {
		for dir := start; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "hack", "build", "kubernetes", "go.mod")); err == nil {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("the source tree of Woven (hack/build) is neither above this program nor above the working directory: run it inside a clone, or pass --source")
}
