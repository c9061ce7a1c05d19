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

func TestMachineRoundTrip(t *testing.T) {
	home := Home(t.TempDir())
	values, err := presentSysctls()
	if err != nil || values["kernel/panic"] == "" {
		t.Fatalf("%v, %v", values, err)
	}
	saved := savedMachine{Boot: "b", Sysctls: values, Dirs: []string{"/x"}}
	if err := saved.write(home); err != nil {
		t.Fatal(err)
	}
	if back, err := readMachine(home); err != nil || !reflect.DeepEqual(back, saved) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestRestoreMachineRemovesItsDirectories(t *testing.T) {
	home, root := Home(t.TempDir()), t.TempDir()
	dirs := missingDirs([]string{filepath.Join(root, "a/b"), filepath.Join(root, "used")})
	for _, dir := range append(dirs, filepath.Join(root, "used/by-others")) {
		if err := makeDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := (savedMachine{Boot: "another", Dirs: dirs}).write(home); err != nil {
		t.Fatal(err)
	}
	if err := restoreMachine(t.Context(), home); err != nil {
		t.Fatal(err)
	}
	if left := missingDirs([]string{filepath.Join(root, "a"), filepath.Join(root, "used/by-others")}); !reflect.DeepEqual(left, []string{filepath.Join(root, "a")}) {
		t.Errorf("removed: %v", left)
	}
}
