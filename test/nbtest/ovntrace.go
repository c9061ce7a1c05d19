// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// LogicalFlow is a row of the southbound table of that name.
type LogicalFlow struct{ Match, Actions string }

// dhcpOptions are the options that ovn-northd 25.03 writes into the southbound database, by table and type.
var dhcpOptions = map[string]map[string]string{
	"DHCP_Options": {
		"uint32": "T1 T2 arp_cache_timeout lease_time tcp_keepalive_interval",
		"str":    "bootfile_name bootfile_name_alt domain_name hostname path_prefix wpad",
		"ipv4": `broadcast_address dns_server log_server lpr_server netbios_name_server netmask next_server nis_server ntp_server offerip
			policy_filter router router_solicitation server_id swap_server tftp_server_address`,
		"static_routes": "classless_static_route ms_classless_static_route",
		"uint8":         "default_ttl netbios_node_type tcp_ttl",
		"domains":       "domain_search_list",
		"bool":          "ethernet_encap ip_forward_enable router_discovery",
		"uint16":        "mtu",
		"host_id":       "tftp_server",
	},
	"DHCPv6_Options": {"str": "bootfile_name bootfile_name_alt domain_search", "ipv6": "dns_server ia_addr", "domain": "fqdn", "mac": "server_id"},
}

// RefusedByOVN returns for each flow why OVN cannot parse it; "" if it can. ovn-trace(8) parses all logical flows of a
// southbound database before it traces a packet, as ovn-controller does, and logs those that it cannot parse. The
// address sets as and as.v6 and the port group group exist. A test without ovn-trace is skipped.
func RefusedByOVN(t testing.TB, flows []LogicalFlow) []string {
	t.Helper()
	program, err := exec.LookPath("ovn-trace")
	if err != nil {
		t.Skip("ovn-trace is missing (Debian: package ovn-host); it shows that OVN parses a text as we do")
	}
	server := StartSB(t)
	if err := Commit(t.Context(), server.Client(t, client.Table{Name: "Chassis"}), insertFlows(flows)...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--db="+server.Endpoint(), "sw", `inport == "p"`).CombinedOutput() //nolint:gosec // a test's own arguments
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	causes := map[string]string{}
	for entry := range strings.SplitSeq(string(out), "|ovntrace|WARN|") {
		for _, failed := range []string{": parsing expression failed ", ": parsing actions failed "} {
			if text, cause, ok := strings.Cut(entry, failed); ok {
				causes[text], _, _ = strings.Cut(cause, "\n")
			}
		}
	}
	refused := make([]string, len(flows))
	for i, f := range flows {
		refused[i] = causes[f.Match] + causes[f.Actions]
	}
	return refused
}

// insertFlows inserts a datapath with a port and these flows.
func insertFlows(flows []LogicalFlow) []ovsdb.Operation {
	datapath := ovsdb.UUID{GoUUID: "6f76656e-0000-4000-8000-000000000001"}
	insert := func(table string, row ovsdb.Row) ovsdb.Operation {
		return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, Row: row}
	}
	sw := insert("Datapath_Binding", ovsdb.Row{"tunnel_key": 1, "external_ids": ovsdb.OvsMap{GoMap: map[any]any{"name": "sw"}}})
	sw.UUID = datapath.GoUUID
	ops := []ovsdb.Operation{
		sw,
		insert("Port_Binding", ovsdb.Row{"datapath": datapath, "logical_port": "p", "tunnel_key": 1}),
		insert("Address_Set", ovsdb.Row{"name": "as", "addresses": "1"}),
		insert("Address_Set", ovsdb.Row{"name": "as.v6", "addresses": "0x1"}),
		insert("Port_Group", ovsdb.Row{"name": "1_group", "ports": "p"}), // ovn-northd puts the tunnel key of the datapath before it
	}
	for table, types := range dhcpOptions {
		for typ, names := range types {
			for _, name := range strings.Fields(names) {
				ops = append(ops, insert(table, ovsdb.Row{"name": name, "type": typ, "code": 0}))
			}
		}
	}
	for _, f := range flows {
		ops = append(ops, insert("Logical_Flow", ovsdb.Row{
			"logical_datapath": datapath, "pipeline": "ingress", "table_id": 1, "priority": 1, "match": f.Match, "actions": f.Actions,
		}))
	}
	return ops
}
