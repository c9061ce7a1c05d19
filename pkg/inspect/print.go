// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/wovensdn/woven/pkg/engine"
)

// Print writes an explanation for people: what the object compiled to, what it read, what it waits for, and what it was
// refused.
func Print(w io.Writer, x engine.Explanation) error {
	p := printer{w: w}
	p.line("%s", x.Object)
	p.line("  %s", summary(x))
	p.section("problems", len(x.Problems), func() {
		for _, problem := range x.Problems {
			field := ""
			if problem.Field != "" {
				field = " (" + problem.Field + ")"
			}
			p.line("    %s%s: %s [%s]", problem.Reason, field, problem.Message, problem.Source)
		}
	})
	p.section("writes to the API server that are to come", len(x.Wants), func() {
		for _, want := range x.Wants {
			state := "waits until the rows are in the database"
			if want.UnderWay {
				state = "under way"
			}
			p.line("    %s %s: %s", want.Write, want.Object, state)
		}
		if x.RetryAt != nil {
			p.line("    the last write failed; tried again at %s", x.RetryAt.UTC().Format(time.RFC3339))
		}
	})
	p.section("rows in OVN", len(x.Rows), func() { p.rows(x.Rows) })
	p.section("elements of shared columns", len(x.Members), func() {
		for _, m := range x.Members {
			p.line("    %s, %s: %s [%s]", m.Row, m.Column, m.Value, m.State)
		}
	})
	p.section("compiled from (a change of one of these compiles it again)", len(x.Reads), func() {
		for _, read := range x.Reads {
			p.line("    %s", read)
		}
	})
	p.section("read by", len(x.Readers), func() {
		for _, reader := range x.Readers {
			p.line("    %s", reader)
		}
	})
	if p.err != nil {
		return fmt.Errorf("print: %w", p.err)
	}
	return nil
}

func summary(x engine.Explanation) string {
	switch {
	case !x.Exists && len(x.Rows)+len(x.Members) == 0:
		return "does not exist, or the controller does not watch it"
	case !x.Exists:
		return "does not exist any more; its rows are being removed"
	case x.Paused:
		return "its input is invalid: its rows are left as they are until that is fixed"
	case !x.Programmed:
		return "not all of its rows are in the database yet"
	default:
		return "all of its rows are in the database"
	}
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) section(title string, n int, content func()) {
	if n > 0 {
		p.line("  %s:", title)
		content()
	}
}

func (p *printer) rows(rows []engine.RowState) {
	for _, row := range rows {
		p.line("    %s %s (%s) [%s]", row.Table, row.Name, row.UUID, row.State)
		for _, column := range slices.Sorted(maps.Keys(row.Columns)) {
			value, err := json.Marshal(row.Columns[column])
			if err != nil {
				value = fmt.Append(nil, row.Columns[column])
			}
			p.line("      %s: %s", column, value)
		}
	}
}
