// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

// StreamInterval is the interval between two datagrams of [Stream].
const StreamInterval = 50 * time.Millisecond

// Echoed is a datagram of a stream that got a reply.
type Echoed struct {
	Number int       `json:"number"` // of the datagram, from 0
	Sent   time.Time `json:"sent"`
	SeenAs string    `json:"seenAs"` // the source address in the reply
	By     string    `json:"by"`     // the pod that replied, with [OneStream]
}

// OneStream is [Stream] from a single port: one connection to conntrack.
func OneStream(ctx context.Context, address string, out io.Writer) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return fmt.Errorf("open a port: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	encoder := json.NewEncoder(out)
	ticker := time.NewTicker(StreamInterval)
	defer ticker.Stop()
	for number := 0; ctx.Err() == nil; number++ {
		a := Echoed{Number: number, Sent: time.Now()}
		_, _ = conn.Write([]byte("woven")) // an ICMP error does not affect the next datagram
		_ = conn.SetReadDeadline(a.Sent.Add(StreamInterval))
		buffer := make([]byte, 256)
		if n, err := conn.Read(buffer); err == nil {
			a.SeenAs, a.By, _ = strings.Cut(string(buffer[:n]), " ")
			if err := encoder.Encode(a); err != nil {
				return fmt.Errorf("write a reply: %w", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return nil
}

// Stream sends a datagram every [StreamInterval] to a server that replies with the source address, and writes each
// reply to out as a line of JSON. It returns when ctx ends or a write to out fails.
//
// A reply does not identify its datagram, so each datagram has a socket of its own.
func Stream(ctx context.Context, address string, out io.Writer) error {
	answers := make(chan Echoed, 1000)
	ticker := time.NewTicker(StreamInterval)
	defer ticker.Stop()
	encoder := json.NewEncoder(out)
	for number := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			if err := encoder.Encode(a); err != nil {
				return fmt.Errorf("write a reply: %w", err)
			}
		case now := <-ticker.C:
			a := Echoed{Number: number, Sent: now}
			number++
			go func() {
				if seen, err := datagram(ctx, address); err == nil {
					a.SeenAs = seen
					answers <- a
				}
			}()
		}
	}
}

// datagram sends a datagram and returns the source address in the reply, or an error after a second without a reply.
func datagram(ctx context.Context, address string) (string, error) {
	seen, _, err := datagramFrom(ctx, "", address)
	return seen, err
}

// datagramFrom is datagram with a source address. It also returns the name of the replying pod, if the reply has it.
func datagramFrom(ctx context.Context, source, address string) (seenAs, by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	dialer := &net.Dialer{}
	if source != "" {
		dialer.LocalAddr = &net.UDPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.DialContext(ctx, "udp", address)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", "", err
	}
	if _, err := conn.Write([]byte("woven")); err != nil {
		return "", "", err
	}
	buffer := make([]byte, 256)
	n, err := conn.Read(buffer)
	if err != nil {
		return "", "", err
	}
	text, by, _ := strings.Cut(strings.TrimSpace(string(buffer[:n])), " ")
	seen, err := netip.ParseAddrPort(text)
	return seen.Addr().Unmap().String(), by, err
}
