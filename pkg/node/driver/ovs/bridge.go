// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/vs"
)

// ownBridges returns the bridges that are ours, by name.
func (v view) ownBridges() (out []Bridge) {
	mappings := ""
	if v.root != nil {
		mappings = v.root.ExternalIDs[keyMappings]
	}
	for _, b := range v.bridges {
		if owned(b.ExternalIDs) {
			out = append(out, Bridge{
				Name: b.Name, DatapathType: b.DatapathType, MAC: b.OtherConfig[keyHWAddr], Uplink: b.ExternalIDs[keyUplink],
				Network: networkOf(mappings, b.Name),
			})
		}
	}
	slices.SortFunc(out, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// planBridge returns the operations that make the bridge, its internal port and its mapping so; none if they are.
func planBridge(v view, b Bridge) ([]ovsdb.Operation, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	if v.root == nil {
		return nil, fmt.Errorf("bridge %q: the database has no Open_vSwitch row", b.Name)
	}
	port := v.port(b.Name)
	have, _ := v.bridge(b.Name) // nil if there is none
	switch {
	case have != nil && !owned(have.ExternalIDs):
		return nil, fmt.Errorf("bridge %q: %w", b.Name, ErrNotOwned)
	case have == nil && port != nil:
		return nil, fmt.Errorf("bridge %q: a port has that name", b.Name)
	}
	mappings, err := setMapping(v.root.ExternalIDs[keyMappings], b.Network, b.Name)
	if err != nil {
		return nil, fmt.Errorf("bridge %q: %w", b.Name, err)
	}
	ops := v.updateMappings(mappings)
	if have == nil {
		return append(ops, v.insertBridge(b)...), nil
	}
	return append(ops, updateBridge(have, port, b)...), nil
}

func updateBridge(have *vs.Bridge, port *vs.Port, b Bridge) (ops []ovsdb.Operation) {
	if port == nil { // somebody deleted it
		ops = append(ops, insertPort(have, b.port())...)
	}
	if have.DatapathType != b.DatapathType {
		ops = append(ops, update(vs.BridgeTable, have.UUID, ovsdb.Row{"datapath_type": b.DatapathType}))
	}
	mutations := mapMutations("external_ids", have.ExternalIDs, map[string]string{keyUplink: b.Uplink})
	if b.MAC != "" {
		mutations = append(mutations, mapMutations("other_config", have.OtherConfig, map[string]string{keyHWAddr: b.MAC})...)
	}
	if len(mutations) > 0 {
		ops = append(ops, mutate(vs.BridgeTable, have.UUID, mutations...))
	}
	return ops
}

// port is the internal port of the bridge's own name. Its MAC is that of the bridge (other_config:hwaddr).
func (b Bridge) port() Port { return Port{Bridge: b.Name, Name: b.Name, Type: "internal"} }

// insertBridge makes the bridge with its port, and the reference of the root row: no row outlives a transaction
// without a reference. The fail_mode stays empty: such a bridge forwards as a learning switch.
func (v view) insertBridge(b Bridge) []ovsdb.Operation {
	const name = "new_bridge"
	ids := map[string]string{KeyVendor: Vendor}
	if b.Uplink != "" {
		ids[keyUplink] = b.Uplink
	}
	row := ovsdb.Row{"name": b.Name, "datapath_type": b.DatapathType, "ports": uuids(newPort), "external_ids": ovsMap(ids)}
	if b.MAC != "" {
		row["other_config"] = ovsMap(map[string]string{keyHWAddr: b.MAC})
	}
	return append(portRows(b.port()),
		ovsdb.Operation{Op: ovsdb.OperationInsert, Table: vs.BridgeTable, UUIDName: name, Row: row},
		mutate(vs.OpenvSwitchTable, v.root.UUID, member("bridges", ovsdb.MutateOperationInsert, name)))
}

// planDeleteBridge removes the root row's reference, and with it the bridge, its ports and its mappings.
func planDeleteBridge(v view, name string) ([]ovsdb.Operation, error) {
	have, err := v.bridge(name)
	if err != nil || v.root == nil {
		return nil, nil //nolint:nilerr // there is no bridge to delete
	}
	if !owned(have.ExternalIDs) {
		return nil, fmt.Errorf("bridge %q: %w", name, ErrNotOwned)
	}
	mappings, err := setMapping(v.root.ExternalIDs[keyMappings], "", name)
	if err != nil {
		return nil, fmt.Errorf("bridge %q: %w", name, err)
	}
	return append(v.updateMappings(mappings),
		mutate(vs.OpenvSwitchTable, v.root.UUID, member("bridges", ovsdb.MutateOperationDelete, have.UUID))), nil
}

// updateMappings writes external_ids:ovn-bridge-mappings. The old value is deleted as a pair: if another writer has
// changed it meanwhile, nothing happens (RFC 7047, section 5.1), and the event of that change starts the next attempt.
func (v view) updateMappings(mappings string) []ovsdb.Operation {
	old, found := v.root.ExternalIDs[keyMappings]
	if old == mappings {
		return nil
	}
	var mutations []ovsdb.Mutation
	if found {
		mutations = append(mutations, *ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, ovsMap(map[string]string{keyMappings: old})))
	}
	if mappings != "" {
		mutations = append(mutations, *ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, ovsMap(map[string]string{keyMappings: mappings})))
	}
	return []ovsdb.Operation{mutate(vs.OpenvSwitchTable, v.root.UUID, mutations...)}
}

// setMapping maps a network to a bridge of ours; an empty network removes the mappings of the bridge. Elements of other
// bridges keep their text and their order.
func setMapping(mappings, network, bridge string) (string, error) {
	var out []string
	found := false
	for element := range strings.SplitSeq(mappings, ",") {
		name, at, _ := strings.Cut(element, ":")
		switch {
		case element == "":
		case at != bridge && name == network && network != "":
			return "", fmt.Errorf("network %q, bridge %q: %w", network, at, ErrNetworkMapped)
		case at != bridge:
			out = append(out, element)
		case name == network && !found:
			out, found = append(out, element), true
		}
	}
	if network != "" && !found {
		out = append(out, network+":"+bridge)
	}
	return strings.Join(out, ","), nil
}

// networkOf returns the first network that is mapped to a bridge, "" if there is none.
func networkOf(mappings, bridge string) string {
	for element := range strings.SplitSeq(mappings, ",") {
		if name, at, ok := strings.Cut(element, ":"); ok && at == bridge {
			return name
		}
	}
	return ""
}
