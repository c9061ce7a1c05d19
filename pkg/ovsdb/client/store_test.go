// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func testStore(t *testing.T) *store {
	t.Helper()
	client, err := nb.FullDatabaseModel()
	if err != nil {
		t.Fatal(err)
	}
	m, errs := model.NewDatabaseModel(nb.Schema(), client)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return newStore(m)
}

func parseUpdate(t *testing.T, text string) ovsdb.TableUpdates2 {
	t.Helper()
	var up ovsdb.TableUpdates2
	if err := json.Unmarshal([]byte(text), &up); err != nil {
		t.Fatal(err)
	}
	return up
}

func TestApplyUpdatesRow(t *testing.T) {
	s := testStore(t)
	const id = "00000000-0000-0000-0000-00000000000a"
	step := func(update string) *nb.LogicalSwitch {
		t.Helper()
		if _, err := s.apply(parseUpdate(t, `{"Logical_Switch":{"`+id+`":`+update+`}}`)); err != nil {
			t.Fatal(err)
		}
		row, _ := s.get(nb.LogicalSwitchTable, id).(*nb.LogicalSwitch)
		return row
	}
	first := step(`{"insert":{"name":"a","other_config":["map",[["k","v"],["l","w"]]]}}`)
	if first.Name != "a" || first.OtherConfig["k"] != "v" {
		t.Fatalf("inserted row = %+v", first)
	}
	// A difference toggles: it removes a pair that exists and adds one that does not.
	second := step(`{"modify":{"other_config":["map",[["k","v"],["m","x"]]]}}`)
	if len(second.OtherConfig) != 2 || second.OtherConfig["m"] != "x" || second.OtherConfig["l"] != "w" {
		t.Errorf("modified row = %+v", second)
	}
	if len(first.OtherConfig) != 2 || first.OtherConfig["k"] != "v" {
		t.Errorf("a row that a reader holds was changed: %+v", first)
	}
	if row := step(`{"delete":null}`); row != nil || s.size(nb.LogicalSwitchTable) != 0 {
		t.Errorf("deleted row = %+v", row)
	}
}

// An update that cannot be applied must not be applied in part: the cache would then show a transaction that never
// existed.
func TestApplyIsAllOrNothing(t *testing.T) {
	s := testStore(t)
	_, err := s.apply(parseUpdate(t, `{
		"Logical_Switch":{"00000000-0000-0000-0000-00000000000a":{"insert":{"name":"a"}}},
		"Port_Group":{"00000000-0000-0000-0000-00000000000b":{"modify":{"name":"b"}}}}`))
	if err == nil {
		t.Fatal("a modification of an unknown row was accepted")
	}
	if n := s.size(nb.LogicalSwitchTable); n != 0 {
		t.Errorf("%d rows of the failed update are visible", n)
	}
}
