// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func testBuilder(t *testing.T) *builder {
	t.Helper()
	home := Home(t.TempDir())
	if err := makeDir(home.buildDir()); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(home.buildDir(), "build.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return &builder{home: home, progress: NewProgress(io.Discard, time.Now), log: log}
}

func TestEnsureBuildsOnceAndCompletely(t *testing.T) {
	b, runs := testBuilder(t), 0
	broken := errors.New("broken")
	a := artifact{name: "thing 1.0", inputs: "x", produce: func(_ context.Context, dir string) error {
		runs++
		if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o600); err != nil {
			return err
		}
		if runs == 1 {
			return broken
		}
		return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o600)
	}}
	if _, err := b.ensure(t.Context(), a); !errors.Is(err, broken) {
		t.Fatalf("the failed build returned %v, want its error", err)
	}
	if err := b.removePartial(); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(b.home.buildDir())
	if len(left) != 1 {
		t.Errorf("a failed build left %v", left)
	}
	first, err := b.ensure(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(first, "whole")); err != nil {
		t.Error(err)
	}
	if again, err := b.ensure(t.Context(), a); err != nil || again != first || runs != 2 {
		t.Errorf("a finished build is not reused: %s, %v, %d runs", again, err, runs)
	}
	a.inputs = "y"
	if other, err := b.ensure(t.Context(), a); err != nil || other == first {
		t.Errorf("a build with other inputs was reused: %v", err)
	}
}

func TestBuildCommandFailure(t *testing.T) {
	b := testBuilder(t)
	if err := b.run(t.Context(), "", nil, "false"); err == nil {
		t.Error("a failing command is no error")
	}
	if _, err := b.output(t.Context(), "", "true"); err == nil {
		t.Error("a command that prints nothing is no error")
	}
}

func TestRequiredVersion(t *testing.T) {
	const mod = "module x\n\ngo 1.26.0\n\nrequire example.com/one v1.2.3\n\nrequire (\n\texample.com/two/v2 v2.0.1 // indirect\n)\n\nreplace example.com/one => example.com/fork v9.9.9\n"
	for module, want := range map[string]string{"example.com/one": "v1.2.3", "example.com/two/v2": "v2.0.1"} {
		if got, err := requiredVersion([]byte(mod), module); err != nil || got != want {
			t.Errorf("%s: %q, %v", module, got, err)
		}
	}
	if _, err := requiredVersion([]byte(mod), "example.com/three"); err == nil {
		t.Error("requiredVersion returned a version of a module that is not required")
	}
}

func TestSourceModules(t *testing.T) {
	source, err := FindSource()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(slices.Clone(goPrograms), kubernetesSuite, clusterPolicySuite, adminPolicySuite) {
		raw, err := os.ReadFile(filepath.Join(source, "hack", "build", p.module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := requiredVersion(raw, p.requires); err != nil {
			t.Errorf("%s: %v", p.module, err)
		}
	}
}

func TestKubernetesVersionFlags(t *testing.T) {
	flags := kubernetesVersionFlags("v1.36.3")
	for _, want := range []string{"-X k8s.io/component-base/version.gitVersion=v1.36.3", "-X k8s.io/client-go/pkg/version.gitMinor=36"} {
		if !strings.Contains(flags, want) {
			t.Errorf("no %s in %s", want, flags)
		}
	}
}

func TestChooseMirror(t *testing.T) {
	const targets = "https://example.com/nodejs nodistro main\nhttp://deb.example.org/debian bookworm-updates main\nhttp://deb.example.org/debian bookworm contrib\nhttp://deb.example.org/debian bookworm main\n"
	if got, err := chooseMirror(targets, "bookworm"); err != nil || got != "http://deb.example.org/debian" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := chooseMirror(targets, "sid"); err == nil {
		t.Error("chooseMirror found a mirror for a release that has none")
	}
}

func TestOSReleaseField(t *testing.T) {
	const content = "ID=debian\nVERSION_CODENAME=bookworm\nNAME=\"Debian GNU/Linux\"\n"
	for name, want := range map[string]string{"VERSION_CODENAME": "bookworm", "NAME": "Debian GNU/Linux", "NONE": ""} {
		if got := osReleaseField(content, name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock", "x")
	first, err := acquire(t.Context(), path, func() { t.Error("waiting was called without another holder") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := acquire(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("two acquired the lock: %v", err)
	}
	first.release()
	second, err := acquire(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	second.release()
}

func TestExtrasAreInputs(t *testing.T) {
	base := goProgram{tests: map[string]string{"b": "y", "a": "x"}, files: map[string]string{"c": "z"}, images: map[string]image{"d": {names: []string{"e:1"}}}}
	if got, want := base.extras(), []string{"a=x", "b=y", "c=z", imageRecipe, "d", "e:1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestAbandoned(t *testing.T) {
	alive := func(pid int) bool { return pid == 7 }
	got := abandoned([]string{"conf-7", "conf-8", "conf-x", "other-8", "conf"}, "conf", alive)
	if want := []string{"conf-8"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
