// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"context"
	"fmt"

	"sigs.k8s.io/knftables"

	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// Change removes and adds elements of one table, in one transaction whose cost does
// not depend on how many others there are. It fails, and changes nothing, if the
// table is not what it was when [Driver.Apply] last saw it.
func (d *Driver) Change(ctx context.Context, table string, remove, add []hostplan.Entry) error {
	if _, err := d.table(table); err != nil {
		return err
	}
	tx := d.Tables.NewTransaction()
	for _, e := range remove {
		tx.Delete(elementOf(e))
	}
	for _, e := range add {
		tx.Add(elementOf(e))
	}
	return d.run(ctx, table, tx)
}

func elementOf(e hostplan.Entry) *knftables.Element {
	if e.Value == "" {
		return &knftables.Element{Set: e.In, Key: []string{e.Key}}
	}
	return &knftables.Element{Map: e.In, Key: []string{e.Key}, Value: []string{e.Value}}
}

// Learned lists what rules have added to a map.
func (d *Driver) Learned(ctx context.Context, table, name string) ([]hostplan.Entry, error) {
	if _, err := d.table(table); err != nil {
		return nil, err
	}
	list, err := d.Tables.ListElements(ctx, "map", name)
	if err != nil {
		return nil, fmt.Errorf("list elements of map %s: %w", name, err)
	}
	out := make([]hostplan.Entry, 0, len(list))
	for _, e := range list {
		out = append(out, hostplan.Entry{In: name, Key: joined(e.Key), Value: joined(e.Value)})
	}
	return out, nil
}
