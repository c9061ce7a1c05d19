// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

// bounded returns a context that ends with the test or after timeout.
func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

func commit(t testing.TB, db *client.DB, ops ...ovsdb.Operation) {
	t.Helper()
	if err := nbtest.Commit(bounded(t), db, ops...); err != nil {
		t.Fatal(err)
	}
}

func testUUID(i int) string {
	return uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "row %d", i)).String()
}

func insertSwitch(uuid, name string) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchTable, UUID: uuid, Row: ovsdb.Row{"name": name},
	}
}

func insertPort(uuid, name, kind string) ovsdb.Operation {
	return ovsdb.Operation{
		Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchPortTable, UUID: uuid, Row: ovsdb.Row{
			"name": name, "type": kind,
			"addresses":     ovsdb.OvsSet{GoSet: []any{"0a:00:00:00:00:01 10.16.0.10"}},
			"port_security": ovsdb.OvsSet{GoSet: []any{"0a:00:00:00:00:01 10.16.0.10"}},
			"external_ids": ovsdb.OvsMap{GoMap: map[any]any{
				"woven/owner": "Pod/default/" + name, "vendor": "woven", "pod": name + ".default", "ls": "ovn-default",
			}},
			"options": ovsdb.OvsMap{GoMap: map[any]any{"iface-id-ver": uuid, "requested-chassis": "node-17"}},
		},
	}
}

func attachPort(sw string, ports ...string) ovsdb.Operation {
	set := ovsdb.OvsSet{}
	for _, p := range ports {
		set.GoSet = append(set.GoSet, ovsdb.UUID{GoUUID: p})
	}
	return ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: nb.LogicalSwitchTable,
		Where:     []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: sw})},
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, set)},
	}
}

func getSwitch(db *client.DB, uuid string) *nb.LogicalSwitch {
	row, _ := db.Row(nb.LogicalSwitchTable, uuid).(*nb.LogicalSwitch)
	return row
}
