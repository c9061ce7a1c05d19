// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Echo runs on the outside host. It replies to every TCP connection and UDP datagram on OutsideEchoPort with the source
// address, which shows how a pod's egress traffic is translated. It returns when ctx ends.
func Echo(ctx context.Context) error {
	address := ":" + strconv.Itoa(OutsideEchoPort)
	config := &net.ListenConfig{}
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for TCP: %w", err)
	}
	packets, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for UDP: %w", err), listener.Close())
	}
	stop := context.AfterFunc(ctx, func() { _, _ = listener.Close(), packets.Close() })
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- echoTCP(listener) }()
	go func() { failed <- echoUDP(packets) }()
	err = <-failed
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func echoTCP(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		_, _ = fmt.Fprintln(conn, conn.RemoteAddr())
		_ = conn.Close()
	}
}

func echoUDP(packets net.PacketConn) error {
	buffer := make([]byte, 2048)
	for {
		_, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		_, _ = packets.WriteTo([]byte(from.String()+"\n"), from)
	}
}
