package sandbox

import (
	"slices"
	"testing"
)

func TestDependencies(t *testing.T) {
	if !slices.IsSortedFunc(Dependencies, func(a, b Dependency) int {
		if a.Package < b.Package {
			return -1
		}
		return 1
	}) {
		t.Error("the packages are not in order, or one is there twice")
	}
	if present("no-such-program-anywhere") || present("/no/such/file") || !present("/proc/self/exe") {
		t.Error("what is present is not seen")
	}
}

func TestSearchPath(t *testing.T) {
	if got := SearchPath("/usr/bin:/usr/sbin"); got != "/usr/bin:/usr/sbin:/usr/local/sbin:/sbin" {
		t.Error(got)
	}
}
