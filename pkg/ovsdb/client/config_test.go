// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

func TestParseEndpoints(t *testing.T) {
	got, err := client.ParseEndpoints("unix:/run/ovn/ovnnb_db.sock, tcp:10.0.0.1:6641,ssl:[fd00::1]:6641")
	want := []string{"unix:/run/ovn/ovnnb_db.sock", "tcp:10.0.0.1:6641", "ssl:[fd00::1]:6641"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("ParseEndpoints = %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"", "tcp:", "tcp:host", "tcp::6641", "tcp:host:", "unix:", "unix:relative", "http://host", "tcp:a:1,,"} {
		if got, err := client.ParseEndpoints(bad); err == nil || !strings.Contains(err.Error(), "endpoint \"") {
			t.Errorf("ParseEndpoints(%q) = %q, %v; want an error that names the endpoint", bad, got, err)
		}
	}
}

func TestNewReportsBadConfig(t *testing.T) {
	sock := []string{"unix:/sock"}
	for _, c := range []struct {
		cfg  client.Config
		want string
	}{
		{client.Config{Endpoints: sock}, "unknown database 0"},
		{client.Config{Database: client.NB}, "configure OVN_Northbound client: no endpoints"},
		{client.Config{Database: client.NB, Endpoints: []string{"tcp:x"}}, `endpoint "tcp:x"`},
		{client.Config{Database: client.NB, Endpoints: []string{"ssl:x:1"}}, "needs a TLS configuration"},
		{client.Config{Database: client.NB, Endpoints: sock, Probe: -1}, "probe interval -1ns is below 100ms"},
		{client.Config{Database: client.NB, Endpoints: sock, Tables: []client.Table{{Name: "Bridge"}}}, `no table "Bridge"`},
		{client.Config{Database: client.NB, Endpoints: sock, Tables: slices.Concat(switches, switches)}, "listed twice"},
		{client.Config{Database: client.NB, Endpoints: sock, Tables: []client.Table{
			{Name: "ACL", Only: []string{"match"}, Except: []string{"name"}},
		}}, "table ACL: Only and Except exclude each other"},
		{client.Config{Database: client.NB, Endpoints: sock, Tables: []client.Table{
			{Name: "ACL", Except: []string{"port"}},
		}}, `table ACL: no column "port"`},
	} {
		if _, err := client.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", c.cfg, err, c.want)
		}
	}
	ok := client.Config{Database: client.VS, Endpoints: []string{"ssl:x:1"}, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	if _, err := client.New(ok); err != nil {
		t.Errorf("New = %v", err)
	}
}
