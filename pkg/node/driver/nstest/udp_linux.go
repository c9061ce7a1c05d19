// SPDX-License-Identifier: Apache-2.0

package nstest

import (
	"net"
	"net/netip"
	"time"
)

// replyTimeout is how long AskUDP waits for a reply before the test gives up.
const replyTimeout = 10 * time.Second

// ServeUDP answers each UDP packet to an address until the test ends. reply makes the payload of the answer from the
// source address of the packet.
func (n *Namespace) ServeUDP(at netip.AddrPort, reply func(source netip.Addr) string) {
	n.t.Helper()
	var conn *net.UDPConn
	n.Do(func() {
		var err error
		if conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err != nil {
			n.t.Errorf("listen on %s: %v", at, err)
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 64)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort([]byte(reply(from.Addr().Unmap())), from)
		}
	}()
	n.t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
}

// AskUDP sends a packet of one byte from a free port and returns the payload of the reply, or the text of an error.
// The kernel chooses the source address if source is the zero Addr.
func (n *Namespace) AskUDP(source netip.Addr, to netip.AddrPort) string {
	return n.askUDP(source, to, 1)
}

// PollUDP is AskUDP that sends the packet again while there is no reply, for a network that is just being changed.
func (n *Namespace) PollUDP(source netip.Addr, to netip.AddrPort) string {
	return n.askUDP(source, to, 100)
}

func (n *Namespace) askUDP(source netip.Addr, to netip.AddrPort, packets int) string {
	var local *net.UDPAddr
	if source.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	var conn *net.UDPConn
	var err error
	n.run(func() { conn, err = net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to)) })
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 64)
	size := 0
	for range packets {
		_ = conn.SetDeadline(time.Now().Add(replyTimeout / time.Duration(packets)))
		if _, err = conn.Write([]byte("?")); err != nil {
			return err.Error()
		}
		if size, err = conn.Read(buf); err == nil {
			return string(buf[:size])
		}
	}
	return err.Error()
}
