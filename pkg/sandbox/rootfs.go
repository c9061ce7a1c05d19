// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// rootfs is a file tree that becomes an image.
type rootfs struct{ dir string }

// newRootfs creates the directories and account files that programs expect in any image.
func newRootfs(dir string) (rootfs, error) {
	r := rootfs{dir: dir}
	for _, d := range []string{"bin", "dev", "etc", "lib", "proc", "root", "sys", "tmp", "uploads", "usr/bin", "var"} {
		if err := makeDir(filepath.Join(dir, d)); err != nil {
			return r, err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|fs.ModeSticky); err != nil { // #nosec G302 -- /tmp of an image
		return r, fmt.Errorf("create an image root: %w", err)
	}
	files := map[string]string{ // #nosec G101 -- accounts without passwords
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nuser-defined-in-image:x:1000:1000::/:/bin/sh\n",
		"etc/group":         "root:x:0:\nnobody:x:65534:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n",
		"etc/nsswitch.conf": "hosts: files dns\n",
	}
	for name, content := range files {
		if err := r.write(name, []byte(content), 0o644); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (r rootfs) write(name string, content []byte, mode fs.FileMode) error {
	target := filepath.Join(r.dir, name)
	if err := makeDir(filepath.Dir(target)); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := os.WriteFile(target, content, mode); err != nil { // #nosec G703 -- below our own directory
		return fmt.Errorf("write %s: %w", name, err)
	}
	return wrap(os.Chmod(target, mode), "set the mode of %s", name)
}

func (r rootfs) copy(from, to string, mode fs.FileMode) error {
	content, err := os.ReadFile(from) // #nosec G304 -- our own artifact
	if err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	return r.write(to, content, mode)
}

func (r rootfs) link(target, name string) error {
	full := filepath.Join(r.dir, name)
	if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := os.Symlink(target, full); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

// addProgram copies a program of the Debian root to /bin, together with its interpreter and libraries.
func (r rootfs) addProgram(debian, name string) error {
	found := ""
	for _, dir := range []string{"usr/bin", "usr/sbin"} {
		if resolved, err := resolveIn(debian, path.Join(dir, name)); err == nil {
			found = resolved
			break
		}
	}
	if found == "" {
		return fmt.Errorf("program %s is not in %s", name, debian)
	}
	if err := r.copy(filepath.Join(debian, found), path.Join("bin", name), 0o755); err != nil {
		return err
	}
	return r.addLibraries(debian, found, map[string]bool{})
}

// addLibrary copies one shared library (a path in the Debian root) and its dependencies.
func (r rootfs) addLibrary(debian, at string, seen map[string]bool) error {
	if seen[at] {
		return nil
	}
	seen[at] = true
	resolved, err := resolveIn(debian, at)
	if err != nil {
		return err
	}
	if err := r.copy(filepath.Join(debian, resolved), at, 0o755); err != nil {
		return err
	}
	return r.addLibraries(debian, resolved, seen)
}

func (r rootfs) addLibraries(debian, binary string, seen map[string]bool) error {
	needs, err := elfNeeds(filepath.Join(debian, binary))
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %w", binary, err)
	}
	if needs.interpreter != "" {
		if err := r.addLibrary(debian, strings.TrimPrefix(needs.interpreter, "/"), seen); err != nil {
			return err
		}
	}
	for _, lib := range needs.libraries {
		at, err := findLibrary(debian, needs.searchPath, lib)
		if err != nil {
			return fmt.Errorf("program %s: %w", binary, err)
		}
		if err := r.addLibrary(debian, at, seen); err != nil {
			return err
		}
	}
	return nil
}

type elfNeed struct {
	interpreter string
	libraries   []string
	searchPath  []string
}

// elfNeeds reads from an ELF file which libraries the dynamic linker would load (ld.so(8)).
func elfNeeds(file string) (elfNeed, error) {
	var need elfNeed
	f, err := elf.Open(file)
	if err != nil {
		return need, fmt.Errorf("open %s: %w", file, err)
	}
	defer func() { _ = f.Close() }()
	if need.libraries, err = f.ImportedLibraries(); err != nil {
		return need, fmt.Errorf("read dynamic section of %s: %w", file, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return need, fmt.Errorf("read dynamic section of %s: %w", file, err)
		}
		for _, p := range paths {
			need.searchPath = append(need.searchPath, strings.Split(p, ":")...)
		}
	}
	for _, prog := range f.Progs {
		if prog.Type != elf.PT_INTERP {
			continue
		}
		raw := make([]byte, prog.Filesz)
		if _, err := prog.ReadAt(raw, 0); err != nil {
			return need, fmt.Errorf("read the interpreter of %s: %w", file, err)
		}
		need.interpreter = string(bytes.TrimRight(raw, "\x00"))
	}
	return need, nil
}

func findLibrary(debian string, searchPath []string, lib string) (string, error) {
	standard, err := filepath.Glob(filepath.Join(debian, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return "", fmt.Errorf("list library directories: %w", err)
	}
	dirs := make([]string, 0, len(searchPath)+len(standard)+1)
	for _, dir := range searchPath {
		dirs = append(dirs, strings.TrimPrefix(dir, "/"))
	}
	for _, dir := range standard {
		dirs = append(dirs, strings.TrimPrefix(dir, debian+"/"))
	}
	for _, dir := range append(dirs, "usr/lib") {
		at := path.Join(dir, lib)
		if _, err := resolveIn(debian, at); err == nil {
			return at, nil
		}
	}
	return "", fmt.Errorf("library %s is not in %s", lib, debian)
}

// resolveIn follows the symbolic links of a path as a process with root as its root directory would. The result is
// relative to root.
func resolveIn(root, name string) (string, error) {
	const maxLinks = 40 // the kernel's MAXSYMLINKS
	var done string
	rest := strings.Split(path.Clean("/" + name)[1:], "/")
	for links := 0; len(rest) > 0; {
		next := path.Join("/", done, rest[0])[1:]
		rest = rest[1:]
		info, err := os.Lstat(filepath.Join(root, next))
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", name, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve %s: too many symbolic links", name)
		}
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", name, err)
		}
		if path.IsAbs(target) {
			done = ""
		}
		rest = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), rest...)
	}
	return done, nil
}
