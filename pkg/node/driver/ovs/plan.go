// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/vs"
)

// view is what one decision is made from: the rows of the cache, which must not be modified.
type view struct {
	root    *vs.OpenvSwitch // nil if there is none
	bridges []*vs.Bridge
	ports   map[string]*vs.Port      // by uuid
	ifaces  map[string]*vs.Interface // by uuid
	mirrors map[string]*vs.Mirror    // by uuid
}

func (v view) bridge(name string) (*vs.Bridge, error) {
	for _, b := range v.bridges {
		if b.Name == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("bridge %q: %w", name, ErrNoBridge)
}

// holder returns the bridge that a port is on, nil if none.
func (v view) holder(portUUID string) *vs.Bridge {
	for _, b := range v.bridges {
		if slices.Contains(b.Ports, portUUID) {
			return b
		}
	}
	return nil
}

// port returns the port of a name; Port.name is unique in the schema.
func (v view) port(name string) *vs.Port {
	for _, p := range v.ports {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// iface returns the interface of the port's own name.
func (v view) iface(p *vs.Port) *vs.Interface {
	for _, uuid := range p.Interfaces {
		if i := v.ifaces[uuid]; i != nil && i.Name == p.Name {
			return i
		}
	}
	return nil
}

func owned(externalIDs map[string]string) bool { return externalIDs[KeyVendor] == Vendor }

// list returns the ports that are ours, by name.
func (v view) list() []Port {
	var out []Port
	for _, b := range v.bridges {
		for _, uuid := range b.Ports {
			p := v.ports[uuid]
			if p == nil || !owned(p.ExternalIDs) {
				continue
			}
			port := Port{Bridge: b.Name, Name: p.Name}
			if i := v.iface(p); i != nil {
				port.Type, port.MAC, port.MTU, port.OFPort = i.Type, value(i.MAC), value(i.MTURequest), value(i.Ofport)
				port.Options, port.ExternalIDs = maps.Clone(i.Options), maps.Clone(i.ExternalIDs)
			}
			out = append(out, port)
		}
	}
	slices.SortFunc(out, func(a, b Port) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// planPort returns the operations that make the port so; none if it is so.
func planPort(v view, p Port) ([]ovsdb.Operation, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	bridge, err := v.bridge(p.Bridge)
	if err != nil {
		return nil, fmt.Errorf("port %q: %w", p.Name, err)
	}
	port := v.port(p.Name)
	if port == nil {
		return insertPort(bridge, p), nil
	}
	if !owned(port.ExternalIDs) {
		return nil, fmt.Errorf("port %q: %w", p.Name, ErrNotOwned)
	}
	var ops []ovsdb.Operation
	if holder := v.holder(port.UUID); holder == nil || holder.UUID != bridge.UUID {
		if holder != nil {
			ops = append(ops, mutate(vs.BridgeTable, holder.UUID, member("ports", ovsdb.MutateOperationDelete, port.UUID)))
		}
		ops = append(ops, mutate(vs.BridgeTable, bridge.UUID, member("ports", ovsdb.MutateOperationInsert, port.UUID)))
	}
	iface := v.iface(port)
	if iface == nil {
		return nil, fmt.Errorf("port %q: has no interface of its name", p.Name)
	}
	return append(ops, updateInterface(iface, p)...), nil
}

// newPort is the name by which operations of one transaction refer to a Port row that the transaction inserts.
const newPort = "new_port"

// insertPort makes the rows and the bridge's reference together: no row outlives a transaction without a reference.
func insertPort(bridge *vs.Bridge, p Port) []ovsdb.Operation {
	return append(portRows(p), mutate(vs.BridgeTable, bridge.UUID, member("ports", ovsdb.MutateOperationInsert, newPort)))
}

// portRows inserts an Interface and the Port named [newPort] that refers to it.
func portRows(p Port) []ovsdb.Operation {
	const newInterface = "new_interface"
	ids := map[string]string{KeyVendor: Vendor}
	maps.Copy(ids, p.ExternalIDs)
	maps.DeleteFunc(ids, func(_, value string) bool { return value == "" })
	row := ovsdb.Row{"name": p.Name, "type": p.Type, "external_ids": ovsMap(ids)}
	if p.MAC != "" {
		row["mac"] = p.MAC
	}
	if p.MTU != 0 {
		row["mtu_request"] = p.MTU
	}
	if len(p.Options) > 0 {
		row["options"] = ovsMap(p.Options)
	}
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: vs.InterfaceTable, UUIDName: newInterface, Row: row},
		{Op: ovsdb.OperationInsert, Table: vs.PortTable, UUIDName: newPort, Row: ovsdb.Row{
			"name":         p.Name,
			"interfaces":   uuids(newInterface),
			"external_ids": ovsMap(map[string]string{KeyVendor: Vendor}),
		}},
	}
}

func updateInterface(have *vs.Interface, p Port) []ovsdb.Operation {
	row := ovsdb.Row{}
	if have.Type != p.Type {
		row["type"] = p.Type
	}
	if p.MAC != "" && value(have.MAC) != p.MAC {
		row["mac"] = p.MAC
	}
	if p.MTU != 0 && value(have.MTURequest) != p.MTU {
		row["mtu_request"] = p.MTU
	}
	var ops []ovsdb.Operation
	if len(row) > 0 {
		ops = append(ops, update(vs.InterfaceTable, have.UUID, row))
	}
	want := maps.Clone(p.ExternalIDs)
	if want == nil {
		want = map[string]string{}
	}
	want[KeyVendor] = Vendor
	if !sameIdentity(have.ExternalIDs, p.ExternalIDs) {
		// What ovn-controller installed was for another logical port, or for another incarnation of it.
		want[KeyOVNInstalled], want[KeyOVNInstalledTS] = "", ""
	}
	mutations := slices.Concat(mapMutations("external_ids", have.ExternalIDs, want), mapMutations("options", have.Options, p.Options))
	if len(mutations) > 0 {
		ops = append(ops, mutate(vs.InterfaceTable, have.UUID, mutations...))
	}
	return ops
}

// mapMutations sets the wanted keys and removes those wanted empty; all other keys stay. An insert does not replace
// the value of a key that is there (RFC 7047 §5.1), so such a key is deleted first.
func mapMutations(column string, have, want map[string]string) []ovsdb.Mutation {
	var remove []any
	add := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		old, there := have[key]
		if there == (want[key] != "") && old == want[key] {
			continue
		}
		if there {
			remove = append(remove, key)
		}
		if want[key] != "" {
			add[key] = want[key]
		}
	}
	var out []ovsdb.Mutation
	if len(remove) > 0 {
		out = append(out, *ovsdb.NewMutation(column, ovsdb.MutateOperationDelete, ovsdb.OvsSet{GoSet: remove}))
	}
	if len(add) > 0 {
		out = append(out, *ovsdb.NewMutation(column, ovsdb.MutateOperationInsert, ovsMap(add)))
	}
	return out
}

// planDeletePort removes the bridge's reference: Port and Interface go with it. An empty bridge means whichever has it.
func planDeletePort(v view, bridge, name string) ([]ovsdb.Operation, error) {
	port := v.port(name)
	if port == nil {
		return nil, nil
	}
	holder := v.holder(port.UUID)
	if holder == nil || (bridge != "" && holder.Name != bridge) {
		return nil, nil
	}
	if !owned(port.ExternalIDs) {
		return nil, fmt.Errorf("port %q: %w", name, ErrNotOwned)
	}
	return []ovsdb.Operation{mutate(vs.BridgeTable, holder.UUID, member("ports", ovsdb.MutateOperationDelete, port.UUID))}, nil
}

// mirror returns the mirror of a name on a bridge, nil if there is none.
func (v view) mirror(bridge *vs.Bridge, name string) *vs.Mirror {
	for _, uuid := range bridge.Mirrors {
		if m := v.mirrors[uuid]; m != nil && m.Name == name {
			return m
		}
	}
	return nil
}

func planMirror(v view, m Mirror) ([]ovsdb.Operation, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	bridge, err := v.bridge(m.Bridge)
	if err != nil {
		return nil, fmt.Errorf("mirror %q: %w", m.Name, err)
	}
	output := v.port(m.OutputPort)
	if output == nil || !slices.Contains(bridge.Ports, output.UUID) {
		return nil, fmt.Errorf("mirror %q: output port %q is not on bridge %q", m.Name, m.OutputPort, m.Bridge)
	}
	selected := v.selected(bridge, m)
	have := v.mirror(bridge, m.Name)
	if have == nil {
		return insertMirror(bridge, m, output.UUID, selected), nil
	}
	if !owned(have.ExternalIDs) {
		return nil, fmt.Errorf("mirror %q: %w", m.Name, ErrNotOwned)
	}
	row := ovsdb.Row{}
	if have.SelectAll != m.SelectAll {
		row["select_all"] = m.SelectAll
	}
	if value(have.OutputPort) != output.UUID {
		row["output_port"] = ovsdb.UUID{GoUUID: output.UUID}
	}
	var ops []ovsdb.Operation
	if len(row) > 0 {
		ops = append(ops, update(vs.MirrorTable, have.UUID, row))
	}
	mutations := slices.Concat(setMutations("select_src_port", have.SelectSrcPort, selected),
		setMutations("select_dst_port", have.SelectDstPort, selected))
	if len(mutations) > 0 {
		ops = append(ops, mutate(vs.MirrorTable, have.UUID, mutations...))
	}
	return ops, nil
}

// selected are the mirrored ports that are on the bridge, each once.
func (v view) selected(bridge *vs.Bridge, m Mirror) []string {
	if m.SelectAll {
		return nil
	}
	var out []string
	for _, name := range m.SelectPorts {
		if p := v.port(name); p != nil && slices.Contains(bridge.Ports, p.UUID) && !slices.Contains(out, p.UUID) {
			out = append(out, p.UUID)
		}
	}
	return out
}

func insertMirror(bridge *vs.Bridge, m Mirror, output string, selected []string) []ovsdb.Operation {
	const name = "new_mirror"
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: vs.MirrorTable, UUIDName: name, Row: ovsdb.Row{
			"name": m.Name, "select_all": m.SelectAll, "output_port": ovsdb.UUID{GoUUID: output},
			"select_src_port": uuids(selected...), "select_dst_port": uuids(selected...),
			"external_ids": ovsMap(map[string]string{KeyVendor: Vendor}),
		}},
		mutate(vs.BridgeTable, bridge.UUID, member("mirrors", ovsdb.MutateOperationInsert, name)),
	}
}

// planDeleteMirror removes the bridge's reference, and the row with it.
func planDeleteMirror(v view, bridgeName, name string) ([]ovsdb.Operation, error) {
	bridge, err := v.bridge(bridgeName)
	if err != nil {
		return nil, nil //nolint:nilerr // no bridge, no mirror
	}
	m := v.mirror(bridge, name)
	if m == nil {
		return nil, nil
	}
	if !owned(m.ExternalIDs) {
		return nil, fmt.Errorf("mirror %q: %w", name, ErrNotOwned)
	}
	return []ovsdb.Operation{mutate(vs.BridgeTable, bridge.UUID, member("mirrors", ovsdb.MutateOperationDelete, m.UUID))}, nil
}

// setMutations turns a set of references into another by its differences.
func setMutations(column string, have, want []string) []ovsdb.Mutation {
	less := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	var out []ovsdb.Mutation
	if gone := less(have, want); len(gone) > 0 {
		out = append(out, member(column, ovsdb.MutateOperationDelete, gone...))
	}
	if added := less(want, have); len(added) > 0 {
		out = append(out, member(column, ovsdb.MutateOperationInsert, added...))
	}
	return out
}

func member(column string, mutator ovsdb.Mutator, refs ...string) ovsdb.Mutation {
	return *ovsdb.NewMutation(column, mutator, uuids(refs...))
}

func mutate(table, uuid string, mutations ...ovsdb.Mutation) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: byUUID(uuid), Mutations: mutations}
}

func update(table, uuid string, row ovsdb.Row) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Where: byUUID(uuid), Row: row}
}

func byUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

func uuids(refs ...string) ovsdb.OvsSet {
	set := ovsdb.OvsSet{GoSet: []any{}}
	for _, ref := range refs {
		set.GoSet = append(set.GoSet, ovsdb.UUID{GoUUID: ref})
	}
	return set
}

func ovsMap(m map[string]string) ovsdb.OvsMap {
	out := ovsdb.OvsMap{GoMap: map[any]any{}}
	for k, v := range m {
		out.GoMap[k] = v
	}
	return out
}
