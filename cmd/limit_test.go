// SPDX-License-Identifier: Apache-2.0

// Package cmd_test holds what is true of every command.
package cmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A command runs what a package below pkg/cli returns; flags and wiring that outgrow this limit belong there.
const maxLines = 150

func TestCommandsAreShort(t *testing.T) {
	lines := map[string]int{}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines[filepath.Dir(file)] += bytes.Count(text, []byte("\n"))
	}
	if len(lines) == 0 {
		t.Fatal("no commands found")
	}
	for command, n := range lines {
		if n > maxLines {
			t.Errorf("cmd/%s has %d lines, want at most %d", command, n, maxLines)
		}
	}
}
