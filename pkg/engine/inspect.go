// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
)

// What the engine knows, in a form that can be printed: for /debug/woven and "woven-check why".
// Objects are written as [model.Ref.String], rows as "Table name".

// OwnerSummary is an object that has facts, wants, reads or problems.
type OwnerSummary struct {
	Object   string `json:"object"`
	Rows     int    `json:"rows,omitempty"`
	Members  int    `json:"members,omitempty"`
	Reads    int    `json:"reads,omitempty"`
	Wants    int    `json:"wants,omitempty"`
	Pending  int    `json:"pending,omitempty"` // facts that are not in the database yet
	Problems int    `json:"problems,omitempty"`
	Paused   bool   `json:"paused,omitempty"` // its input is invalid: its rows are left as they are
}

// Explanation is everything that the engine knows of one object.
type Explanation struct {
	Object     string `json:"object"`
	Exists     bool   `json:"exists"`
	Programmed bool   `json:"programmed"` // all its facts are in the database
	Paused     bool   `json:"paused"`     // its input is invalid: its rows are left as they are
	// Rows and Members are what it compiled to.
	Rows    []RowState    `json:"rows"`
	Members []MemberState `json:"members"`
	// Reads are what its compile function read: a change of one of them compiles it again.
	Reads []string `json:"reads"`
	// Wants are writes to the API server that are to come, or are under way.
	Wants []WantState `json:"wants"`
	// Problems are what it was refused, and why.
	Problems []ProblemState `json:"problems"`
	// Readers are the objects that are compiled again when it changes; the first hundred.
	Readers []string `json:"readers"`
	// RetryAt is when writes to the API server are tried again, after one has failed.
	RetryAt *time.Time `json:"retryAt,omitempty"`
}

// RowState is a row that an object compiled to.
type RowState struct {
	Table   string         `json:"table"`
	Name    string         `json:"name"`
	UUID    string         `json:"uuid"`
	Columns map[string]any `json:"columns"`
	State   string         `json:"state"` // see [FactState]
}

// MemberState is an element of a set, or a key of a map, that an object compiled to.
type MemberState struct {
	Row    string `json:"row"`
	Column string `json:"column"`
	Value  string `json:"value"` // "key=value" of a map; the row that a reference points to
	State  string `json:"state"`
}

// WantState is a write to the API server.
type WantState struct {
	Write    string `json:"write"`
	Object   string `json:"object"`
	UnderWay bool   `json:"underWay"`
}

// ProblemState is a problem of an object.
type ProblemState struct {
	Source  string `json:"source"` // input, compile, address, write, name, conflict, database, blocked
	Reason  string `json:"reason"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// BlockedFact is a fact that waits for a row that is not in the database.
type BlockedFact struct {
	Fact     string   `json:"fact"`
	WaitsFor string   `json:"waitsFor"`
	Objects  []string `json:"objects"`
}

// Quarantined is an object some of whose facts the database refused.
type Quarantined struct {
	Object   string    `json:"object"`
	Facts    []string  `json:"facts"`
	Attempts int       `json:"attempts"`
	RetryAt  time.Time `json:"retryAt"`
}

// Readership is something that compile functions read, and how many objects did.
type Readership struct {
	Read    string `json:"read"`
	Readers int    `json:"readers"`
}

// Inspect runs fn with the state of the engine, between two of its steps; fn must not keep it.
func (e *Engine) Inspect(ctx context.Context, fn func(*Core)) error {
	done := make(chan struct{})
	e.post(func() {
		defer close(done)
		fn(e.core)
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the engine: %w", ctx.Err())
	}
}

// Owners lists the objects that the engine keeps something of, ordered.
func (c *Core) Owners() []OwnerSummary {
	all := map[fact.Owner]struct{}{}
	for owner := range c.desired.Owners() {
		all[owner] = struct{}{}
	}
	for owner := range c.owners {
		all[owner] = struct{}{}
	}
	for owner := range c.neverCompiled {
		all[owner] = struct{}{}
	}
	out := make([]OwnerSummary, 0, len(all))
	for _, owner := range slices.SortedFunc(maps.Keys(all), fact.Owner.Compare) {
		facts, s := c.desired.Facts(owner), c.owners[owner]
		one := OwnerSummary{
			Object: owner.String(), Rows: len(facts.Rows), Members: len(facts.Members),
			Reads: len(c.world.Reads(owner)), Paused: c.paused(owner),
		}
		if s != nil {
			one.Wants, one.Pending, one.Problems = len(s.wants), s.outstanding, len(c.problemsOf(s))
		}
		out = append(out, one)
	}
	return out
}

// Resolve reads KIND/NAMESPACE/NAME, or KIND/NAME for cluster-scoped kinds, in upper or lower case, as the name of an
// object. The object need not exist.
func (c *Core) Resolve(text string) (model.Ref, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[len(parts)-1] == "" {
		return model.Ref{}, fmt.Errorf("object %q: want KIND/NAMESPACE/NAME, or KIND/NAME for cluster-scoped kinds", text)
	}
	kinds := c.world.Kinds()
	for _, kind := range kinds {
		if strings.EqualFold(string(kind), parts[0]) {
			ref := model.Ref{Kind: kind, Name: parts[len(parts)-1]}
			if len(parts) == 3 {
				ref.Namespace = parts[1]
			}
			return ref, nil
		}
	}
	return model.Ref{}, fmt.Errorf("object %q: there is no kind %q; there are %v", text, parts[0], kinds)
}

// Explain gives everything that the engine knows of an object.
func (c *Core) Explain(ref model.Ref) Explanation {
	s, facts := c.owners[ref], c.desired.Facts(ref)
	x := Explanation{
		Object: ref.String(), Exists: c.exists(ref), Paused: c.paused(ref),
		Programmed: c.active && (s == nil || s.outstanding == 0),
		Rows:       []RowState{}, Members: []MemberState{}, Wants: []WantState{}, Problems: []ProblemState{},
		Reads: c.world.Reads(ref), Readers: c.readersOf(ref),
	}
	for i := range facts.Rows {
		x.Rows = append(x.Rows, c.rowState(&facts.Rows[i]))
	}
	for _, m := range facts.Members {
		x.Members = append(x.Members, c.memberState(key(m)))
	}
	if s == nil {
		return x
	}
	for _, w := range s.wants {
		_, underWay := c.writing[writeKey{sort: w.Sort(), target: w.Target()}]
		x.Wants = append(x.Wants, WantState{Write: string(w.Sort()), Object: w.Target().String(), UnderWay: underWay})
	}
	x.Problems = append(x.Problems, c.problemsOf(s)...)
	if !s.retryAt.IsZero() {
		at := s.retryAt
		x.RetryAt = &at
	}
	return x
}

func (c *Core) readersOf(ref model.Ref) []string {
	const most = 100
	out := []string{}
	for _, reader := range c.world.ReadersOf(ref) {
		if len(out) == most {
			break
		}
		out = append(out, reader.String())
	}
	return out
}

func (c *Core) problemsOf(s *ownerState) (all []ProblemState) {
	add := func(source string, problems []model.Problem) {
		for _, p := range problems {
			all = append(all, ProblemState{Source: source, Reason: p.Reason, Field: p.Field, Message: p.Message})
		}
	}
	add("input", s.input)
	add("compile", s.compiled)
	for _, source := range slices.Sorted(maps.Keys(s.other)) {
		add(source, s.other[source])
	}
	return all
}

func (c *Core) rowState(row *fact.Row) RowState {
	table := fact.TableOf(row.Table)
	out := RowState{Table: row.Table, Name: row.ID, UUID: row.UUID, Columns: map[string]any{}, State: c.factState(rowKey(row.Ref))}
	for _, name := range table.Owned {
		if v := table.Column(name).Value(row.Columns); !v.IsZero() {
			out.Columns[name] = v.Interface()
		}
	}
	return out
}

func (c *Core) memberState(k key) MemberState {
	return MemberState{Row: k.Table + " " + c.rowName(k.Ref), Column: k.Column, Value: c.elementOf(k), State: c.factState(k)}
}

// elementOf names the element of a member.
func (c *Core) elementOf(k key) string {
	if k.Key != "" {
		return k.Key + "=" + k.Value
	}
	if refers := fact.TableOf(k.Table).Members[k.Column].Refers; refers != "" {
		return refers + " " + c.rowName(fact.Ref{Table: refers, UUID: k.Value})
	}
	return k.Value
}

func (c *Core) factText(k key) string {
	text := k.Table + " " + c.rowName(k.Ref)
	if k.Column != "" {
		text += ", " + k.Column + ": " + c.elementOf(k)
	}
	return text
}

// factState says where a fact is on its way to the database.
func (c *Core) factState(k key) string {
	if on, blocked := c.blockedOn[k]; blocked {
		return "waits for " + on.Table + " " + c.rowName(on)
	}
	for _, q := range c.quarantine {
		if _, refused := q.keys[k]; refused {
			return "refused by the database, tried again at " + q.until.UTC().Format(time.RFC3339)
		}
	}
	switch _, sent := c.inflight[k]; {
	case sent:
		return "being written"
	case !c.active:
		return "waits for the start barrier, the lease or the database"
	case c.dirty.has(k):
		return "to be written"
	default:
		return "in the database"
	}
}

// Blocked lists the facts that wait for a row, ordered.
func (c *Core) Blocked() []BlockedFact {
	out := []BlockedFact{}
	for k, on := range c.blockedOn {
		one := BlockedFact{Fact: c.factText(k), WaitsFor: on.Table + " " + c.rowName(on), Objects: []string{}}
		for _, owner := range c.waiters[k] {
			one.Objects = append(one.Objects, owner.String())
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b BlockedFact) int { return cmp.Compare(a.Fact, b.Fact) })
	return out
}

// Quarantine lists the objects some of whose facts the database refused, ordered.
func (c *Core) Quarantine() []Quarantined {
	out := []Quarantined{}
	for _, owner := range slices.SortedFunc(maps.Keys(c.quarantine), fact.Owner.Compare) {
		q := c.quarantine[owner]
		one := Quarantined{Object: owner.String(), Facts: []string{}, Attempts: q.attempts, RetryAt: q.until}
		for k := range q.keys {
			one.Facts = append(one.Facts, c.factText(k))
		}
		slices.Sort(one.Facts)
		out = append(out, one)
	}
	return out
}

// Readers lists what is read, the most widely read first.
func (c *Core) Readers() []Readership {
	out := []Readership{}
	for read, n := range c.world.Readerships() {
		out = append(out, Readership{Read: read, Readers: n})
	}
	slices.SortFunc(out, func(a, b Readership) int {
		return cmp.Or(cmp.Compare(b.Readers, a.Readers), cmp.Compare(a.Read, b.Read))
	})
	return out
}

// Addresses describes the addresses of all subnets.
func (c *Core) Addresses() []addresses.SubnetState { return c.addresses.State() }
