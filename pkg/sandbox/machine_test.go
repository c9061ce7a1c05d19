// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestMissingDirs(t *testing.T) {
	root := t.TempDir()
	if err := makeDir(filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, dir := range missingDirs([]string{filepath.Join(root, "etc"), filepath.Join(root, "a/b/c"), filepath.Join(root, "a/d"), filepath.Join(root, "a/d")}) {
		got = append(got, strings.TrimPrefix(dir, root))
	}
	if want := []string{"/a", "/a/b", "/a/b/c", "/a/d"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMachineIsRestoredByTheLastSandbox(t *testing.T) {
	m, root := machine{dir: t.TempDir()}, t.TempDir()
	first, second, gone := filepath.Join(root, "first"), filepath.Join(root, "second"), filepath.Join(root, "gone")
	made := missingDirs([]string{filepath.Join(root, "a/b"), filepath.Join(root, "used")})
	for _, dir := range append(made, first, second, filepath.Join(root, "used/by-others")) {
		if err := makeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	values, err := presentSysctls()
	if err != nil || values["kernel/panic"] == "" {
		t.Fatalf("%v, %v", values, err)
	}
	if err := m.write(savedMachine{Boot: "another", Users: []string{first, second, gone}, Sysctls: values, Dirs: made}); err != nil {
		t.Fatal(err)
	}
	if err := m.restore(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	saved, err := m.read()
	if err != nil || !reflect.DeepEqual(saved.Users, []string{second}) || len(missingDirs(made)) != 0 {
		t.Errorf("after the first sandbox: %+v, %v", saved, err)
	}
	if err := m.restore(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if left := missingDirs([]string{filepath.Join(root, "a"), filepath.Join(root, "used/by-others")}); !reflect.DeepEqual(left, []string{filepath.Join(root, "a")}) {
		t.Errorf("removed: %v", left)
	}
	if _, err := m.read(); err == nil {
		t.Error("the saved settings are still there after the last sandbox")
	}
	if err := m.restore(t.Context(), second); err != nil {
		t.Errorf("restore without saved settings: %v", err)
	}
}
