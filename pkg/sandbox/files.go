// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// wrap adds context to an error; nil stays nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// makeDir creates a directory and its parents, readable by all: containers, which run as any user, see some of them.
// The home directory above keeps other users of the machine out.
func makeDir(dir string) error {
	return wrap(os.MkdirAll(dir, 0o755), "create a directory") // #nosec G301 -- see above
}

// setKernelFile writes a value to a file of procfs, sysfs or cgroupfs.
func setKernelFile(file, value string) error {
	return wrap(os.WriteFile(file, []byte(value), 0o644), "write a kernel setting") // #nosec G306 G703 -- not a file on disk
}

// writeAtomically replaces a file, so that readers see either the old or the new content.
func writeAtomically(file string, content []byte) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", temporary, err)
	}
	return wrap(os.Rename(temporary, file), "replace %s", file)
}

// writeFiles writes files into one directory, readable by root alone.
func writeFiles(dir string, files map[string][]byte) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
