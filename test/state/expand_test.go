// SPDX-License-Identifier: Apache-2.0

package state

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	ovsmodel "github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/modeldb"
)

// step is one thing that happens; the controller may or may not come to rest after it.
type step struct {
	name string
	do   func(*harness)
	rest bool // converge and compare with the oracle
}

func to(s state) step { return step{name: s.name, do: func(b *harness) { b.become(s) }, rest: true} }

// interrupted is a state that is left before the controller has processed it.
func interrupted(s state) step {
	return step{name: s.name + " in passing", do: func(b *harness) { b.become(s) }}
}

// expanders turn a sequence of states into sequences of things that happen.
var expanders = map[string]func(*rand.Rand, []state) []step{
	"as declared": func(_ *rand.Rand, ss []state) []step { return each(ss, to) },
	"reversed": func(_ *rand.Rand, ss []state) (out []step) {
		for i := len(ss) - 1; i >= 0; i-- {
			out = append(out, to(ss[i]))
		}
		return out
	},
	"empties between": func(_ *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, to(s), to(state{name: "nothing"}))
		}
		return out
	},
	"shuffled": func(r *rand.Rand, ss []state) (out []step) {
		for range 3 {
			r.Shuffle(len(ss), func(i, j int) { ss[i], ss[j] = ss[j], ss[i] })
			out = append(out, each(ss, to)...)
		}
		return out
	},
	"squashed": func(r *rand.Rand, ss []state) (out []step) {
		for i, s := range ss {
			out = append(out, interrupted(ss[r.IntN(len(ss))]), interrupted(ss[r.IntN(len(ss))]), to(ss[i]))
			_ = s
		}
		return out
	},
	"duplicated": func(_ *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, interrupted(s), to(s), step{name: "all again", do: (*harness).resend, rest: true})
		}
		return out
	},
	"split": func(r *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, step{name: s.name + " one by one", do: func(b *harness) { b.split(r, s) }, rest: true})
		}
		return out
	},
	"restart in the middle": func(r *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, interrupted(s), step{name: "half way", do: func(b *harness) { b.some(r.IntN(4)) }}, step{name: "restart", do: (*harness).restart}, to(s))
		}
		return out
	},
	"drift in the middle": func(r *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, to(s), step{name: "tampering", do: func(b *harness) { b.tamper(r, b.db) }, rest: true})
		}
		return out
	},
	"reconnect in the middle": func(r *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, interrupted(s), step{name: "half way", do: func(b *harness) { b.some(r.IntN(4)) }},
				step{name: "database away", do: func(b *harness) { b.core.NBLost(); b.tamper(r, b.oracle().db) }},
				step{name: "database back", do: func(b *harness) { b.view.Reset(); b.core.NBSynced() }, rest: true})
		}
		return out
	},
	"leader change in the middle": func(r *rand.Rand, ss []state) (out []step) {
		for _, s := range ss {
			out = append(out, interrupted(s), step{name: "half way", do: func(b *harness) { b.some(r.IntN(4)) }}, step{name: "another leads", do: (*harness).otherLeader, rest: true})
		}
		return out
	},
}

func each(ss []state, f func(state) step) (out []step) {
	for _, s := range ss {
		out = append(out, f(s))
	}
	return out
}

// TestStates walks every expansion and compares, whenever the controller has come
// to rest, with what a fresh controller makes of the same objects in an empty
// database.
func TestStates(t *testing.T) {
	for name, expand := range expanders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same walk each time
			b := newModelHarness(t)
			b.restart()
			last := ""
			for _, s := range expand(r, states()) {
				s.do(b)
				if s.rest {
					b.converge()
					b.compare(last + " -> " + s.name)
				}
				last = s.name
			}
		})
	}
}

func newModelHarness(t testing.TB) *harness {
	db := modeldb.New(t)
	b := newHarness(t, db)
	db.Changed = func(table, uuid string) {
		b.changed = append(b.changed, fact.Ref{Table: table, UUID: uuid})
	}
	return b
}

// some lets the loop turn a few times, so that it is interrupted half way.
func (b *harness) some(turns int) {
	b.turns = turns
	b.converge()
	b.turns = 0
}

// resend delivers every object again, as a resync of the caches does.
func (b *harness) resend() {
	writes, ops := b.writes, b.ops
	for _, ref := range sortedRefs(b.objects) {
		b.apply(ref, b.objects[ref])
	}
	b.converge()
	if b.writes != writes || b.ops != ops {
		b.t.Fatalf("resending equal objects caused %d writes and %d operations", b.writes-writes, b.ops-ops)
	}
}

// split brings the objects of a state one by one, in random order, with rests between.
func (b *harness) split(r *rand.Rand, s state) {
	refs := sortedRefs(s.objects)
	r.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
	for _, ref := range refs {
		b.put(ref, s.objects[ref])
		if r.IntN(2) == 0 {
			b.converge()
		}
	}
	b.become(s)
}

// otherLeader: this process is paused, another one takes over, writes, and this
// one must not be able to write any more.
func (b *harness) otherLeader() {
	b.t.Helper()
	old, oldFence := b.core, b.fence
	b.restart()
	b.converge()
	mine, reports := b.core, maps.Clone(b.reports)
	b.core, b.fence = old, oldFence
	old.NBSynced() // the old one wakes up and compares everything
	old.Step()
	if units := old.Next(); len(units) > 0 {
		b.mustBeFenced(units)
	}
	b.core, b.fence, b.reports = mine, b.newest, reports
}

// tamper changes and deletes our rows; wanted are those that the controller
// means to keep: all of them where it has come to rest.
func (b *harness) tamper(r *rand.Rand, wanted database) {
	b.t.Helper()
	for _, table := range fact.Tables() {
		for _, uuid := range uuidsOf(b.db, table.Name) {
			row := b.db.Peek(table.Name, uuid)
			if row == nil {
				continue // went with its parent
			}
			if _, ours := table.OwnerOf(row); ours && r.IntN(3) == 0 {
				ops := tampering(r, table, uuid, row)
				if ops[0].Op == "update" && wanted.Peek(table.Name, uuid) == nil {
					ops = deletion(table, uuid) // without our marks it would be somebody else's, and stay
				}
				b.transact(ops...)
			}
		}
	}
}

func tampering(r *rand.Rand, table *fact.Table, uuid string, row any) []ovsdb.Operation {
	switch {
	case table.Child():
		var ops []ovsdb.Operation
		for _, in := range table.Parents {
			ops = append(ops, unlinking(in.Table, in.Column, uuid, where(table.ExternalIDs(row)[fact.ParentKey])...))
		}
		return ops
	case table.Name == nb.MeterBandTable || r.IntN(2) == 0 && table.NamePrefix == "": // the meter keeps its band
		return []ovsdb.Operation{{Op: "update", Table: table.Name, Where: where(uuid), Row: ovsdb.Row{"external_ids": ovsdb.OvsMap{GoMap: map[any]any{}}}}}
	default:
		return deletion(table, uuid)
	}
}

// deletion takes a row away, and the strong references to it, which would keep it.
func deletion(table *fact.Table, uuid string) (ops []ovsdb.Operation) {
	for _, other := range fact.Tables() {
		for name, column := range other.Members {
			if column.Strong && column.Refers == table.Name {
				ops = append(ops, unlinking(other.Name, name, uuid))
			}
		}
	}
	return append(ops, ovsdb.Operation{Op: "delete", Table: table.Name, Where: where(uuid)})
}

// unlinking takes a reference out of the rows that conditions select; all rows if there are none.
func unlinking(table, column, uuid string, conditions ...ovsdb.Condition) ovsdb.Operation {
	return ovsdb.Operation{
		Op: "mutate", Table: table, Where: append([]ovsdb.Condition{}, conditions...),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, "delete", ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: uuid}}})},
	}
}

func uuidsOf(db database, table string) []string {
	var uuids []string
	db.Each(table, func(uuid string, _ ovsmodel.Model) bool {
		uuids = append(uuids, uuid)
		return true
	})
	slices.Sort(uuids)
	return uuids
}

func (b *harness) transact(ops ...ovsdb.Operation) {
	b.t.Helper()
	results, err := b.db.Transact(b.t.Context(), ops...)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range results {
		if r.Error != "" {
			b.t.Fatalf("%s: %s", r.Error, r.Details)
		}
	}
}

func where(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}
