// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// retiredWords is the list of words that the repository does not use; its head says how it is written.
const retiredWords = "hack/retired-words.txt"

// phrase is one or more words, in lower case.
type phrase []string

// entry is a line of the list.
type entry struct {
	retired     phrase
	replacement string
	allowed     []phrase // in which it is the standard term
}

// vocabulary are the entries of the list by their first word.
type vocabulary map[string][]entry

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestRetiredWords: no source, document or script has a word of the list.
func TestRetiredWords(t *testing.T) {
	words, err := parseWords(read(t, retiredWords))
	if err != nil {
		t.Fatalf("%s: %v", retiredWords, err)
	}
	for _, file := range files(t, ".go", ".md", ".sh") {
		text := read(t, file)
		if generated.MatchString(text) || file == "hack/repository/words_test.go" {
			continue
		}
		for _, finding := range find(text, words) {
			t.Errorf("%s:%s", file, finding)
		}
	}
}

// parseWords reads lines of the form PHRASES<tab>REPLACEMENT, or PHRASES<tab>REPLACEMENT<tab>PHRASES.
func parseWords(list string) (vocabulary, error) {
	words := vocabulary{}
	n := 0
	for line := range strings.Lines(list) {
		n++
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := append(strings.Split(line, "\t"), "")
		if len(fields) != 3 && len(fields) != 4 {
			return nil, fmt.Errorf("line %d has %d fields, want 2 or 3, with a tab between them", n, len(fields)-1)
		}
		retired := phrases(fields[0])
		if len(retired) == 0 || fields[1] == "" {
			return nil, fmt.Errorf("line %d: no word, or no replacement", n)
		}
		for _, p := range retired {
			words[p[0]] = append(words[p[0]], entry{p, fields[1], phrases(fields[2])})
		}
	}
	return words, nil
}

// phrases splits a list at its commas.
func phrases(list string) (out []phrase) {
	for text := range strings.SplitSeq(list, ",") {
		if p := split(text); len(p) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// split gives the words of a line in lower case, those of an identifier such as APIServer or api_server one by one.
func split(line string) (words phrase) {
	runes := []rune(line)
	start := -1
	end := func(i int) {
		if start >= 0 {
			words = append(words, strings.ToLower(string(runes[start:i])))
		}
		start = -1
	}
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end(i)
			continue
		}
		if start >= 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			end(i)
		}
		if start < 0 {
			start = i
		}
	}
	end(len(runes))
	return words
}

// find returns "LINE: …" for each retired phrase of a text.
func find(text string, words vocabulary) (findings []string) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		have := split(line)
		for i, first := range have {
			for _, e := range words[first] {
				if have.at(i, e.retired) && !e.allows(have, i) {
					findings = append(findings, fmt.Sprintf("%d: %q: write %s", n, strings.Join(e.retired, " "), e.replacement))
				}
			}
		}
	}
	return findings
}

// at reports whether q is the part of p that begins with the word i.
func (p phrase) at(i int, q phrase) bool {
	return i >= 0 && i+len(q) <= len(p) && slices.Equal(p[i:i+len(q)], q)
}

// allows reports whether the retired phrase that begins with the word i of a line is part of an allowed one.
func (e entry) allows(line phrase, i int) bool {
	return slices.ContainsFunc(e.allowed, func(a phrase) bool {
		for k := range a {
			if a.at(k, e.retired) && line.at(i-k, a) {
				return true
			}
		}
		return false
	})
}

func TestFind(t *testing.T) {
	words, err := parseWords("# comment\n\nbed, beds\tharness\nrest\tremaining\tthe rest of, REST API\nled on\tforwarded\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"a word", "in a bed\n", `1: "bed": write harness`},
		{"in capitals, on a later line", "a\nBeds\n", `2: "beds": write harness`},
		{"part of an identifier", "func newBed() {\n", `1: "bed": write harness`},
		{"part of an identifier after an acronym", "type DNSBed struct\n", `1: "bed": write harness`},
		{"part of an identifier with underscores", "a_bed\n", `1: "bed": write harness`},
		{"two words", "it is led on by maps\n", `1: "led on": write forwarded`},
		{"one of two words", "it led them on\n", ""},
		{"part of another word", "embedded bedding\n", ""},
		{"where it is the standard term", "the REST API, and the rest of it\n", ""},
		{"where only one of two is the standard term", "the rest of the REST\n", `1: "rest": write remaining`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(find(tt.text, words), "; "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestBadListOfWords(t *testing.T) {
	for _, bad := range []string{"word\n", "\tx\n", "word\t\n", "a\tb\tc\td\n"} {
		if _, err := parseWords(bad); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
