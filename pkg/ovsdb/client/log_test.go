// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// logSink keeps log lines, for tests of the log.
type logSink struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func newLogSink() *logSink { return &logSink{more: make(chan struct{})} }

func (s *logSink) logger() logr.Logger {
	return funcr.New(func(_, line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, line)
		close(s.more)
		s.more = make(chan struct{})
	}, funcr.Options{})
}

func (s *logSink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// await waits for a line that contains the text.
func (s *logSink) await(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	for {
		s.mu.Lock()
		more := s.more
		s.mu.Unlock()
		if strings.Contains(s.String(), text) {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no line with %q in the log:\n%s", text, s)
		}
	}
}
