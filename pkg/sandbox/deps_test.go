// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestDependencies(t *testing.T) {
	if !slices.IsSortedFunc(Dependencies, func(a, b Dependency) int {
		if a.Package < b.Package {
			return -1
		}
		return 1
	}) {
		t.Error("the packages are not sorted and unique")
	}
	if present("no-such-program-anywhere") || present("/no/such/file") || !present("/proc/self/exe") {
		t.Error("a present program counts as missing")
	}
}

// hack/deps.sh installs every dependency of the sandbox.
func TestDependenciesAreInstalled(t *testing.T) {
	text, err := os.ReadFile("../../hack/packages.txt")
	if err != nil {
		t.Fatal(err)
	}
	installed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "#" {
			installed[fields[0]] = fields[1]
		}
	}
	for _, dep := range Dependencies {
		if got := installed[dep.Package]; got != dep.Program {
			t.Errorf("hack/packages.txt has %q as the program of %s, want %q", got, dep.Package, dep.Program)
		}
	}
}

func TestSearchPath(t *testing.T) {
	if got := SearchPath("/usr/bin:/usr/sbin"); got != "/usr/bin:/usr/sbin:/usr/local/sbin:/sbin" {
		t.Error(got)
	}
}
