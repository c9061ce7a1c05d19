// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gocmp "github.com/google/go-cmp/cmp/cmpopts"
)

// outputs are the outputs of the programs on a node with one pod.
var outputs = map[string]string{
	"list Bridge": `{"data":[["br-int",["set",[["uuid","p1"],["uuid","p2"]]]],["br-phy",["set",[]]]],"headings":["name","ports"]}`,
	"list Port": `{"data":[[["uuid","p1"],"ovn0",["uuid","i1"]],[["uuid","p2"],"0123456789ab_h",["uuid","i2"]]],
		"headings":["_uuid","name","interfaces"]}`,
	"list Interface": `{"data":[[["uuid","i1"],"ovn0","internal",["map",[["iface-id","node-n1"],["vendor","woven"]]],["set",[]]],
		[["uuid","i2"],"0123456789ab_h","",["map",[["iface-id","a.default"]]],"could not open network device"],
		[["uuid","i3"],"orphan","",["map",[]],["set",[]]]],"headings":["_uuid","name","type","external_ids","error"]}`,
	"list Mirror": `{"data":[["m0",["uuid","p1"],["uuid","p2"],["set",[["uuid","p2"],["uuid","p1"]]]]],
		"headings":["name","output_port","select_src_port","select_dst_port"]}`,
	"ip -json -details addr": `[{"ifname":"ovn0","flags":["BROADCAST","UP"],"address":"00:00:00:00:64:02","addr_info":[
		{"family":"inet","local":"100.64.0.2","prefixlen":16},{"family":"inet6","local":"fe80::1","prefixlen":64}]},
		{"ifname":"0123456789ab_h","flags":["BROADCAST"],"address":"02:00:00:00:00:01","ifalias":"woven 0123456789abcdef eth0 default/a","addr_info":[]}]`,
	"ip -json -4 -N route show table main": `[{"dst":"default","gateway":"192.168.77.1","dev":"br-phy","flags":[]},
		{"dst":"10.16.0.0/16","gateway":"100.64.0.1","dev":"ovn0","protocol":"87","prefsrc":"100.64.0.2","flags":[]}]`,
	"ip -json -6 -N route show table main": "",
	"nft list tables inet":                 "table inet other\ntable inet woven\n",
	"nft -j list table inet woven": `{"nftables":[{"metainfo":{"json_schema_version":1}},{"table":{"family":"inet","name":"woven"}},
		{"set":{"family":"inet","name":"pods4","elem":[{"prefix":{"addr":"10.16.0.0","len":16}},"10.17.0.1"]}},{"set":{"family":"inet","name":"pods6"}}]}`,
}

func fakeExec(t *testing.T, change map[string]string) ExecHosts {
	return func(_ context.Context, node string, argv ...string) (string, error) {
		if node != "n1" {
			t.Errorf("command for node %s, want n1", node)
		}
		command := strings.Join(argv, " ")
		for _, answers := range []map[string]string{change, outputs} {
			for key, out := range answers {
				if strings.HasSuffix(command, key) {
					return out, nil
				}
			}
		}
		return "", errors.New("no such command: " + command)
	}
}

func TestExecHostsReadsANode(t *testing.T) {
	got, err := fakeExec(t, nil).Host(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	want := Host{
		Interfaces: []Interface{
			{Name: "ovn0", Type: "internal", Bridge: "br-int", ExternalIDs: map[string]string{"iface-id": "node-n1", "vendor": "woven"}},
			{Name: "0123456789ab_h", Bridge: "br-int", ExternalIDs: map[string]string{"iface-id": "a.default"}, Error: "could not open network device"},
			{Name: "orphan", ExternalIDs: map[string]string{}},
		},
		Mirrors: []Mirror{{Name: "m0", Output: "ovn0", SelectSrc: []string{"0123456789ab_h"}, ToDst: []string{"0123456789ab_h", "ovn0"}}},
		Links: []Link{
			{Name: "ovn0", MAC: "00:00:00:00:64:02", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16"), netip.MustParsePrefix("fe80::1/64")}},
			{Name: "0123456789ab_h", MAC: "02:00:00:00:00:01", Alias: "woven 0123456789abcdef eth0 default/a"},
		},
		Routes: []Route{
			{Gateway: netip.MustParseAddr("192.168.77.1"), Link: "br-phy"},
			{Dst: netip.MustParsePrefix("10.16.0.0/16"), Gateway: netip.MustParseAddr("100.64.0.1"), Link: "ovn0", Protocol: 87},
		},
		Sets: map[string][]string{"pods4": {"10.16.0.0/16", "10.17.0.1"}, "pods6": {}},
	}
	if diff := cmp.Diff(want, got, gocmp.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
}

func TestExecHostsWithoutTable(t *testing.T) {
	got, err := fakeExec(t, map[string]string{"nft list tables inet": "table inet other\n"}).Host(t.Context(), "n1")
	if err != nil || got.Sets != nil {
		t.Errorf("sets %v, error %v; want none", got.Sets, err)
	}
}

func TestExecHostsErrorNamesTheCommand(t *testing.T) {
	for command, part := range map[string]string{
		"list Interface":               "table Interface",
		"ip -json -details addr":       "ip -json -details addr",
		"nft -j list table inet woven": "nftables table woven",
	} {
		_, err := fakeExec(t, map[string]string{command: `{"data":[[["what"]]],"headings":["name"],"nftables":7}`}).Host(t.Context(), "n1")
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want one with %q", command, err, part)
		}
	}
}
