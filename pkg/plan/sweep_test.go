// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/plan"
)

// TestSweep is the specification of Sweep: what of the database becomes dirty although nothing has changed.
func TestSweep(t *testing.T) {
	webPort := fact.UUIDOf(nb.LogicalSwitchPortTable, "web")
	for _, tt := range []struct {
		name        string
		desired     []declared
		actual      database
		paused      string // an owner whose rows stay
		keepMembers bool
		want        []string
		left        []string // by owner, rows that something stays in
	}{
		{
			name:    "a row of ours that is wanted is not dirty",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			actual:  rows(ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
		},
		{
			name:   "a row of ours that nobody wants is dirty",
			actual: rows(ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want:   []string{"Logical_Switch/blue"},
		},
		{
			name:   "a foreign row stays",
			actual: rows(foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
		},
		{
			name: "a row of a paused owner stays, and its elements",
			actual: rows(
				ours("blue", nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1"}})),
			paused: "blue",
			left:   []string{"blue: Address_Set/set"},
		},
		{
			name:    "a plain element in a row of ours that nobody wants is dirty",
			desired: by("blue", row(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set"})),
			actual:  rows(ours("blue", nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1"}})),
			want:    []string{"Address_Set/set.addresses=10.0.0.1"},
		},
		{
			name:        "a plain element stays while an owner that may want it has never been compiled",
			desired:     by("blue", row(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set"})),
			actual:      rows(ours("blue", nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1"}})),
			keepMembers: true,
			left:        []string{": Address_Set/set"},
		},
		{
			name:   "a plain element in a foreign row stays",
			actual: rows(foreignRow(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1"}})),
		},
		{
			name: "a reference to a row of ours is ours, in a foreign row, too",
			actual: rows(
				foreignRow(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group", Ports: []string{webPort, "of somebody else"}}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			want: []string{"Port_Group/group.ports=web", "Logical_Switch_Port/web"},
		},
		{
			name: "a reference to a row of a paused owner stays",
			actual: rows(
				foreignRow(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group", Ports: []string{webPort}}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			paused: "web",
			left:   []string{"web: Port_Group/group", "web: Logical_Switch_Port/web"},
		},
		{
			name: "a key with our prefix is ours, in a foreign row, too; other keys stay",
			actual: rows(foreignRow(nb.ChassisTemplateVarTable, "node", &nb.ChassisTemplateVar{
				Variables: map[string]string{"woven_ip4": "10.0.0.1", "other": "x"},
			})),
			want: []string{"Chassis_Template_Var/node.variables:woven_ip4=10.0.0.1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := desired.NewDirty()
			spared := sparing(tt.paused)
			spared.Values = tt.keepMembers
			var left []string
			spared.Left = func(owner fact.Owner, row fact.Ref) { left = append(left, owner.Name+": "+refText(row)) }
			plan.Sweep(stateOf(tt.desired), tt.actual, spared, d)
			sameSet(t, left, tt.left)
			sameSet(t, dirtyText(d), tt.want)
		})
	}
}

// TestDrift is the specification of Drift: what a change of one row makes dirty.
func TestDrift(t *testing.T) {
	set := fact.RefTo(nb.AddressSetTable, "set")
	wanted := by("blue",
		row(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set"}), member(nb.AddressSetTable, "set", "addresses", "10.0.0.1"))
	for _, tt := range []struct {
		name    string
		desired []declared
		actual  database
		ref     fact.Ref
		want    []string
	}{
		{
			name: "of a row that has gone, the row and its elements", desired: wanted, ref: set,
			want: []string{"Address_Set/set", "Address_Set/set.addresses=10.0.0.1"},
		},
		{
			name: "of a row that has a further element, that element, too", desired: wanted, ref: set,
			actual: rows(ours("blue", nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.9"}})),
			want:   []string{"Address_Set/set", "Address_Set/set.addresses=10.0.0.1", "Address_Set/set.addresses=10.0.0.9"},
		},
		{
			name: "of a row that nobody wants, nothing: it is swept", ref: set,
			actual: rows(foreignRow(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set"})),
		},
		{
			name: "of a table that we do not use, nothing", desired: wanted, ref: fact.Ref{Table: "NAT", UUID: "1"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := desired.NewDirty()
			plan.Drift(stateOf(tt.desired), tt.actual, tt.ref, sparing(""), d)
			sameSet(t, dirtyText(d), tt.want)
		})
	}
}

// TestAudit is the specification of Audit: which ports hang on other switches than their markers say.
func TestAudit(t *testing.T) {
	blue, red := fact.UUIDOf(nb.LogicalSwitchTable, "blue"), fact.UUIDOf(nb.LogicalSwitchTable, "red")
	port := ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue")
	wanted := by("web", child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}))
	for _, tt := range []struct {
		name    string
		desired []declared
		actual  database
		parents []string
		want    []string
	}{
		{name: "a port on its switch is left alone", desired: wanted, actual: rows(port), parents: []string{blue}},
		{
			name: "a port on another switch is moved", desired: wanted, actual: rows(port), parents: []string{red},
			want: units("update Logical_Switch_Port/web +Logical_Switch/blue.ports=web -Logical_Switch/red.ports=web"),
		},
		{
			name: "a port on two switches leaves the other one", desired: wanted, actual: rows(port), parents: []string{blue, red},
			want: units("update Logical_Switch_Port/web -Logical_Switch/red.ports=web"),
		},
		{name: "a port that nobody wants is left to the sweep", actual: rows(port), parents: []string{red}},
		{name: "a port that is not in the cache is left to the comparison", desired: wanted, parents: []string{red}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parents := map[string][]string{port.UUID: tt.parents}
			found := plan.Audit(stateOf(tt.desired), tt.actual, fact.TableOf(nb.LogicalSwitchPortTable), nb.LogicalSwitchTable, parents)
			sameLines(t, lines(plan.Result{Units: found}), tt.want)
		})
	}
}

// sparing spares the rows of one owner.
func sparing(paused string) plan.Spared {
	return plan.Spared{
		Paused: func(owner fact.Owner) bool { return paused != "" && owner == ownerOf(paused) },
		Left:   func(fact.Owner, fact.Ref) {},
	}
}

func dirtyText(d *desired.Dirty) []string {
	var out []string
	for _, ref := range d.Rows {
		out = append(out, refText(ref))
	}
	for _, k := range d.Members {
		out = append(out, memberText(k))
	}
	return out
}

// sameSet compares lines in any order.
func sameSet(t *testing.T, got, want []string) {
	t.Helper()
	sameLines(t, slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)))
}
