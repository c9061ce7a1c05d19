// SPDX-License-Identifier: Apache-2.0

// Package version holds the version of this build.
package version

import (
	"cmp"
	"runtime/debug"
)

// version is set by the linker: -X github.com/wovensdn/woven/pkg/version.version=v1.2.3.
var version string

// String returns the version that the linker set, or else the one that "go install module@version" records, or else
// "dev".
func String() string {
	if version != "" {
		return version
	}
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "(devel)" {
		return "dev"
	}
	return cmp.Or(build.Main.Version, "dev")
}
