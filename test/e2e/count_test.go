// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/fact"
)

// count counts objects, rows with our marker, Open vSwitch interfaces, links, routes and bindings.
func (t *test) count(ctx context.Context) (map[string]int, error) {
	state, err := check.Read(ctx, t.sources)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{
		"API IP": len(state.Objects.IPs), "API Subnet": len(state.Objects.Subnets),
	}
	for _, o := range state.Objects.Others {
		if _, ok := o.(*v1.Vpc); ok {
			counts["API Vpc"]++
		}
	}
	for _, table := range fact.Tables() {
		for _, row := range state.NB[table.Name] {
			if table.ExternalIDs(row)[fact.VendorKey] == fact.Vendor {
				counts["NB "+table.Name]++
			}
		}
	}
	for table, rows := range state.SB {
		counts["SB "+table] = len(rows)
	}
	for node, host := range state.Hosts {
		counts[node+" OVS interfaces"] = len(host.Interfaces)
		counts[node+" links"] = len(host.Links)
		counts[node+" routes"] = len(host.Routes)
		for name, elements := range host.Sets {
			counts[node+" nft set "+name] = len(elements)
		}
		// Each container's sandbox has a network namespace.
		n := nodeNumber(node)
		namespaces, err := t.cluster.NodeExec(ctx, n, "ip", "netns", "list")
		if err != nil {
			return nil, err
		}
		counts[node+" network namespaces"] = strings.Count(namespaces, "\n")
	}
	return counts, nil
}

func nodeNumber(name string) (n int) {
	_, _ = fmt.Sscanf(name, "n%d", &n)
	return n
}

// compareCounts returns the differences, empty if there are none.
func compareCounts(before, now map[string]int) string {
	var differ []string
	keys := maps.Clone(before)
	maps.Copy(keys, now)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if before[key] != now[key] {
			differ = append(differ, fmt.Sprintf("%s: %d, was %d", key, now[key], before[key]))
		}
	}
	return strings.Join(differ, "; ")
}
