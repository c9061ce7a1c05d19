// SPDX-License-Identifier: Apache-2.0

// Package ovstest runs a real Open vSwitch for tests.
package ovstest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/test/nbtest"
)

// syncTimeout bounds the wait for the driver's first view of the database.
const syncTimeout = 60 * time.Second

// Start runs ovsdb-server and ovs-vswitchd with br-int on the userspace datapath until the test ends, and returns a
// driver that is connected. ovs-vswitchd uses the network namespace of the test process.
func Start(t testing.TB) *ovs.Driver {
	t.Helper()
	db := nbtest.StartVS(t)
	insert := func(table, name string, row ovsdb.Row) ovsdb.Operation {
		return ovsdb.Operation{Op: "insert", Table: table, UUIDName: name, Row: row}
	}
	ref := func(name string) ovsdb.OvsSet { return ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: name}}} }
	err := nbtest.Commit(t.Context(), db.Client(t),
		insert("Interface", "i", ovsdb.Row{"name": "br-int", "type": "internal"}),
		insert("Port", "p", ovsdb.Row{"name": "br-int", "interfaces": ref("i")}),
		insert("Bridge", "b", ovsdb.Row{"name": "br-int", "datapath_type": ovs.UserspaceDatapath, "ports": ref("p")}),
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
	waiting, done := context.WithTimeout(ctx, syncTimeout)
	defer done()
	if err := driver.WaitSynced(waiting); err != nil {
		t.Fatal(err)
	}
	return driver
}

func startVswitchd(t testing.TB, database string) {
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
	//nolint:gosec,noctx // a program of the test host; it is killed when the test ends
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
			log, err := os.ReadFile(filepath.Join(dir, "log")) // #nosec G304 -- a file of the test
			t.Logf("ovs-vswitchd: %v\n%s", err, log)
		}
	})
}
