// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress prints the steps of a long command, one line each, with its duration in seconds.
type Progress struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
}

// NewProgress prints to out and reads the time from now.
func NewProgress(out io.Writer, now func() time.Time) *Progress {
	return &Progress{out: out, now: now}
}

// Step prints the start of a step and returns a function that prints how it ended.
func (p *Progress) Step(format string, args ...any) (done func(error)) {
	what, start := fmt.Sprintf(format, args...), p.now()
	p.print("%s …\n", what)
	return func(err error) {
		took := p.now().Sub(start).Seconds()
		if err != nil {
			p.print("%s … failed after %.1f s\n", what, took)
			return
		}
		p.print("%s … done in %.1f s\n", what, took)
	}
}

// Say prints one line.
func (p *Progress) Say(format string, args ...any) { p.print(format+"\n", args...) }

func (p *Progress) print(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, format, args...)
}
