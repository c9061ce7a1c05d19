// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
	"github.com/wovensdn/woven/pkg/ovsdb/schema"
	"github.com/wovensdn/woven/pkg/ovsdb/vs"
)

// timeout bounds everything that a server should do at once, on a busy machine.
const timeout = 60 * time.Second

// maxSocketPath is the longest path of a unix socket (unix(7)) minus the longest file name in the directory, that of
// ovsdb-server's temporary files.
const maxSocketPath = 107 - 24

// kind describes one of the three databases.
type kind struct {
	database client.Database
	schema   []byte
	root     string // the table with exactly one row
}

var (
	kindNB = kind{client.NB, schema.NB, nb.NBGlobalTable}
	kindSB = kind{client.SB, schema.SB, sb.SBGlobalTable}
	kindVS = kind{client.VS, schema.VS, vs.OpenvSwitchTable}
)

// Server is one ovsdb-server process, running or stopped. It is killed when the test ends.
type Server struct {
	kind    kind
	t       testing.TB
	dir     string
	remotes []string // further --remote and TLS options

	mu   sync.Mutex
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has exited
}

// Start runs a server with an OVN northbound database that has only the NB_Global row.
func Start(t testing.TB) *Server { t.Helper(); return start(t, kindNB) }

// StartSB is Start for an OVN southbound database, with its SB_Global row.
func StartSB(t testing.TB) *Server { t.Helper(); return start(t, kindSB) }

// StartVS is Start for an Open_vSwitch database, with its Open_vSwitch row.
func StartVS(t testing.TB) *Server { t.Helper(); return start(t, kindVS) }

func start(t testing.TB, k kind) *Server {
	t.Helper()
	s := newServer(t, k)
	s.tool("create", s.path("db"), s.path("schema"))
	s.Restart()
	s.insertRoot(s.Endpoint())
	return s
}

// StartTLS is Start with a second remote for TLS on a free port of 127.0.0.1. Its clients need a certificate of the CA.
// It also returns the ssl endpoint. The arguments are PEM files.
func StartTLS(t testing.TB, certFile, keyFile, caFile string) (*Server, string) {
	t.Helper()
	s := newServer(t, kindNB)
	address := freePort(t)
	s.remotes = []string{
		"--remote=pssl:" + strings.TrimPrefix(address, "127.0.0.1:") + ":127.0.0.1",
		"--private-key=" + keyFile, "--certificate=" + certFile, "--ca-cert=" + caFile,
	}
	s.tool("create", s.path("db"), s.path("schema"))
	s.Restart()
	s.insertRoot(s.Endpoint())
	return s, "ssl:" + address
}

func freePort(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close() //nolint:errcheck // it only reserved the port
	return l.Addr().String()
}

func newServer(t testing.TB, k kind) *Server {
	t.Helper()
	s := &Server{kind: k, t: t, dir: tempDir(t)}
	if err := os.WriteFile(s.path("schema"), k.schema, 0o600); err != nil {
		t.Fatalf("write schema: %v", err)
	}
	t.Cleanup(s.Stop)
	return s
}

// tempDir is t.TempDir, or a directory with a shorter path if that is too long for a unix socket.
func tempDir(t testing.TB) string {
	t.Helper()
	if dir := t.TempDir(); len(dir) <= maxSocketPath {
		return dir
	}
	dir, err := os.MkdirTemp("", "nbtest")
	if err != nil {
		t.Fatalf("make directory: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove directory: %v", err)
		}
	})
	return dir
}

// find returns the path of a program, also in /usr/sbin, which not every PATH has.
func find(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: this test runs a real OVSDB server; install it with: "+
		"apt-get install --no-install-recommends openvswitch-common", name)
	return ""
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) tool(args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), find(s.t, "ovsdb-tool"), args...) //nolint:gosec // a test's own arguments
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("ovsdb-tool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Endpoint returns the server's endpoint for client.Config.
func (s *Server) Endpoint() string { return "unix:" + s.path("sock") }

// PID returns the process id, or 0 when the server is stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Restart stops the server if it is running, and starts it. It returns when the server accepts connections.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.launch()
	s.wait()
}

func (s *Server) launch() {
	s.t.Helper()
	args := append([]string{
		"--no-chdir", "-vconsole:off", "--log-file=" + s.path("log"), "--unixctl=" + s.path("ctl"),
		"--remote=punix:" + s.path("sock"),
	}, s.remotes...)
	cmd := exec.Command(find(s.t, "ovsdb-server"), append(args, s.path("db"))...) //nolint:gosec,noctx // it ends in Stop
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		// Pdeathsig fires when the thread exits, not the process, so this thread must live as long as the server
		// (golang.org/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it was killed, or its log has the reason
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start ovsdb-server: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.gone = cmd, gone
}

// wait returns when the server accepts connections.
func (s *Server) wait() {
	s.t.Helper()
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	s.eventually("ovsdb-server does not accept connections", func() bool {
		select {
		case <-gone:
			s.t.Fatalf("ovsdb-server exited: %s", s.log())
		default:
		}
		var d net.Dialer
		conn, err := d.DialContext(s.t.Context(), "unix", s.path("sock"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

func (s *Server) log() string {
	raw, err := os.ReadFile(s.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// eventually polls a condition that has no event.
func (s *Server) eventually(complaint string, done func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			s.t.Fatalf("%s after %v: %s", complaint, timeout, s.log())
		}
	}
}

// Stop kills the server (SIGKILL), paused or not, and returns when it is gone. The database file stays.
func (s *Server) Stop() {
	s.mu.Lock()
	cmd, gone := s.cmd, s.gone
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	if err := cmd.Process.Kill(); err != nil {
		s.t.Logf("kill ovsdb-server %d: %v", cmd.Process.Pid, err)
	}
	<-gone
}

// Copy returns the database file, for Restore.
func (s *Server) Copy() []byte {
	s.t.Helper()
	raw, err := os.ReadFile(s.path("db"))
	if err != nil {
		s.t.Fatalf("copy the database: %v", err)
	}
	return raw
}

// Restore replaces the database by a copy of an earlier state and starts the server. nil makes an empty database, also
// without its root row.
func (s *Server) Restore(copied []byte) {
	s.t.Helper()
	s.Stop()
	if err := os.Remove(s.path("db")); err != nil {
		s.t.Fatalf("remove the database: %v", err)
	}
	if copied == nil {
		s.tool("create", s.path("db"), s.path("schema"))
	} else if err := os.WriteFile(s.path("db"), copied, 0o600); err != nil {
		s.t.Fatalf("restore the database: %v", err)
	}
	s.Restart()
}

// Pause stops the server's process (SIGSTOP), so that it hangs.
func (s *Server) Pause() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Resume continues a paused server (SIGCONT).
func (s *Server) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		s.t.Fatalf("signal %v: the server is stopped", sig)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %v: %v", sig, err)
	}
}

// Client returns a synced client of the tables, by default of all, that runs until the test ends.
func (s *Server) Client(t testing.TB, tables ...client.Table) *client.DB {
	t.Helper()
	return Connect(t, client.Config{Database: s.kind.database, Endpoints: []string{s.Endpoint()}, Tables: s.tables(t, tables)})
}

func (s *Server) tables(t testing.TB, tables []client.Table) []client.Table {
	t.Helper()
	if len(tables) > 0 {
		return tables
	}
	for _, name := range tableNames(t, s.kind.database) {
		tables = append(tables, client.Table{Name: name})
	}
	return tables
}

// Connect returns a synced client with the configuration that runs until the test ends.
func Connect(t testing.TB, cfg client.Config) *client.DB {
	t.Helper()
	db, stop := connect(t, cfg)
	t.Cleanup(stop)
	return db
}

func connect(t testing.TB, cfg client.Config) (db *client.DB, stop func()) {
	t.Helper()
	db, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := db.Run(ctx); err != nil {
			t.Errorf("run client: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	waiting, done := context.WithTimeout(ctx, timeout)
	defer done()
	if err := db.WaitSynced(waiting); err != nil {
		stop()
		t.Fatal(err)
	}
	return db, stop
}

// insertRoot inserts the row that ovn-nbctl init, ovn-sbctl init or ovs-vsctl init would insert.
func (s *Server) insertRoot(endpoints ...string) {
	s.t.Helper()
	db, stop := connect(s.t, client.Config{Database: s.kind.database, Endpoints: endpoints})
	defer stop()
	if err := Commit(s.t.Context(), db, ovsdb.Operation{Op: ovsdb.OperationInsert, Table: s.kind.root}); err != nil {
		s.t.Fatalf("insert %s: %v", s.kind.root, err)
	}
}

// Edit commits operations to the database of a stopped server.
func (s *Server) Edit(t testing.TB, ops ...ovsdb.Operation) {
	t.Helper()
	if s.PID() != 0 {
		t.Fatal("edit database: the server is running")
	}
	params := []any{s.kind.database.String()}
	for _, op := range ops {
		params = append(params, op)
	}
	raw, err := json.Marshal(params)
	if err != nil {
		t.Fatalf("edit database: %v", err)
	}
	s.tool("transact", s.path("db"), string(raw))
}

// Commit is Transact that also returns the errors of operations as its error.
func Commit(ctx context.Context, db *client.DB, ops ...ovsdb.Operation) error {
	results, err := db.Transact(ctx, ops...)
	if err != nil {
		return err
	}
	if failed, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		return fmt.Errorf("%w: %+v", err, failed)
	}
	return nil
}
