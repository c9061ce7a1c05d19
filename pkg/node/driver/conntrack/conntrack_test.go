// SPDX-License-Identifier: Apache-2.0

package conntrack_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
)

// The kernel forgets what is named and nothing else.
func TestForgetUDP(t *testing.T) {
	nstest.New(t).Do(func() {
		// Without a rule that asks for it the kernel tracks nothing.
		if err := nft(t, "add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter"); err != nil {
			t.Error(err)
			return
		}
		for _, to := range []string{"127.0.0.1:9001", "127.0.0.1:9002", "[::1]:9001"} {
			conn, err := net.Dial("udp", to)
			if err == nil {
				_, err = conn.Write([]byte("?"))
				_ = conn.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}
		asked := func(stale func(conntrack.Flow) bool) (list []string) {
			if _, err := (conntrack.Linux{}).ForgetUDP(func(f conntrack.Flow) bool {
				list = append(list, f.Asked.String()+" "+f.Answers.String())
				return stale(f)
			}); err != nil {
				t.Error(err)
			}
			slices.Sort(list)
			return list
		}
		first := asked(func(f conntrack.Flow) bool { return f.Asked.Port() == 9001 })
		if want := []string{"127.0.0.1:9001 127.0.0.1:9001", "127.0.0.1:9002 127.0.0.1:9002", "[::1]:9001 [::1]:9001"}; !slices.Equal(first, want) {
			t.Errorf("connections %v, want %v", first, want)
		}
		if left := asked(func(conntrack.Flow) bool { return false }); !slices.Equal(left, []string{"127.0.0.1:9002 127.0.0.1:9002"}) {
			t.Errorf("left are %v", left)
		}
	})
}

// ovs-vswitchd is asked by its control socket, in its own words.
func TestDatapath(t *testing.T) {
	dir := t.TempDir()
	d := conntrack.Datapath{RunDir: dir}
	asked, answers := netip.MustParseAddrPort("10.96.0.80:53"), netip.MustParseAddrPort("10.16.0.5:5353")
	forget := func() error { return d.ForgetUDP(t.Context(), asked, answers) }
	if err := forget(); err == nil || !strings.Contains(err.Error(), "find ovs-vswitchd") {
		t.Errorf("without a process: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("4711\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := forget(); err == nil || !strings.Contains(err.Error(), "reach ovs-vswitchd") {
		t.Errorf("without a socket: %v", err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "ovs-vswitchd.4711.ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	requests, replies := make(chan string, 1), make(chan string, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var r json.RawMessage
			_ = json.NewDecoder(conn).Decode(&r)
			requests <- string(r)
			_, _ = fmt.Fprint(conn, <-replies)
			_ = conn.Close()
		}
	}()
	replies <- `{"id":0,"result":"","error":null}`
	if err := forget(); err != nil {
		t.Error(err)
	}
	if got, want := <-requests, `{"id":0,"method":"dpctl/flush-conntrack","params":["ct_nw_dst=10.96.0.80,ct_nw_proto=17,ct_tp_dst=53","ct_nw_src=10.16.0.5,ct_nw_proto=17,ct_tp_src=5353"]}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	asked, answers = netip.MustParseAddrPort("[fd00::80]:53"), netip.MustParseAddrPort("[fd00::80]:53")
	replies <- `{"id":0,"result":null,"error":"no such datapath\n"}`
	if err := forget(); err == nil || !strings.HasSuffix(err.Error(), "ovs-vswitchd: no such datapath") {
		t.Errorf("refused: %v", err)
	}
	if got := <-requests; !strings.Contains(got, `["ct_ipv6_dst=fd00::80,ct_nw_proto=17,ct_tp_dst=53","ct_ipv6_src=fd00::80,`) {
		t.Errorf("asked %s", got)
	}
	replies <- `{"id":`
	if err := forget(); err == nil || !strings.Contains(err.Error(), "read the answer") {
		t.Errorf("cut off: %v", err)
	}
	<-requests
	replies <- `{"id":0,"result":"tcp,orig=(src=10.16.0.5,dst=10.96.0.80,sport=1,dport=80),reply=(src=10.16.0.3,dst=10.16.0.5,sport=80,dport=1),zone=7,protoinfo=(state=TIME_WAIT)\n` +
		`udp,orig=(src=10.16.0.5,dst=10.96.248.66,sport=55337,dport=80),reply=(src=253.0.0.16,dst=10.16.0.5,sport=7000,dport=55337),zone=10,mark=2\n` +
		`icmp,orig=(src=1.2.3.4,dst=1.2.3.4,id=1,type=8,code=0),reply=(src=1.2.3.4,dst=1.2.3.4,id=1,type=0,code=0)\n` +
		`udp,orig=(src=fd00::5,dst=fd00::80,sport=1,dport=53),reply=(src=fd00::3,dst=fd00::5,sport=5353,dport=1),zone=10\n","error":null}`
	if got, err := tracked(t, d); err != nil || !slices.Equal(got, []string{"10.96.248.66:80 253.0.0.16:7000", "[fd00::80]:53 [fd00::3]:5353"}) {
		t.Errorf("tracked are %v, error %v", got, err)
	}
	if got, want := <-requests, `{"id":0,"method":"dpctl/dump-conntrack","params":[]}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	for reply, want := range map[string]string{
		`{"id":0,"result":"","error":null}`:                   "<nil>",
		`{"id":0,"error":"ovs-vswitchd: no such datapath\n"}`: "no such datapath",
		`{"id":0,"result":"udp,orig=(src=10.16.0.5`:           "unexpected EOF",
	} {
		replies <- reply
		if got, err := tracked(t, d); len(got) > 0 || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: tracked are %v, error %v, want %s", reply, got, err, want)
		}
		<-requests
	}
}

// BenchmarkEachUDP reads what Open vSwitch lists of 100,000 connections.
func BenchmarkEachUDP(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("4711\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "unix", filepath.Join(dir, "ovs-vswitchd.4711.ctl"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	const connections = 100_000
	line := `udp,orig=(src=10.16.0.5,dst=10.96.248.66,sport=55337,dport=80),reply=(src=10.16.0.6,dst=10.16.0.5,sport=7000,dport=55337),zone=10,mark=2\n`
	answer := `{"id":0,"result":"` + strings.Repeat(line, connections) + `","error":null}`
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(conn, answer)
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		if err := (conntrack.Datapath{RunDir: dir}).EachUDP(b.Context(), func(_, _ netip.AddrPort) { count++ }); err != nil || count != connections {
			b.Fatalf("%d connections, %v", count, err)
		}
	}
}

// tracked are the connections of UDP.
func tracked(t *testing.T, d conntrack.Datapath) (list []string, err error) {
	t.Helper()
	err = d.EachUDP(t.Context(), func(asked, answers netip.AddrPort) { list = append(list, asked.String()+" "+answers.String()) })
	return list, err
}

func nft(t *testing.T, text string) error {
	cmd := exec.CommandContext(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
