// SPDX-License-Identifier: Apache-2.0

package fact_test

import (
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
)

func TestCheck(t *testing.T) {
	acl := func(change func(*nb.ACL)) *nb.ACL {
		row := &nb.ACL{Direction: nb.ACLDirectionToLport, Action: nb.ACLActionDrop}
		change(row)
		return row
	}
	long, udp, dhcp := strings.Repeat("ä", 64), nb.LoadBalancerProtocolUDP, "dhcp"
	for _, c := range []struct {
		table string
		row   any
		want  string
	}{
		{nb.ACLTable, acl(func(*nb.ACL) {}), ""},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Direction = "" }), `ACL column direction: "" is not one of from-lport, to-lport`},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Action = "deny" }), `ACL column action: "deny" is not one of allow, `},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Priority = -1 }), "ACL column priority: -1 is not from 0 to 32767"},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Priority = 32768 }), "ACL column priority: 32768"},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Name = &long }), "ACL column name: it is 64 characters long; at most 63 are allowed"},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Match = "tcp\x00" }), `ACL column match: "tcp\x00" contains a null character`},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.Match = "\xff" }), `ACL column match: "\xff" is not UTF-8`},
		{nb.ACLTable, acl(func(r *nb.ACL) { r.ExternalIDs = map[string]string{"policy": "\x00"} }), "ACL column external_ids:"},
		{nb.LoadBalancerTable, &nb.LoadBalancer{Protocol: &udp}, ""},
		{nb.LoadBalancerTable, &nb.LoadBalancer{Protocol: &dhcp}, `Load_Balancer column protocol: "dhcp" is not one of`},
		{nb.LoadBalancerTable, &nb.LoadBalancer{SelectionFields: []string{"ip_src", "mac"}}, `Load_Balancer column selection_fields: "mac"`},
		{nb.QoSTable, &nb.QoS{Direction: "to-lport", Action: map[string]int{"dscp": 1 << 32}}, "QoS column action: 4294967296 is not from 0 to 4294967295"},
		{nb.MeterTable, &nb.Meter{Unit: "kbps"}, "Meter column bands: it has 0 elements"},
	} {
		got := ""
		if violation := fact.TableOf(c.table).Check(c.row); violation != nil {
			got = violation.Error()
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v:\ngot  %q\nwant %q", c.row, got, c.want)
		}
	}
}

func TestCheckMember(t *testing.T) {
	records := fact.TableOf(nb.DNSTable)
	if v := records.CheckMember("records", "a.default", "10.0.0.1"); v != nil {
		t.Error(v)
	}
	for _, pair := range [][2]string{{"a\x00", "10.0.0.1"}, {"a", "\x00"}, {"a", "\xff"}} {
		if v := records.CheckMember("records", pair[0], pair[1]); v == nil || !strings.HasPrefix(v.Error(), "DNS column records:") {
			t.Errorf("%q: %v", pair, v)
		}
	}
}
