// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

func marked(ids map[string]string) bool { return ids[fact.VendorKey] == fact.Vendor }

// podPorts compares the ports of pods with their annotations.
func (c *comparison) podPorts() {
	for _, n := range c.wanted() {
		port, ok := c.ports[n.port]
		if !ok {
			c.differ(checkNB, "%s: NB port %s is missing", n, n.port)
			continue
		}
		if !marked(port.ExternalIDs) {
			c.differ(checkNB, "%s: NB port %s exists, but it is not marked as Woven's", n, n.port)
			continue
		}
		if want := portAddresses(n.mac, n.addrs); !slices.Equal(port.Addresses, []string{want}) {
			c.differ(checkNB, "%s: annotations mac_address and ip_address %s, NB port %s has %s", n, want, n.port, addressesOf(port))
		}
		if have := c.switchOf[port.UUID]; have != n.subnet {
			c.differ(checkNB, "%s: annotation logical_switch %s, NB port %s is in switch %s", n, n.subnet, n.port, orNone(have))
		}
		if have := port.Options["iface-id-ver"]; have != string(n.pod.UID) {
			c.differ(checkNB, "%s: UID %s, NB port %s has iface-id-ver %s", n, n.pod.UID, n.port, orNone(have))
		}
	}
}

// owners finds rows of ours whose owner does not exist.
func (c *comparison) owners() {
	for _, table := range fact.Tables() {
		rows := c.NB[table.Name]
		for _, uuid := range sortedKeys(rows) {
			row := rows[uuid]
			ids := table.ExternalIDs(row)
			if !marked(ids) {
				continue
			}
			owner, err := model.ParseRef(ids[fact.OwnerKey])
			if err != nil {
				c.differ(checkNB, "%s is marked as Woven's, but %s: %v", rowName(table, uuid, row), fact.OwnerKey, err)
				continue
			}
			if missing := c.absent(owner); missing != "" {
				c.differ(checkNB, "%s %s", rowName(table, uuid, row), missing)
			}
		}
	}
}

// absent returns why an owner cannot have a row; empty if it can.
func (c *comparison) absent(owner model.Ref) string {
	if _, known := c.world.Table(owner.Kind); !known {
		return fmt.Sprintf("is owned by %s, a kind that this program does not know", owner)
	}
	if owner.Kind == model.KindPod && !c.networked[owner] {
		return fmt.Sprintf("has no pod: %s/%s is gone, has completed or has no network of its own", owner.Namespace, owner.Name)
	}
	if _, there := c.world.Meta(owner); !there {
		return fmt.Sprintf("is owned by %s, which does not exist", titled(owner))
	}
	return ""
}

// titled is the name of an object in messages.
func titled(owner model.Ref) string { return string(owner.Kind) + " " + world.KeyOf(owner).String() }

// rowName is the name of a row in messages: "NB port x" for ports, else table and name or UUID.
func rowName(table *fact.Table, uuid string, row any) string {
	name := table.RowName(row)
	if name == "" {
		name = uuid
		switch row := row.(type) {
		case *nb.LogicalRouterPolicy:
			name = fmt.Sprintf("%d %q", row.Priority, row.Match)
		case *nb.LogicalRouterStaticRoute:
			name = fmt.Sprintf("%s via %s", row.IPPrefix, row.Nexthop)
		case *nb.ACL:
			name = fmt.Sprintf("%d %s %q", row.Priority, row.Direction, row.Match)
		}
	}
	if table.Name == nb.LogicalSwitchPortTable {
		return "NB port " + name
	}
	return "NB " + strings.ReplaceAll(table.Name, "_", " ") + " " + name
}

// compiled compares the rows of every object except pods with the results of the controller's own compile functions:
// routers, switches, their ports, policies, routes and address sets. Objects that do not compile are paused and not
// compared.
func (c *comparison) compiled() {
	for kind, compileOne := range c.functions {
		if kind == model.KindPod {
			continue // compared with its annotations instead, which the node uses
		}
		for _, ref := range c.world.Refs(kind) {
			var result compile.Result
			if invalid := c.world.Read(ref, func(v *world.View) { result = compileOne(ref, v) }); len(invalid) > 0 || model.Fatal(result.Problems) {
				continue
			}
			for i := range result.Rows {
				c.row(ref, &result.Rows[i])
			}
			for _, member := range result.Members {
				c.member(ref, member)
			}
		}
	}
}

func (c *comparison) row(owner model.Ref, want *fact.Row) {
	table := fact.TableOf(want.Table)
	if table == nil {
		return
	}
	have, ok := c.NB[want.Table][want.UUID]
	if !ok {
		note := "is missing"
		if c.foreign(table, want) {
			note = "is missing: a row that is not Woven's has its name"
		}
		c.differ(checkNB, "%s: %s %s", titled(owner), rowName(table, want.UUID, want.Columns), note)
		return
	}
	for _, name := range table.Owned {
		column := table.Column(name)
		wanted, found := column.Value(want.Columns), column.Value(have)
		if name == "external_ids" {
			c.externalIDs(owner, table, want, have)
			continue
		}
		if !sameValue(wanted, found) {
			c.differ(checkNB, "%s: %s: column %s is %v, not %v", titled(owner), rowName(table, want.UUID, want.Columns), name, shown(found), shown(wanted))
		}
	}
	c.parent(owner, table, want)
}

func (c *comparison) externalIDs(owner model.Ref, table *fact.Table, want *fact.Row, have any) {
	ids := table.ExternalIDs(have)
	wanted := table.ExternalIDs(want.Columns)
	for _, key := range sortedKeys(wanted) {
		if ids[key] != wanted[key] {
			c.differ(checkNB, "%s: %s: external_ids:%s is %s, not %s", titled(owner), rowName(table, want.UUID, want.Columns), key, orNone(ids[key]), wanted[key])
		}
	}
	if table.NamePrefix == "" && !marked(ids) {
		c.differ(checkNB, "%s: %s is not marked as Woven's", titled(owner), rowName(table, want.UUID, want.Columns))
	}
}

// parent reports a difference if the parent of a row does not refer to it.
func (c *comparison) parent(owner model.Ref, table *fact.Table, want *fact.Row) {
	if want.Parent == (fact.Ref{}) {
		return
	}
	parents := fact.TableOf(want.Parent.Table)
	row, ok := c.NB[want.Parent.Table][want.Parent.UUID]
	if parents == nil || !ok {
		return // the parent's own row is reported
	}
	column := table.ParentColumn(want.Parent.Table)
	children, _ := parents.Column(column).Value(row).Interface().([]string)
	if !slices.Contains(children, want.UUID) {
		c.differ(checkNB, "%s: %s is not in column %s of %s", titled(owner),
			rowName(table, want.UUID, want.Columns), column, rowName(parents, want.Parent.UUID, row))
	}
}

// foreign reports whether a row that is not ours has the wanted row's name.
func (c *comparison) foreign(table *fact.Table, want *fact.Row) bool {
	name := table.RowName(want.Columns)
	for _, row := range c.NB[table.Name] {
		if name != "" && table.RowName(row) == name {
			return true
		}
	}
	return false
}

// member reports a difference if a shared set lacks an element.
func (c *comparison) member(owner model.Ref, want fact.Member) {
	table := fact.TableOf(want.Table)
	row, ok := c.NB[want.Table][want.UUID]
	if table == nil || !ok || want.Key != "" {
		return // a row that is missing is reported with its own owner
	}
	elements, _ := table.Column(want.Column).Value(row).Interface().([]string)
	if !slices.Contains(elements, want.Value) {
		c.differ(checkNB, "%s: %s: column %s lacks %s", titled(owner), rowName(table, want.UUID, row), want.Column, want.Value)
	}
}

// sameValue compares two values of one column; sets have no order (RFC 7047 §3.1).
func sameValue(a, b reflect.Value) bool {
	x, isSet := a.Interface().([]string)
	if y, ok := b.Interface().([]string); isSet && ok {
		return slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y)))
	}
	if a.Kind() == reflect.Map && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func shown(v reflect.Value) any {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return v.Interface()
}
