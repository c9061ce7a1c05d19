// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestEchoRepliesWithPeerAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = listener.Close(), packets.Close() })
	go func() { _ = echoTCP(listener) }()
	go func() { _ = echoUDP(packets) }()
	for _, address := range []net.Addr{listener.Addr(), packets.LocalAddr()} {
		conn, err := net.Dial(address.Network(), address.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 100)
		n, err := conn.Read(answer)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(answer[:n])); got != conn.LocalAddr().String() {
			t.Errorf("%s: reply %q, want %s", address.Network(), got, conn.LocalAddr())
		}
		_ = conn.Close()
	}
}
