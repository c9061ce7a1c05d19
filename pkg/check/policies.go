// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"

	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/world"
)

// groups compares the port groups of each port with those whose policies select it, in both directions. Pods that are
// being created or deleted, or that do not compile, may be in any group.
func (c *comparison) groups() {
	selected, exempt := c.memberships()
	names := map[string]string{}
	for _, port := range c.ports {
		names[port.UUID] = port.Name
	}
	for _, row := range rowsOf[nb.PortGroup](c.NB, nb.PortGroupTable) {
		group := rowName(fact.TableOf(nb.PortGroupTable), row.UUID, row)
		wanted := selected[row.UUID]
		for _, uuid := range sortedKeys(wanted) {
			if !slices.Contains(row.Ports, uuid) {
				c.differ(checkNB, "%s: NB port %s is not in %s (%s)", wanted[uuid], wanted[uuid].port, group, row.ExternalIDs["group"])
			}
		}
		if !marked(row.ExternalIDs) {
			continue
		}
		for _, uuid := range row.Ports {
			name := names[uuid]
			if port := c.ports[name]; port != nil && marked(port.ExternalIDs) && wanted[uuid] == nil && !exempt[name] {
				c.differ(checkNB, "NB port %s is in %s (%s), which does not select it", name, group, row.ExternalIDs["group"])
			}
		}
	}
}

// memberships returns the ports of each port group: group → port → NIC. Ports whose groups are not known are exempt.
func (c *comparison) memberships() (selected map[string]map[string]*nic, exempt map[string]bool) {
	selected, exempt = map[string]map[string]*nic{}, map[string]bool{}
	for name := range c.nics {
		exempt[name] = true
	}
	compilePod := c.functions[model.KindPod]
	for _, n := range c.wanted() {
		pod := model.Ref{Kind: model.KindPod, Namespace: n.pod.Namespace, Name: n.pod.Name}
		var result compile.Result
		if invalid := c.world.Read(pod, func(v *world.View) { result = compilePod(pod, v) }); len(invalid) > 0 || model.Fatal(result.Problems) {
			continue
		}
		delete(exempt, n.port)
		uuid := fact.UUIDOf(nb.LogicalSwitchPortTable, n.port)
		for _, m := range result.Members {
			if m.Table != nb.PortGroupTable || m.Value != uuid {
				continue
			}
			if selected[m.UUID] == nil {
				selected[m.UUID] = map[string]*nic{}
			}
			selected[m.UUID][uuid] = n
		}
	}
	return selected, exempt
}
