// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// described are the documents that say where things are.
var described = []string{"README.md", "CONTRIBUTING.md", "docs/design/architecture.md"}

var (
	span = regexp.MustCompile("`([^`\n]+)`")
	// inRepository are paths that begin with a directory of the repository's root, or are such a directory.
	inRepository = regexp.MustCompile(`^(api|cmd|config|dist|docs|hack|pkg|test|tools)(/[\w.*/-]*)?$`)
)

// TestPathsExist: every path that these documents name is there.
func TestPathsExist(t *testing.T) {
	for _, document := range described {
		for _, named := range namedPaths(read(t, document)) {
			if !exists(named) {
				t.Errorf("%s names %s, which does not exist", document, named)
			}
		}
	}
}

// namedPaths finds the paths in code spans. A span of several words is a command, whose words may be paths.
func namedPaths(text string) (paths []string) {
	for _, match := range span.FindAllStringSubmatch(text, -1) {
		for word := range strings.FieldsSeq(match[1]) {
			word = strings.TrimSuffix(strings.TrimPrefix(strings.TrimRight(word, ",;…"), "./"), "/")
			word = strings.TrimSuffix(word, "/...")
			subcommand := strings.Contains(match[1], " ") && !strings.Contains(word, "/") // "test" of "go test"
			if inRepository.MatchString(word) && !subcommand {
				paths = append(paths, word)
			}
		}
	}
	return paths
}

func TestNamedPaths(t *testing.T) {
	text := "See `pkg/model` and `pkg/node/driver/…`, run `go test ./pkg/plan/... -run X`, not `kubeovn.io/v1`, `/api/v1/add` or `make test`; `test`."
	want := []string{"pkg/model", "pkg/node/driver", "pkg/plan", "test"}
	if got := namedPaths(text); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// TestLinks: every relative link of every document points to a file or directory, and its anchor to a heading.
func TestLinks(t *testing.T) {
	documents := files(t, ".md")
	if len(documents) < len(described) {
		t.Fatalf("only %d documents found", len(documents))
	}
	for _, document := range documents {
		for _, match := range link.FindAllStringSubmatch(prose(read(t, document)), -1) {
			if err := checkLink(t, document, match[1]); err != nil {
				t.Errorf("%s: link %s: %v", document, match[1], err)
			}
		}
	}
}

func checkLink(t *testing.T, document, target string) error {
	t.Helper()
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return nil
	}
	file, anchor, _ := strings.Cut(target, "#")
	to := document
	if file != "" {
		to = path.Join(path.Dir(document), file)
	}
	switch {
	case strings.HasPrefix(to, "../"):
		return errors.New("it leaves the repository")
	case !exists(to):
		return fmt.Errorf("%s does not exist", to)
	case anchor != "" && !slices.Contains(anchors(read(t, to)), anchor):
		return fmt.Errorf("%s has no heading with the anchor %s", to, anchor)
	}
	return nil
}

func TestCheckLink(t *testing.T) {
	for target, want := range map[string]string{
		"https://example.org/x":           "",
		"../adr":                          "",
		"../../README.md":                 "",
		"../../README.md#try-it":          "",
		"../../README.md#no-such-heading": "no heading",
		"#1-the-three-ideas":              "",
		"#no-such-heading":                "no heading",
		"no-such-file.md":                 "docs/design/no-such-file.md does not exist",
		"../../../outside.md":             "leaves the repository",
	} {
		err := checkLink(t, "docs/design/architecture.md", target)
		if got := fmt.Sprint(err); (err == nil) != (want == "") || err != nil && !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %q", target, got, want)
		}
	}
}

// prose is the text of a document without its fenced and indented code, and without code spans.
func prose(text string) string {
	var out strings.Builder
	fenced, blank := false, true
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
		case fenced, blank && strings.HasPrefix(line, "    ") && !strings.HasPrefix(trimmed, "- "):
			continue
		default:
			out.WriteString(line)
		}
		blank = trimmed == ""
	}
	return span.ReplaceAllString(out.String(), "")
}

// anchors are the anchors of a document's headings, as GitHub makes them.
func anchors(text string) (out []string) {
	seen := map[string]int{}
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		match := heading.FindStringSubmatch(line)
		if fenced || match == nil {
			continue
		}
		title := linked.ReplaceAllString(match[1], "$1")
		slug := strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		if n := seen[slug]; n > 0 {
			out = append(out, fmt.Sprintf("%s-%d", slug, n))
		} else {
			out = append(out, slug)
		}
		seen[slug]++
	}
	return out
}

func TestAnchors(t *testing.T) {
	text := "# The `one` idea: a [link](x.md)\n```\n# no heading\n```\n## Twice\n## Twice\n"
	want := []string{"the-one-idea-a-link", "twice", "twice-1"}
	if got := anchors(text); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
