// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/schema"
)

// script is the server's end of one connection. It does what a real server cannot be made to do, and fails the test on
// unexpected messages.
type script struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// scripted starts a session with a script as its server, after the handshake. The channel receives the cause of the
// session's end.
func scripted(t *testing.T, c clock.WithTicker) (*DB, *script, <-chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{
		Database: NB, Endpoints: []string{"unix:" + path}, Tables: []Table{{Name: nb.LogicalSwitchTable}}, Clock: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := d.serve(ctx, d.endpoints[0], time.Minute, logr.Discard())
		ended <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = conn.Close(); _ = l.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // a hang fails the test
		t.Fatal(err)
	}
	s := &script{t: t, conn: conn, r: bufio.NewReader(conn)}
	s.reply("get_schema", string(schema.NB))
	s.reply("monitor", `{"Database":{}}`)
	s.reply("monitor_cond_since", `[false,"00000000-0000-0000-0000-000000000001",{}]`)
	return d, s, ended
}

// reply expects a request and replies to it.
func (s *script) reply(method, result string) {
	s.t.Helper()
	m := s.expect(method)
	s.send(`{"id":` + string(m.ID) + `,"error":null,"result":` + result + `}`)
}

func (s *script) expect(method string) message {
	s.t.Helper()
	raw, err := readMessage(s.r, maxMessage)
	if err != nil {
		s.t.Fatalf("wait for %s: %v", method, err)
	}
	var m message
	if err := json.Unmarshal(raw, &m); err != nil || m.Method != method {
		s.t.Fatalf("got %s (%v), want %s", raw, err, method)
	}
	return m
}

func (s *script) send(text string) {
	s.t.Helper()
	if _, err := s.conn.Write([]byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// roundTrip sends an echo request. The client's reply means that it has read all messages before.
func (s *script) roundTrip() {
	s.t.Helper()
	s.send(`{"id":"echo","method":"echo","params":["are you there"]}`)
	raw, err := readMessage(s.r, maxMessage)
	if want := `{"result":["are you there"],"error":null,"id":"echo"}`; err != nil || string(raw) != want {
		s.t.Errorf("reply to echo = %s, %v; want %s", raw, err, want)
	}
}

func TestRepliesToServerProbe(t *testing.T) {
	_, s, _ := scripted(t, clocktesting.NewFakeClock(time.Now()))
	s.roundTrip()
}

func TestJudge(t *testing.T) {
	const probe, limit = 5 * time.Second, 10 * time.Second
	for _, c := range []struct {
		silence time.Duration
		probed  bool
		want    liveness
	}{
		{0, false, alive},
		{4 * time.Second, true, alive},
		{5 * time.Second, false, probing},
		{9 * time.Second, true, waiting},
		{10 * time.Second, true, dead},
		{time.Hour, false, dead},
	} {
		if got := judge(c.silence, probe, limit, c.probed); got != c.want {
			t.Errorf("judge(%v, probed %v) = %v, want %v", c.silence, c.probed, got, c.want)
		}
	}
}

func TestIdleServerIsProbedAndSilentServerDisconnected(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Now())
	d, s, ended := scripted(t, now)
	if err := d.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	for !now.HasWaiters() { // until the watchdog waits on the clock
		runtime.Gosched()
	}
	for range 3 {
		now.Step(DefaultProbe)
		s.reply("echo", "[]")
		s.roundTrip() // the reply has been read, at the present time
	}
	now.Step(DefaultProbe)
	s.expect("echo") // send no reply
	for {
		select {
		case err := <-ended:
			if !strings.Contains(err.Error(), "server has been silent for") || d.Connected() {
				t.Errorf("session ended with: %v; connected: %v", err, d.Connected())
			}
			return
		default:
			now.Step(DefaultProbe)
			runtime.Gosched()
		}
	}
}

func TestUnappliableUpdateEndsSession(t *testing.T) {
	d, s, ended := scripted(t, clocktesting.NewFakeClock(time.Now()))
	s.send(`{"id":null,"method":"update3","params":["rows","00000000-0000-0000-0000-000000000002",
		{"Logical_Switch":{"00000000-0000-0000-0000-00000000000a":{"modify":{"name":"b"}}}}]}`)
	if err := <-ended; !strings.Contains(err.Error(), "not in the cache") {
		t.Errorf("session ended with: %v", err)
	}
	if d.resume.txn != "" {
		t.Error("the next session would resume from a state that the cache does not have")
	}
}

func TestSchemaOfAnotherVersion(t *testing.T) {
	d, err := New(Config{Database: NB, Endpoints: []string{"unix:/sock"}, Tables: []Table{
		{Name: nb.LogicalSwitchTable, Only: []string{"name", "ports"}}, {Name: nb.ACLTable},
	}})
	if err != nil {
		t.Fatal(err)
	}
	old := nb.Schema()
	delete(old.Tables[nb.LogicalSwitchTable].Columns, "ports")
	requests, err := d.monitorRequests(old, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if got := requests[nb.LogicalSwitchTable][0].Columns; len(got) != 1 || got[0] != "name" {
		t.Errorf("monitored columns of a server without ports: %v", got)
	}
	delete(old.Tables, nb.ACLTable)
	if _, err := d.monitorRequests(old, logr.Discard()); err == nil || !strings.Contains(err.Error(), "has no table ACL") {
		t.Errorf("monitor requests for a server without ACL: %v", err)
	}
}
