// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// counter prints a line for each spec.
type counter struct {
	mu     sync.Mutex
	out    io.Writer
	now    func() time.Time
	start  time.Time
	total  int
	done   int
	failed int
}

func newCounter(out io.Writer, now func() time.Time, total int) *counter {
	return &counter{out: out, now: now, start: now(), total: total}
}

func (c *counter) ended(name string, how state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if how == failed {
		c.failed++
	}
	fmt.Fprintf(c.out, "%5.0f s  %3d of %d, %d failed  %-7s %s\n", c.now().Sub(c.start).Seconds(), c.done, c.total, c.failed, how, name)
}

// began is for a suite that reports results only at its end.
func (c *counter) began(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	fmt.Fprintf(c.out, "%5.0f s  %3d of %d started: %s\n", c.now().Sub(c.start).Seconds(), c.done, c.total, name)
}

// lineReader splits its input into lines.
type lineReader struct{ partial string }

func (l *lineReader) lines(b []byte) []string {
	lines := strings.Split(l.partial+string(b), "\n")
	l.partial = lines[len(lines)-1]
	return lines[:len(lines)-1]
}

// specLines reads Ginkgo's verbose output while it is written. A block about one spec begins with a line such as "•
// [FAILED] [1.234 seconds]", and the line after it names the spec and its labels. (The --progress-report-url of
// e2e.test reports only the beginning and the end.)
type specLines struct {
	lineReader
	count *counter
	how   state
	next  bool // the next line names a spec
}

var (
	specHeader = regexp.MustCompile(`^(?:•|S) (?:\[([A-Z ]+)\] )?\[[0-9.]+ seconds\]$`)
	specNode   = regexp.MustCompile(` \[(It|(Just)?(Before|After)(Each|All)|DeferCleanup( \([A-Za-z]+\))?)\]`)
	specLabels = regexp.MustCompile(` \[[^\[\]]*\]$`)
)

func (s *specLines) Write(b []byte) (int, error) {
	for _, line := range s.lines(b) {
		if match := specHeader.FindStringSubmatch(line); match != nil {
			s.next = true
			switch match[1] {
			case "":
				s.how = passed
			case "SKIPPED":
				s.how = skippedItself
			default:
				s.how = failed
			}
			continue
		}
		if s.next && strings.HasPrefix(line, "[sig-") {
			s.count.ended(specNode.ReplaceAllString(specLabels.ReplaceAllString(line, ""), ""), s.how)
		}
		s.next = false
	}
	return len(b), nil
}
