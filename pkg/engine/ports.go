// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"

	"github.com/wovensdn/woven/pkg/addresses"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// portOf reads a pod's port from the northbound database: what an earlier process committed.
func (c *Core) portOf(pod model.Ref, name string) (port addresses.Port, ok bool) {
	row, there := c.cfg.Actual.Row(nb.LogicalSwitchPortTable, fact.UUIDOf(nb.LogicalSwitchPortTable, name)).(*nb.LogicalSwitchPort)
	if !there || row == nil || row.Name != name || len(row.Addresses) == 0 {
		return port, false
	}
	if owner, ours := fact.TableOf(nb.LogicalSwitchPortTable).OwnerOf(row); !ours || owner != pod {
		return port, false
	}
	mac, addrs, _ := strings.Cut(row.Addresses[0], " ")
	parsed, err := model.ParseAddrs(strings.ReplaceAll(addrs, " ", ","))
	if err != nil {
		return port, false
	}
	return addresses.Port{PodUID: row.Options["iface-id-ver"], Subnet: row.ExternalIDs[fact.SwitchKey], Addrs: parsed, MAC: mac}, true
}
