package plumb

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
	"github.com/wovensdn/woven/test/nbtest"
)

const patience = 60 * time.Second

// TestTCPThroughUserspaceOVS: two pods reach each other by TCP through a real ovs-vswitchd that forwards itself, as a
// learning switch, with nobody's kernel module. It is what checksum offload would break.
func TestTCPThroughUserspaceOVS(t *testing.T) {
	driver := startOVS(t)
	p, err := New(Config{Switch: installedAtOnce{driver}, Bridge: "br-int", MTU: 1400, InstalledTimeout: patience, Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	a, b := plumbtest.NewPod(t, "tcp-a"), plumbtest.NewPod(t, "tcp-b")
	reqA, reqB := request(a), request(b)
	reqB.ContainerID, reqB.Network.Name, reqB.Network.Port = "fedcba9876543210", "web-1", "web-1.shop"
	reqB.Network.MAC = net.HardwareAddr{0x0a, 0, 0, 0, 0, 6}
	reqB.Network.Addresses = []netip.Prefix{netip.MustParsePrefix("10.16.0.6/16"), netip.MustParsePrefix("fd00::6/112")}
	for _, req := range []Request{reqA, reqB} {
		mustAdd(t, p, req)
		t.Cleanup(func() {
			if err := p.Del(context.Background(), req.Attachment); err != nil {
				t.Error(err)
			}
		})
	}
	for _, address := range []string{"10.16.0.6", "fd00::6"} {
		echo(t, a, b, address)
	}
}

// installedAtOnce is the driver on a node without ovn-controller.
type installedAtOnce struct{ *ovs.Driver }

func (installedAtOnce) WaitInstalled(context.Context, string, string) error { return nil }

// startOVS runs ovsdb-server and ovs-vswitchd with br-int on the userspace datapath, until the test ends.
func startOVS(t *testing.T) *ovs.Driver {
	t.Helper()
	db := nbtest.StartVS(t)
	insert := func(table, name string, row ovsdb.Row) ovsdb.Operation {
		return ovsdb.Operation{Op: "insert", Table: table, UUIDName: name, Row: row}
	}
	ref := func(name string) ovsdb.OvsSet { return ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: name}}} }
	err := nbtest.Commit(t.Context(), db.Client(t),
		insert("Interface", "i", ovsdb.Row{"name": "br-int", "type": "internal"}),
		insert("Port", "p", ovsdb.Row{"name": "br-int", "interfaces": ref("i")}),
		insert("Bridge", "b", ovsdb.Row{"name": "br-int", "datapath_type": UserspaceDatapath, "ports": ref("p")}),
		ovsdb.Operation{Op: "mutate", Table: "Open_vSwitch", Where: []ovsdb.Condition{}, Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("bridges", ovsdb.MutateOperationInsert, ref("b")),
		}})
	if err != nil {
		t.Fatal(err)
	}
	startVswitchd(t, db.Endpoint())
	driver, err := ovs.New(ovs.Config{Endpoint: db.Endpoint()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- driver.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	waiting, done := context.WithTimeout(ctx, patience)
	defer done()
	if err := driver.WaitSynced(waiting); err != nil {
		t.Fatal(err)
	}
	return driver
}

func startVswitchd(t *testing.T, database string) {
	t.Helper()
	program := ""
	for _, candidate := range []string{"ovs-vswitchd", "/usr/sbin/ovs-vswitchd"} {
		if path, err := exec.LookPath(candidate); err == nil {
			program = path
		}
	}
	if program == "" {
		t.Fatal("ovs-vswitchd is missing: this test runs a real switch; install it with: apt-get install openvswitch-switch")
	}
	dir := t.TempDir()
	cmd := exec.Command(program, "--no-chdir", "--disable-system", "-vconsole:off", "--log-file="+filepath.Join(dir, "log"),
		"--pidfile="+filepath.Join(dir, "pid"), "--unixctl="+filepath.Join(dir, "ctl"), database)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, gone := make(chan error, 1), make(chan struct{})
	go func() {
		// Pdeathsig is the death of the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("kill ovs-vswitchd: %v", err)
		}
		<-gone
		if t.Failed() {
			log, err := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("ovs-vswitchd: %v\n%s", err, log)
		}
	})
}

// echo sends a megabyte from one pod to the other and back.
func echo(t *testing.T, from, to *plumbtest.Pod, address string) {
	t.Helper()
	var server net.Listener
	inside(t, to, func() (err error) {
		server, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
		return err
	})
	defer server.Close() //nolint:errcheck // it has served
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return // the client reports
		}
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}()
	var client net.Conn
	inside(t, from, func() (err error) {
		client, err = net.DialTimeout("tcp", server.Addr().String(), patience)
		return err
	})
	defer client.Close() //nolint:errcheck // everything was read
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("woven", 1<<18)
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(client, text); sent <- err }()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != text {
		t.Fatalf("echo through %s: %v", address, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func inside(t *testing.T, pod *plumbtest.Pod, f func() error) {
	t.Helper()
	ns, err := openNS(pod.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.close()
	if err := ns.do(f); err != nil {
		t.Fatal(err)
	}
}
