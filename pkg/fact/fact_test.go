// SPDX-License-Identifier: Apache-2.0

package fact_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// Identities must never change: a later version would not find the rows of an earlier one.
func TestIdentityIsStable(t *testing.T) {
	if got, want := fact.UUIDOf(nb.LogicalSwitchTable, "ovn-default"), "d62e1daa-a8f8-5963-b98c-fd664258757a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if u := uuid.MustParse(fact.UUIDOf("t", "id")); u.Version() != 5 {
		t.Errorf("UUID version %d, want 5", u.Version())
	}
	if fact.UUIDOf("a", "b/c") == fact.UUIDOf("a/b", "d") {
		t.Error("rows of two tables have the same UUID")
	}
}

func TestMarkers(t *testing.T) {
	table := fact.TableOf(nb.LogicalSwitchTable)
	owner := fact.Owner{Kind: model.KindSubnet, Name: "ovn-default"}
	ours := &nb.LogicalSwitch{Name: "x", ExternalIDs: map[string]string{fact.VendorKey: fact.Vendor, fact.OwnerKey: owner.String()}}
	if got, ok := table.OwnerOf(ours); !ok || got != owner {
		t.Errorf("got %v %v", got, ok)
	}
	for name, ids := range map[string]map[string]string{
		"no markers":       nil,
		"another vendor":   {fact.VendorKey: "kube-ovn", fact.OwnerKey: owner.String()},
		"no owner":         {fact.VendorKey: fact.Vendor},
		"no such owner":    {fact.VendorKey: fact.Vendor, fact.OwnerKey: "nonsense"},
		"only the owner":   {fact.OwnerKey: owner.String()},
		"owner of no kind": {fact.VendorKey: fact.Vendor, fact.OwnerKey: "//x"},
	} {
		if _, ok := table.OwnerOf(&nb.LogicalSwitch{ExternalIDs: ids}); ok {
			t.Errorf("%s: OwnerOf returned an owner", name)
		}
	}
}

// Every table is described completely, so that plan needs no special cases.
func TestSchemaIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range fact.Tables() {
		for _, parent := range table.Parents {
			if !seen[parent.Table] {
				t.Errorf("%s comes before its parent %s", table.Name, parent.Table)
			}
		}
		seen[table.Name] = true
		for name := range table.Members {
			if table.Column(name).Name == "" {
				t.Errorf("%s has no column %s", table.Name, name)
			}
		}
		if len(table.Owned) > 0 && table.Column("external_ids").Name == "" && table.NamePrefix == "" {
			t.Errorf("%s has no place for the markers of our rows", table.Name)
		}
	}
}
