// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"context"
	"fmt"

	"sigs.k8s.io/knftables"
)

// Count is what a counter has counted since it was made.
type Count struct{ Packets, Bytes uint64 }

// Counters reads the counters of a table, by name; none if the table is not there yet. It starts the nft program.
func (d *Driver) Counters(ctx context.Context, table string) (map[string]Count, error) {
	tables, err := d.table(table)
	if err != nil {
		return nil, err
	}
	list, err := tables.ListCounters(ctx)
	if knftables.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read counters of table inet %s: %w", table, err)
	}
	out := map[string]Count{}
	for _, c := range list {
		if c != nil && c.Packets != nil && c.Bytes != nil {
			out[c.Name] = Count{Packets: *c.Packets, Bytes: *c.Bytes}
		}
	}
	return out, nil
}
