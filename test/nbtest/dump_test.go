// SPDX-License-Identifier: Apache-2.0

package nbtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/test/nbtest"
)

// fakeDB is a database in memory: rows by table.
type fakeDB map[string][]model.Model

func (m fakeDB) Each(table string, fn func(uuid string, row model.Model) bool) {
	for _, row := range m[table] {
		if !fn(row.(interface{ GetUUID() string }).GetUUID(), row) { //nolint:forcetypeassert // every generated row has it
			return
		}
	}
}

func ptr[T any](v T) *T { return &v }

// sample is a small network. UUIDs differ with each call; reversed reverses the order of rows and sets.
func sample(reversed bool) fakeDB {
	id := map[string]string{}
	for _, name := range []string{"g", "sw", "p1", "p2", "a1", "a2", "a3", "lr1", "lr2", "r1", "r2", "r3", "pg", "lb", "hc1", "hc2"} {
		id[name] = uuid.NewString()
	}
	m := fakeDB{
		nb.NBGlobalTable: {&nb.NBGlobal{UUID: id["g"], NbCfg: 3}},
		nb.LogicalSwitchTable: {&nb.LogicalSwitch{
			UUID: id["sw"], Name: "ovn-default", Ports: []string{id["p1"], id["p2"]}, ACLs: []string{id["a1"]},
			OtherConfig: map[string]string{"subnet": "10.16.0.0/16", "exclude_ips": "10.16.0.1 10.16.0.2"},
		}},
		nb.LogicalSwitchPortTable: {
			&nb.LogicalSwitchPort{UUID: id["p1"], Name: "a.default", Addresses: []string{"0a:00:00:00:00:01 10.16.0.3"}},
			&nb.LogicalSwitchPort{UUID: id["p2"], Name: "b.default", Enabled: ptr(false), Up: ptr(true), Tag: ptr(0)},
		},
		nb.PortGroupTable: {&nb.PortGroup{
			UUID: id["pg"], Name: "pg1", Ports: []string{id["p1"], id["p2"]}, ACLs: []string{id["a2"], id["a3"]},
			ExternalIDs: map[string]string{"of": id["sw"], "empty": ""},
		}},
		nb.ACLTable: {
			&nb.ACL{UUID: id["a1"], Name: ptr("x"), Direction: "to-lport", Priority: 1000, Match: `ip4 && outport == "a"`, Action: "drop"},
			&nb.ACL{UUID: id["a2"], Name: ptr("x"), Direction: "to-lport", Priority: 1000, Match: "ip6", Action: "drop"},
			&nb.ACL{UUID: id["a3"], Direction: "to-lport", Priority: 1000, Match: "ip6", Action: "allow"},
		},
		nb.LogicalRouterTable: {
			&nb.LogicalRouter{UUID: id["lr1"], Name: "vpc1", StaticRoutes: []string{id["r1"], id["r3"]}},
			&nb.LogicalRouter{UUID: id["lr2"], Name: "vpc2", StaticRoutes: []string{id["r2"]}},
		},
		nb.LogicalRouterStaticRouteTable: {
			&nb.LogicalRouterStaticRoute{UUID: id["r1"], IPPrefix: "0.0.0.0/0", Nexthop: "100.64.0.1"},
			&nb.LogicalRouterStaticRoute{UUID: id["r2"], IPPrefix: "0.0.0.0/0", Nexthop: "100.64.0.1"},
			&nb.LogicalRouterStaticRoute{UUID: id["r3"], IPPrefix: "10.0.0.0/8", Nexthop: "100.64.0.2"},
		},
	}
	if reversed {
		for _, rows := range m {
			slices.Reverse(rows)
		}
		for _, row := range m[nb.PortGroupTable] {
			slices.Reverse(row.(*nb.PortGroup).ACLs) //nolint:forcetypeassert // built above
		}
	}
	return m
}

const sampleDump = "" +
	"ACL `to-lport 1000 ip4 && outport == \"a\"` action=drop direction=to-lport match=`ip4 && outport == \"a\"` name=x priority=1000\n" +
	`ACL "to-lport 1000 ip6"@Port_Group/pg1 action=allow direction=to-lport match=ip6 priority=1000
ACL "to-lport 1000 ip6"@Port_Group/pg1#2 action=drop direction=to-lport match=ip6 name=x priority=1000
Logical_Router vpc1 static_routes=[Logical_Router_Static_Route/"0.0.0.0/0 100.64.0.1"@Logical_Router/vpc1, Logical_Router_Static_Route/"10.0.0.0/8 100.64.0.2"]
Logical_Router vpc2 static_routes=[Logical_Router_Static_Route/"0.0.0.0/0 100.64.0.1"@Logical_Router/vpc2]
Logical_Router_Static_Route "0.0.0.0/0 100.64.0.1"@Logical_Router/vpc1 ip_prefix=0.0.0.0/0 nexthop=100.64.0.1
Logical_Router_Static_Route "0.0.0.0/0 100.64.0.1"@Logical_Router/vpc2 ip_prefix=0.0.0.0/0 nexthop=100.64.0.1
Logical_Router_Static_Route "10.0.0.0/8 100.64.0.2" ip_prefix=10.0.0.0/8 nexthop=100.64.0.2
` + "Logical_Switch ovn-default acls=[ACL/`to-lport 1000 ip4 && outport == \"a\"`] " +
	`other_config={exclude_ips="10.16.0.1 10.16.0.2", subnet=10.16.0.0/16} ports=[Logical_Switch_Port/a.default, Logical_Switch_Port/b.default]
Logical_Switch_Port a.default addresses=["0a:00:00:00:00:01 10.16.0.3"]
Logical_Switch_Port b.default enabled=false tag=0 up=true
NB_Global nb_cfg=3
Port_Group pg1 acls=[ACL/"to-lport 1000 ip6"@Port_Group/pg1, ACL/"to-lport 1000 ip6"@Port_Group/pg1#2] external_ids={empty="", of=Logical_Switch/ovn-default} ports=[Logical_Switch_Port/a.default, Logical_Switch_Port/b.default]
`

func TestDumpDependsOnlyOnContent(t *testing.T) {
	for range 20 {
		for _, reversed := range []bool{false, true} {
			if diff := nbtest.Diff(sampleDump, nbtest.Dump(sample(reversed))); diff != "" {
				t.Fatalf("dump differs from the expected text:\n%s", diff)
			}
		}
	}
}

func TestDumpWithout(t *testing.T) {
	got := nbtest.Dump(sample(false), nbtest.Without(
		"ACL", "NB_Global.nb_cfg", ".external_ids", "Logical_Switch.acls", "Port_Group.acls"))
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "ACL") || strings.Contains(line, "external_ids") || strings.Contains(line, "acls") ||
			strings.Contains(line, "nb_cfg") {
			t.Errorf("line should be omitted, or shorter: %s", line)
		}
	}
}

func TestDiff(t *testing.T) {
	want := "# a comment\n\nb 2\na 1\na 1\n"
	if diff := nbtest.Diff(want, "a 1\na 1\nb 2\n"); diff != "" {
		t.Errorf("Diff of equal dumps = %q", diff)
	}
	if diff := nbtest.Diff(want, "a 1\nb 3\n"); diff != "- a 1\n- b 2\n+ b 3\n" {
		t.Errorf("Diff = %q", diff)
	}
}

func TestServerDump(t *testing.T) {
	s := nbtest.Start(t)
	if diff := nbtest.Diff("NB_Global", s.Dump()); diff != "" {
		t.Errorf("a new database has more than its root row:\n%s", diff)
	}
	db := s.Client(t, client.Table{Name: nb.LogicalSwitchTable})
	err := nbtest.Commit(t.Context(), db,
		ovsdb.Operation{
			Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchPortTable, UUIDName: "p", Row: ovsdb.Row{"name": "a.default"},
		},
		ovsdb.Operation{Op: ovsdb.OperationInsert, Table: nb.LogicalSwitchTable, Row: ovsdb.Row{
			"name": "sw", "ports": ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: "p"}}},
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := "NB_Global\nLogical_Switch sw ports=[Logical_Switch_Port/a.default]\nLogical_Switch_Port a.default\n"
	if diff := nbtest.Diff(want, s.Dump()); diff != "" {
		t.Error(diff)
	}
}
