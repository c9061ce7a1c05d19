// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"

	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/ovs/ovstest"
	"github.com/wovensdn/woven/pkg/node/plumb/plumbtest"
)

const waitTimeout = 60 * time.Second

// TestTCPThroughUserspaceOVS: two pods reach each other by TCP through a real ovs-vswitchd that forwards itself, as a
// learning switch, with nobody's kernel module. It is what checksum offload would break.
func TestTCPThroughUserspaceOVS(t *testing.T) {
	driver := ovstest.Start(t)
	p, err := New(Config{Switch: installedAtOnce{driver}, Bridge: "br-int", MTU: 1400, InstalledTimeout: waitTimeout, Log: testr.New(t)})
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
		client, err = net.DialTimeout("tcp", server.Addr().String(), waitTimeout)
		return err
	})
	defer client.Close() //nolint:errcheck // everything was read
	if err := client.SetDeadline(time.Now().Add(waitTimeout)); err != nil {
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
