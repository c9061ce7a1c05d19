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
}

func nft(t *testing.T, text string) error {
	cmd := exec.CommandContext(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
