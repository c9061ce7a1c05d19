// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"slices"
	"testing"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

// TestPlan is the specification of Plan: what is desired and what the database holds, all of it dirty, give these
// units of change, in this order.
func TestPlan(t *testing.T) {
	web := &nb.LogicalSwitchPort{Name: "web", Addresses: []string{"00:00:00:00:00:01 10.0.0.2"}}
	for _, tt := range []testCase{
		{
			name: "nothing desired and nothing there is nothing to do",
		},
		{
			name:    "a row that is missing is inserted with its markers",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want:    units("insert Logical_Switch/blue external_ids,name"),
		},
		{
			name:    "a row that is as desired is left alone",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			actual:  rows(ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
		},
		{
			name:    "only owned columns that differ are updated",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue", OtherConfig: map[string]string{"mcast_snoop": "true"}})),
			actual: rows(ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{
				Name: "blue", QOSRules: []string{"by-hand"}, OtherConfig: map[string]string{"mcast_snoop": "false"},
			})),
			want: units("update Logical_Switch/blue other_config"),
		},
		{
			name:    "the order of a set is no difference",
			desired: by("web", child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web", Addresses: []string{"a", "b"}})),
			actual: rows(
				foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web", Addresses: []string{"b", "a"}}).in("blue"),
			),
		},
		{
			name:    "keys of external_ids are changed one by one: ours are set and removed, others stay",
			desired: by("blue", row(nb.LoadBalancerTable, "blue", &nb.LoadBalancer{Name: "blue"})),
			actual: rows(ours("red", nb.LoadBalancerTable, "blue", &nb.LoadBalancer{
				Name: "blue", ExternalIDs: map[string]string{"service": "old", "note": "of an administrator"},
			})),
			want: units("update Load_Balancer/blue -key service,woven/owner +key woven/owner"),
		},
		{
			name:    "a row of a non-root table is inserted together with the reference of its parent, after the parent",
			desired: by("blue", child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", web), row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"insert Logical_Switch/blue external_ids,name",
				"insert Logical_Switch_Port/web addresses,external_ids,name +Logical_Switch/blue.ports=web",
			),
		},
		{
			name:    "a row of a non-root table waits for its parent",
			desired: by("web", child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", web)),
			want:    units("blocked Logical_Switch_Port/web on Logical_Switch/blue"),
		},
		{
			name:    "a row that is wanted under another parent is moved in one unit",
			desired: by("web", child(nb.LogicalSwitchTable, "red", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"})),
			actual: rows(
				foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				foreignRow(nb.LogicalSwitchTable, "red", &nb.LogicalSwitch{Name: "red"}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			want: units(
				"update Logical_Switch_Port/web -key woven/parent +key woven/parent " +
					"+Logical_Switch/red.ports=web -Logical_Switch/blue.ports=web",
			),
		},
		{
			name:    "a row whose new parent is missing is removed, since it cannot stay where it is",
			desired: by("web", child(nb.LogicalSwitchTable, "red", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"})),
			actual: rows(
				foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			want: units(
				"delete Logical_Switch_Port/web -Logical_Switch/blue.ports=web",
				"blocked Logical_Switch_Port/web on Logical_Switch/red",
			),
		},
		{
			name:    "a child may have a parent of several tables",
			desired: by("rule", child(nb.PortGroupTable, "group", nb.ACLTable, "rule", &nb.ACL{Action: nb.ACLActionDrop, Direction: nb.ACLDirectionToLport})),
			actual:  rows(foreignRow(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group"})),
			want:    units("insert ACL/rule action,direction,external_ids +Port_Group/group.acls=rule"),
		},
		{
			name: "an element that is missing is added alone",
			desired: by("web",
				member(nb.AddressSetTable, "set", "addresses", "10.0.0.2"), member(nb.AddressSetTable, "set", "addresses", "10.0.0.3")),
			actual: rows(foreignRow(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1", "10.0.0.2"}})),
			want:   units("link Address_Set/set +Address_Set/set.addresses=10.0.0.3"),
		},
		{
			name:    "an element waits for the row that holds it",
			desired: by("web", member(nb.AddressSetTable, "set", "addresses", "10.0.0.2")),
			want:    units("blocked Address_Set/set.addresses=10.0.0.2 on Address_Set/set"),
		},
		{
			name:    "a weak reference waits for its target",
			desired: by("web", member(nb.PortGroupTable, "group", "ports", fact.UUIDOf(nb.LogicalSwitchPortTable, "web"))),
			actual:  rows(foreignRow(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group"})),
			want:    units("blocked Port_Group/group.ports=web on Logical_Switch_Port/web"),
		},
		{
			name: "a weak reference to a row of the same plan follows its insertion",
			desired: by("web",
				member(nb.PortGroupTable, "group", "ports", fact.UUIDOf(nb.LogicalSwitchPortTable, "web")),
				row(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group"}),
				child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"})),
			actual: rows(foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"insert Port_Group/group external_ids,name",
				"insert Logical_Switch_Port/web external_ids,name +Logical_Switch/blue.ports=web",
				"link Port_Group/group +Port_Group/group.ports=web",
			),
		},
		{
			name:    "a row whose column refers to a missing row is inserted without the reference, which waits",
			desired: by("web", child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web", Dhcpv4Options: ref(nb.DHCPOptionsTable, "dhcp")})),
			actual:  rows(foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"insert Logical_Switch_Port/web external_ids,name +Logical_Switch/blue.ports=web",
				"blocked Logical_Switch_Port/web on DHCP_Options/dhcp",
			),
		},
		{
			name: "a column that refers to a row of the same plan is written after that row",
			desired: by("web",
				child(nb.LogicalSwitchTable, "blue", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web", Dhcpv4Options: ref(nb.DHCPOptionsTable, "dhcp")}),
				row(nb.DHCPOptionsTable, "dhcp", &nb.DHCPOptions{Cidr: "10.0.0.0/24"})),
			actual: rows(foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"insert DHCP_Options/dhcp cidr,external_ids",
				"insert Logical_Switch_Port/web dhcpv4_options,external_ids,name +Logical_Switch/blue.ports=web",
			),
		},
		{
			name: "another value under a key of a map replaces the first in one unit",
			desired: by("node",
				pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.2")),
			actual: rows(foreignRow(nb.ChassisTemplateVarTable, "node", &nb.ChassisTemplateVar{Variables: map[string]string{"woven_ip4": "10.0.0.1", "other": "x"}})),
			more:   []declaration{pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.1")},
			want:   units("link Chassis_Template_Var/node +Chassis_Template_Var/node.variables:woven_ip4=10.0.0.2"),
		},
		{
			name: "of two owners' values under a key of a map one is wanted, and the other is not written over and over",
			desired: slices.Concat(
				by("a", pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.1")),
				by("b", pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.2"))),
			actual: rows(foreignRow(nb.ChassisTemplateVarTable, "node", &nb.ChassisTemplateVar{Variables: map[string]string{"woven_ip4": "10.0.0.1"}})),
		},
		{
			name: "… and replaces that of the other",
			desired: slices.Concat(
				by("a", pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.1")),
				by("b", pair(nb.ChassisTemplateVarTable, "node", "variables", "woven_ip4", "10.0.0.2"))),
			actual: rows(foreignRow(nb.ChassisTemplateVarTable, "node", &nb.ChassisTemplateVar{Variables: map[string]string{"woven_ip4": "10.0.0.2"}})),
			want:   units("link Chassis_Template_Var/node +Chassis_Template_Var/node.variables:woven_ip4=10.0.0.1"),
		},
		{
			name:    "a row without our marker is never changed, even under our UUID",
			desired: nil,
			actual:  rows(foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
		},
		{
			name:    "a name that a foreign row has is reported, and our row waits for that row",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			actual:  rows(foreignRow(nb.LogicalSwitchTable, "by-hand", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"blocked Logical_Switch/blue on Logical_Switch/by-hand",
				"taken Logical_Switch/blue by Logical_Switch/by-hand",
			),
		},
		{
			name:    "a row of ours that has the name under another UUID is deleted first, and once",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			actual:  rows(ours("blue", nb.LogicalSwitchTable, "by-hand", &nb.LogicalSwitch{Name: "blue"})),
			want: units(
				"delete Logical_Switch/by-hand",
				"insert Logical_Switch/blue external_ids,name",
			),
		},
		{
			name:   "a row of ours that nobody wants is deleted; a foreign row is not",
			actual: rows(ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}), foreignRow(nb.LogicalSwitchTable, "red", &nb.LogicalSwitch{Name: "red"})),
			want:   units("delete Logical_Switch/blue"),
		},
		{
			name: "children go with their parent, without units of their own",
			actual: rows(
				ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			want: units("delete Logical_Switch/blue"),
		},
		{
			name: "a child whose parent stays is removed by the parent's reference",
			actual: rows(
				foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				ours("web", nb.LogicalSwitchPortTable, "web", &nb.LogicalSwitchPort{Name: "web"}).in("blue"),
			),
			want: units("delete Logical_Switch_Port/web -Logical_Switch/blue.ports=web"),
		},
		{
			name: "a row that strong references point to is deleted with all of them, no matter who wrote them",
			actual: rows(
				ours("vpc", nb.LoadBalancerGroupTable, "woven.vpc", &nb.LoadBalancerGroup{Name: "woven.vpc"}),
				foreignRow(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{
					Name: "blue", LoadBalancerGroup: []string{fact.UUIDOf(nb.LoadBalancerGroupTable, "woven.vpc")},
				}),
			),
			want: units("delete Load_Balancer_Group/woven.vpc -Logical_Switch/blue.load_balancer_group=woven.vpc"),
		},
		{
			name:    "deletions come after insertions and updates",
			desired: by("red", row(nb.PortGroupTable, "group", &nb.PortGroup{Name: "group"}), member(nb.AddressSetTable, "set", "addresses", "10.0.0.2")),
			actual: rows(
				ours("blue", nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				foreignRow(nb.AddressSetTable, "set", &nb.AddressSet{Name: "set", Addresses: []string{"10.0.0.1"}}),
			),
			more: []declaration{member(nb.AddressSetTable, "set", "addresses", "10.0.0.1")},
			want: units(
				"insert Port_Group/group external_ids,name",
				"link Address_Set/set +Address_Set/set.addresses=10.0.0.2",
				"delete Logical_Switch/blue",
				"unlink Address_Set/set -Address_Set/set.addresses=10.0.0.1",
			),
		},
		{
			name: "a row that violates the schema is not sent and stays as it is; the other rows of its owner are written",
			desired: by("blue",
				row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"}),
				child(nb.LogicalSwitchTable, "blue", nb.ACLTable, "rule", &nb.ACL{Action: "drop", Direction: "in"}),
				child(nb.LogicalSwitchTable, "blue", nb.ACLTable, "web", &nb.ACL{Action: "drop", Direction: "to-lport", Priority: 40000}),
				pair(nb.DNSTable, "set", "records", "a", "\x00"), pair(nb.DNSTable, "set", "records", "b", "10.0.0.1"),
			),
			actual: rows(
				foreignRow(nb.LogicalSwitchTable, "red", &nb.LogicalSwitch{Name: "red"}), foreignRow(nb.DNSTable, "set", &nb.DNS{}),
				ours("blue", nb.ACLTable, "web", &nb.ACL{Action: "drop", Direction: "to-lport", Priority: 1}).in("blue"),
			),
			want: units(
				"insert Logical_Switch/blue external_ids,name",
				"link DNS/set +DNS/set.records:b=10.0.0.1",
				`invalid ACL/rule of blue: "in" is not one of from-lport, to-lport`,
				"invalid ACL/web of blue: 40000 is not from 0 to 32767",
				`invalid DNS/set.records:a=`+"\x00"+` of blue: "\x00" contains a null character`,
			),
		},
		{
			name:    "what is not dirty is not compared",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			only:    []declaration{member(nb.AddressSetTable, "set", "addresses", "10.0.0.1")},
		},
		{
			name:    "what is dirty twice is compared once",
			desired: by("blue", row(nb.LogicalSwitchTable, "blue", &nb.LogicalSwitch{Name: "blue"})),
			more:    []declaration{row(nb.LogicalSwitchTable, "blue", nil), row(nb.LogicalSwitchTable, "blue", nil)},
			want:    units("insert Logical_Switch/blue external_ids,name"),
		},
	} {
		t.Run(tt.name, tt.plan)
	}
}
