// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

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

// Release removes the elements of sets and maps whose keys begin with "address . protocol . port" of one of these, for
// all protocols, and returns how many there were. A missing table has none.
func (d *Driver) Release(ctx context.Context, table string, at []netip.AddrPort) (removed int, err error) {
	tables, err := d.table(table)
	if err != nil {
		return 0, err
	}
	all, err := tables.ListAll(ctx)
	if knftables.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read table inet %s: %w", table, err)
	}
	tx := tables.NewTransaction()
	for _, kind := range []string{"set", "map"} {
		for _, name := range all[kind] {
			list, err := tables.ListElements(ctx, kind, name)
			if err != nil {
				return 0, fmt.Errorf("list elements of %s %s: %w", kind, name, err)
			}
			for _, e := range list {
				if slices.ContainsFunc(at, func(a netip.AddrPort) bool { return isAt(e, a) }) {
					tx.Delete(e)
				}
			}
		}
	}
	if tx.NumOperations() == 0 {
		return 0, nil
	}
	return tx.NumOperations(), d.run(ctx, table, tx)
}

func isAt(e *knftables.Element, at netip.AddrPort) bool {
	key := strings.Split(strings.Join(e.Key, " . "), " . ")
	return len(key) > 2 && key[0] == at.Addr().String() && key[2] == strconv.Itoa(int(at.Port()))
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
