// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	ovsmodel "github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"pgregory.net/rapid"

	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
	"github.com/wovensdn/woven/test/modeldb"
)

// The names are few, so that owners meet, children lose their parents and
// references dangle.
var small = rapid.SampledFrom([]string{"a", "b", "c"})

// facts draws what one owner declares: switches, ports on switches that may not
// be there, port groups with members that may not be there, address sets.
func facts(t *rapid.T) fact.Set {
	var s fact.Set
	if rapid.Bool().Draw(t, "switch") {
		name := small.Draw(t, "name")
		s.Row(nb.LogicalSwitchTable, name, &nb.LogicalSwitch{Name: name, OtherConfig: someMap(t)})
	}
	for _, name := range distinct(t, "ports") {
		s.Child(fact.RefTo(nb.LogicalSwitchTable, small.Draw(t, "of")), nb.LogicalSwitchPortTable, "port-"+name, &nb.LogicalSwitchPort{
			Name: "port-" + name, Addresses: distinct(t, "addresses"), Options: someMap(t),
			ExternalIDs:   map[string]string{"pod": small.Draw(t, "pod")},
			Dhcpv4Options: someOptions(t),
		})
	}
	for _, name := range distinct(t, "options") {
		s.Row(nb.DHCPOptionsTable, name, &nb.DHCPOptions{Cidr: "10.0.0.0/8", Options: someMap(t)})
	}
	if rapid.Bool().Draw(t, "group") {
		s.Row(nb.PortGroupTable, "pg", &nb.PortGroup{Name: "pg"})
	}
	for _, name := range distinct(t, "grouped") {
		s.Member(fact.RefTo(nb.PortGroupTable, "pg"), "ports", fact.UUIDOf(nb.LogicalSwitchPortTable, "port-"+name))
	}
	for _, name := range distinct(t, "rules") {
		s.Child(parentOfRule(t), nb.ACLTable, "rule-"+name, &nb.ACL{
			Action: nb.ACLActionAllow, Direction: nb.ACLDirectionToLport, Match: small.Draw(t, "match"), Options: someMap(t),
		})
	}
	if rapid.Bool().Draw(t, "set") {
		s.Row(nb.AddressSetTable, "as", &nb.AddressSet{Name: "as"})
	}
	for _, name := range distinct(t, "elements") {
		s.Member(fact.RefTo(nb.AddressSetTable, "as"), "addresses", name)
	}
	return s
}

// parentOfRule is a switch or a port group that may not be there.
func parentOfRule(t *rapid.T) fact.Ref {
	if rapid.Bool().Draw(t, "rule of a group") {
		return fact.RefTo(nb.PortGroupTable, "pg")
	}
	return fact.RefTo(nb.LogicalSwitchTable, small.Draw(t, "of"))
}

// someOptions refers to options that may not be there.
func someOptions(t *rapid.T) *string {
	if rapid.Bool().Draw(t, "without options") {
		return nil
	}
	uuid := fact.UUIDOf(nb.DHCPOptionsTable, small.Draw(t, "options of"))
	return &uuid
}

func distinct(t *rapid.T, label string) []string {
	return rapid.SliceOfNDistinct(small, 0, 3, rapid.ID[string]).Draw(t, label)
}

func someMap(t *rapid.T) map[string]string {
	return rapid.MapOfN(small, small, 0, 2).Draw(t, "map")
}

// foreign writes rows and elements that are not ours, some of them into ours.
func foreign(t *rapid.T, db *modeldb.DB) {
	uuid := fact.UUIDOf("foreign", "switch")
	ops := []ovsdb.Operation{
		{Op: "insert", Table: nb.LogicalSwitchTable, UUID: uuid, Row: ovsdb.Row{"name": "by-hand"}},
		{Op: "insert", Table: nb.LogicalSwitchPortTable, UUID: fact.UUIDOf("foreign", "port"), Row: ovsdb.Row{"name": "port-by-hand"}},
		mutate(nb.LogicalSwitchTable, uuid, "ports", ovsdb.UUID{GoUUID: fact.UUIDOf("foreign", "port")}),
	}
	if rapid.Bool().Draw(t, "name taken") {
		ops = append(ops, ovsdb.Operation{Op: "insert", Table: nb.LogicalSwitchTable, UUID: fact.UUIDOf("foreign", "taken"), Row: ovsdb.Row{"name": "c"}})
	}
	if err := db.Commit(ops...); err != nil {
		t.Fatal(err)
	}
}

// tamper changes our rows as another client would.
func tamper(t *rapid.T, db *modeldb.DB) {
	for ref, row := range db.Snapshot() {
		table := fact.TableOf(ref.Table)
		if _, ours := table.OwnerOf(row); !ours || !rapid.Bool().Draw(t, "tamper") {
			continue
		}
		var op ovsdb.Operation
		switch {
		case rapid.Bool().Draw(t, "note"):
			op = mutate(ref.Table, ref.UUID, "external_ids", ovsdb.OvsMap{GoMap: map[any]any{"note": "of an administrator"}})
		case ref.Table == nb.PortGroupTable:
			op = mutate(ref.Table, ref.UUID, "ports", ovsdb.UUID{GoUUID: fact.UUIDOf("foreign", "port")})
		case !table.Child():
			op = ovsdb.Operation{Op: "delete", Table: ref.Table, Where: where(ref.UUID)}
		default:
			op = ovsdb.Operation{Op: "update", Table: ref.Table, Where: where(ref.UUID), Row: ovsdb.Row{"name": "tampered-" + ref.UUID}}
		}
		if err := db.Commit(op); err != nil {
			t.Fatal(err)
		}
	}
}

func where(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

func mutate(table, uuid, column string, value any) ovsdb.Operation {
	if id, ok := value.(ovsdb.UUID); ok {
		value = ovsdb.OvsSet{GoSet: []any{id}}
	}
	return ovsdb.Operation{Op: "mutate", Table: table, Where: where(uuid), Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(column, "insert", value)}}
}

// TestAnyDesiredFromAnyActual: whatever the database holds, one comparison of
// everything makes it hold what is desired, leaves what others wrote, and finds
// nothing to do afterwards.
func TestAnyDesiredFromAnyActual(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db := modeldb.New(t)
		foreign(rt, db)
		fence, err := commit.TakeOver(t.Context(), db, commit.Claim{})
		if err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			state := desired.New()
			for i := range rapid.IntRange(0, 3).Draw(rt, "owners") {
				owner := fact.Owner{Kind: model.KindPod, Namespace: "ns", Name: fmt.Sprint(i)}
				state.Set(owner, int64(rapid.IntRange(0, 2).Draw(rt, "age")), facts(rt), desired.NewDirty())
			}
			before := foreignRows(db)
			converge(rt, t, db, fence, state)
			check(rt, db, state)
			if after := foreignRows(db); !reflect.DeepEqual(before, after) {
				rt.Fatalf("foreign rows changed from %v to %v", before, after)
			}
			tamper(rt, db)
		}
	})
}

func converge(rt *rapid.T, t *testing.T, db *modeldb.DB, fence commit.Fence, state *desired.State) {
	for round := range 4 {
		result, view := full(db, state)
		if len(result.Units) == 0 {
			return
		}
		if round == 3 {
			rt.Fatalf("still not empty: %+v", result.Units)
		}
		out := commit.Commit(t.Context(), db, fence, result.Units)
		if out.Err != nil || len(out.Failed) > 0 {
			rt.Fatalf("commit: %v %+v", out.Err, out.Failed)
		}
		view.Reset()
	}
}

func full(db *modeldb.DB, state *desired.State) (plan.Result, *commit.View) {
	view := commit.NewView(db)
	view.Reset()
	d := desired.NewDirty()
	state.All(d)
	plan.Sweep(state, view, sparing(""), d)
	return plan.Plan(state, view, d), view
}

// check compares the database with the desired state, rule by rule and without
// the help of package plan.
func check(rt *rapid.T, db *modeldb.DB, state *desired.State) {
	rows := db.Snapshot()
	_, taken := rows[fact.Ref{Table: nb.LogicalSwitchTable, UUID: fact.UUIDOf("foreign", "taken")}]
	all := desired.NewDirty()
	state.All(all)
	possible := func(ref fact.Ref) bool { return reachable(state, ref, taken) }
	for _, ref := range all.Rows {
		want, _ := state.Row(ref)
		got, there := rows[ref]
		if there != possible(ref) {
			rt.Fatalf("row %s: there %v, wanted and possible %v", want.Row.ID, there, possible(ref))
		}
		if port, ok := want.Row.Columns.(*nb.LogicalSwitchPort); ok && port.Dhcpv4Options != nil &&
			!possible(fact.Ref{Table: nb.DHCPOptionsTable, UUID: *port.Dhcpv4Options}) {
			rest := *port
			rest.Dhcpv4Options, want.Row.Columns = nil, &rest
		}
		if there {
			sameColumns(rt, ref.Table, want.Row.Columns, got)
		}
	}
	for ref, row := range rows {
		if _, ours := fact.TableOf(ref.Table).OwnerOf(row); ours {
			if _, wanted := state.Row(ref); !wanted {
				rt.Fatalf("row %s %s is left over", ref.Table, ref.UUID)
			}
		}
	}
	for _, k := range all.Members {
		column := fact.TableOf(k.Table).Members[k.Column]
		want := possible(k.Ref) && (column.Refers == "" || possible(fact.Ref{Table: column.Refers, UUID: k.Value}))
		if got := holds(rows[k.Ref], k); got != want {
			rt.Fatalf("member %+v: there %v, wanted and possible %v", k, got, want)
		}
	}
	extraMembers(rt, rows, state)
}

// reachable: a row can exist if it is wanted, its name is free and its parent can exist.
func reachable(state *desired.State, ref fact.Ref, taken bool) bool {
	want, ok := state.Row(ref)
	if !ok || (taken && ref == fact.RefTo(nb.LogicalSwitchTable, "c")) {
		return false
	}
	return want.Row.Parent == (fact.Ref{}) || reachable(state, want.Row.Parent, taken)
}

func sameColumns(rt *rapid.T, table string, want any, got ovsmodel.Model) {
	for _, name := range fact.TableOf(table).Owned {
		column := fact.TableOf(table).Column(name)
		w, g := fmt.Sprint(sorted(column.Value(want).Interface())), fmt.Sprint(sorted(column.Value(got).Interface()))
		if name == "external_ids" {
			for k, v := range fact.TableOf(table).ExternalIDs(want) {
				if fact.TableOf(table).ExternalIDs(got)[k] != v {
					rt.Fatalf("%s external_ids:%s is not %q", table, k, v)
				}
			}
		} else if w != g {
			rt.Fatalf("%s.%s is %s, wanted %s", table, name, g, w)
		}
	}
}

func sorted(v any) any {
	switch v := v.(type) {
	case []string:
		return slices.Sorted(slices.Values(v))
	case *string:
		if v != nil {
			return *v
		}
	}
	return v
}

func holds(row ovsmodel.Model, k desired.MemberKey) bool {
	switch r := row.(type) {
	case *nb.PortGroup:
		return slices.Contains(r.Ports, k.Value)
	case *nb.AddressSet:
		return slices.Contains(r.Addresses, k.Value)
	default:
		return false
	}
}

// extraMembers: what is in a shared column and not wanted is someone else's port.
func extraMembers(rt *rapid.T, rows map[fact.Ref]ovsmodel.Model, state *desired.State) {
	for ref, row := range rows {
		var elements []string
		column := ""
		switch r := row.(type) {
		case *nb.PortGroup:
			elements, column = r.Ports, "ports"
		case *nb.AddressSet:
			elements, column = r.Addresses, "addresses"
		}
		for _, e := range elements {
			k := desired.MemberKey{Ref: ref, Column: column, Value: e}
			if _, wanted := state.Member(k); !wanted && e != fact.UUIDOf("foreign", "port") {
				rt.Fatalf("%s holds %s, which nobody wants", ref.Table, e)
			}
		}
	}
}

// foreignRows are the rows without our marker, without what the database itself
// may change in them.
func foreignRows(db *modeldb.DB) map[fact.Ref]string {
	out := map[fact.Ref]string{}
	for ref, row := range db.Snapshot() {
		if _, ours := fact.TableOf(ref.Table).OwnerOf(row); !ours {
			out[ref] = fmt.Sprintf("%+v", row)
		}
	}
	return maps.Clone(out)
}
